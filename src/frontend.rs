//! The two ways in: the `differential` test target ([`trial`]) and the command `imgduel` ([`command`]).
//!
//! Both read the same seed files and the same settings.

/// Stubs of the seeds, for editors.
pub mod stubs;

/// The flags and formats of a libtest binary.
pub mod libtest;

/// What is left of trials that have a process each.
pub mod trace;

/// Cases as trials of the test target.
pub mod trial;

/// The command.
pub mod command;

/// The harness for programs of one's own.
pub mod harness;

use std::process::ExitCode;

use crate::process::reaper;
use crate::tool::libraries;

/// Serves as a helper process of imgduel, if this program was started as one; then `Some` is what `main` has to return at once.
///
/// Every program that opens a [`Harness`](crate::Harness) calls it first in `main`: embedded libraries run in a process of their own, and another one
/// cleans up when the run is killed; both are this very program, started once more.
#[must_use = "a helper process must end with this exit code"]
pub fn serve_if_asked() -> Option<ExitCode> {
    reaper::serve_if_asked().or_else(libraries::serve_if_asked)
}
