//! The two entry points: the `differential` test target (`trial`) and the command `imgduel` (`command`).
//!
//! Both read the same seed files and the same settings.

/// Generates stub test functions for the seeds, for editors.
pub mod stubs;

/// The flags and output formats of a libtest binary.
pub mod libtest;

/// Records and marks of tests that have a process each, as under nextest.
pub mod trace;

/// The test target: cases as named tests.
pub mod trial;

/// The command `imgduel`.
pub mod command;

/// Cases in programs of one's own.
pub mod runner;

/// A test target for libraries of one's own.
pub mod harness;

use std::process::ExitCode;

use crate::process::reaper;
use crate::run::case_worker;
use crate::tool::libraries;

/// Runs as a helper process of imgduel if this program was started as one. Returns the exit code that `main` must return
/// at once, or `None` if this is no helper process.
///
/// Every program that opens a [`Runner`](crate::Runner) must call it first in `main`: embedded libraries run in a
/// process of their own, and another process cleans up if the run is killed; both are this program, started again.
#[must_use = "a helper process must end with this exit code"]
pub fn serve_if_asked() -> Option<ExitCode> {
    reaper::serve_if_asked()
        .or_else(libraries::serve_if_asked)
        .or_else(case_worker::serve_if_asked)
}
