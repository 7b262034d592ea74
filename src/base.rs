//! Foundations that every room may use: errors, text for people, sizes, versions, random generators.
//!
//! Nothing in this room knows of images or tools.

/// Errors of the harness itself.
pub mod error;

/// Text for people.
pub mod prose;

/// The harness's own log (`--log`).
pub mod log;

/// Wall time by phase of a case.
pub mod phase;

/// How a person starts this program.
pub mod program;

/// The order of versions.
pub mod version;

/// Bytes as text.
pub mod base64;

/// Sizes in the syntax of command lines.
pub mod size;

/// Shrink candidates of plain values.
pub mod variants;

/// Seeded random generators.
pub mod rng;

/// Atomic writes of files.
pub mod whole_file;
