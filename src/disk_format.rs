//! Image formats as they lie on disk: where their fields are, what their tables say, and damage done to them.
//!
//! Written anew from the formats' specifications, so that a tool's own reader is never its judge. Nothing in here starts a tool.

/// Where the fields of an image lie.
pub mod structure;

/// qcow2 on disk.
pub mod qcow2;

/// vmdk on disk.
pub mod vmdk;

/// vpc on disk.
pub mod vpc;

/// vhdx on disk.
pub mod vhdx;

/// vdi on disk.
pub mod vdi;

/// qcow version 1 on disk.
pub mod qcow;

/// parallels on disk.
pub mod parallels;

/// Damage to an image.
pub mod damage;
