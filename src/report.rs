//! What people and programs read of a run. Pure functions of records and summaries, and the files they go to.

/// The regression seeds.
pub mod seed_file;

/// What a campaign has found.
pub mod findings;

/// A finding as a program that shows it.
pub mod script;

pub mod digest;
pub mod files;
pub mod github;
pub mod html;
pub mod junit;
pub mod outlets;
pub mod progress;
pub mod python;
pub mod terminal;

use std::io::Write;

use crate::base::error::Error;
use crate::base::prose::printable;

/// Says an error of ours on standard error, in its one line.
pub fn complain(error: &Error) {
    // Nobody reads it: as good.
    let error = error.to_string();
    let _ = writeln!(std::io::stderr(), "imgduel: {}", printable(&error));
}

/// Appends the job summary to the file that GitHub names, when this is a step of one of its jobs.
pub fn tell_github(summary: &crate::run::record::Summary, digest: &digest::Digest) {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|_| is_on_github()) else {
        return;
    };
    let path = std::path::PathBuf::from(path);
    let text = github::job_summary(summary, digest);
    let file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&path);
    if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
        complain(&Error::io("write the job summary to", &path, &error));
    }
}

/// Whether this is a step of a GitHub job.
pub fn is_on_github() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| !value.is_empty())
}
