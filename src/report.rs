//! What people and programs read of a run. Pure functions of records and summaries, and the files they go to.

pub mod digest;
pub mod files;
pub mod group;
pub mod html;
pub mod junit;
pub mod outlets;
pub mod progress;
pub mod python;
pub mod terminal;

use std::io::Write;

use crate::error::Error;

/// Says an error of ours on standard error, in its one line.
pub fn complain(error: &Error) {
    // Nobody reads it: as good.
    let _ = writeln!(std::io::stderr(), "imgduel: {error}");
}
