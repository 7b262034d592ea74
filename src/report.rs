//! Reports of a run, for people and programs: pure functions of records and summaries, and the files that they are
//! written to.

/// The files of the regression seeds.
pub mod seed_file;

/// The findings of a campaign, and the pending findings on disk.
pub mod findings;

/// Reproducers: a finding as a program that shows it.
pub mod script;

pub mod against_recipe;
pub mod bug_report;
pub mod digest;
pub mod files;
pub mod github;
pub mod html;
pub mod instar_issue;
pub mod junit;
pub mod progress;
pub mod python;
mod side_names;
pub mod sinks;
pub mod terminal;

use std::io::Write;

use crate::base::error::Error;
use crate::base::prose::printable;

/// Prints an error of the harness on standard error, in one line.
pub fn complain(error: &Error) {
    // Without a reader, nothing is lost.
    let error = error.to_string();
    let _ = writeln!(std::io::stderr(), "imgduel: {}", printable(&error));
}

/// Appends the job summary to the file that GitHub names, if this is a step of a GitHub job.
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
