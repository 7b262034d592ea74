//! One case through all tools: its scratch directory, its source images, both sides, its record.
//!
//! Campaigns and test runs open an [`arena`], which takes cases and gives records.

/// What happened, for a person.
pub mod evidence;

/// A case's scratch directory.
pub mod scratch_dir;

/// Source images that many cases share.
pub mod fixture;

/// One case through both tools.
pub mod duel;

/// A case's record, a campaign's summary.
pub mod record;

/// The tools and the catalogue, opened.
pub mod arena;
