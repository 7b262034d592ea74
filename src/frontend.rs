//! The two ways in: the `differential` test target ([`trial`]) and the command `imgduel` ([`command`]).
//!
//! Both read the same seed files and the same settings.

/// Stubs of the seeds, for editors.
pub mod stubs;

/// The flags and formats of a libtest binary.
pub mod libtest;

/// What is left of trials that have a process each.
pub mod trace;

/// Cases as trials of the test door.
pub mod trial;

/// The command.
pub mod command;
