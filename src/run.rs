//! Runs one case through both tools: its scratch directory, its source images, both sides, its record.
//!
//! Campaigns and test runs open an `session`, which takes cases and returns records.

/// What a person reads to understand a verdict: calls, outputs, differences.
pub mod evidence;

/// The scratch directory of a case.
pub mod scratch_dir;

/// Source images that several cases share.
pub mod fixture;

/// Runs one case through the candidate and the reference.
pub mod runner;

/// Whole cases in a worker, against the model alone.
pub mod case_worker;

/// An image from outside, with the files that it needs.
pub mod outside_image;

/// The image from outside with which a case begins.
pub mod case_image;

/// The tools that write images for cases.
pub mod writers;

/// Who reads whose images.
pub mod grid;

/// An image that a repository keeps.
pub mod kept_image;

/// What every tool says of one image from outside.
pub mod views;

/// The record of a case and the summary of a campaign.
pub mod record;

/// A session: the opened tools, the catalogue of known divergences and the settings of a run.
pub mod session;
mod shared_copy;
