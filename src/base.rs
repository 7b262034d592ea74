//! What every room may use: errors, text for people, sizes, versions, chance.
//!
//! Nothing in here knows of images or tools.

/// What the harness itself could not do.
pub mod error;

/// Text for people.
pub mod prose;

/// What the harness tells of itself, when it is asked.
pub mod log;

/// Where the time goes.
pub mod phase;

/// The order of versions.
pub mod version;

/// Sizes as they are written on command lines.
pub mod size;

/// Simpler versions of plain values.
pub mod simpler;

/// All chance.
pub mod rng;

/// Files that are written whole or not at all.
pub mod whole_file;
