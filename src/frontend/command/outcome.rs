//! The outcome of a run: its exit code, the output for GitHub, and the stale entries of the catalogue.
//!
//! `fuzz`, `replay` and `merge` share it.

use std::process::ExitCode;

use super::{EXIT_DIVERGENCE, EXIT_VACUOUS, print_text};
use crate::campaign::settings::Settings;
use crate::report::digest::Digest;
use crate::report::{self, github, is_on_github};
use crate::run::record::Summary;

/// Writes annotations and the job summary if this runs on GitHub.
pub(super) fn tell_github(summary: &Summary, digest: &Digest) {
    if is_on_github() {
        print_text(&github::annotations(summary, digest));
    }
    report::tell_github(summary, digest);
}

/// With --strict-known: the ids of the catalogue's entries that should have matched but never did, with the number of
/// cases in which they could have.
pub(super) fn stale_known(summary: &Summary, settings: &Settings) -> Vec<(String, u64)> {
    let catalogue = settings.strict_known.then(|| settings.catalogue().ok());
    let Some(catalogue) = catalogue.flatten() else {
        return Vec::new();
    };
    let cases_min = |id: &str| match catalogue.named(id) {
        Some(entry) => entry.silent_cases_min(),
        // An entry of another catalogue cannot be judged.
        None => u64::MAX,
    };
    let stale = summary.stale_known(cases_min).into_iter();
    stale
        .map(|id| (id.to_owned(), summary.known_reached[id]))
        .collect()
}

/// The exit code for a summary.
pub(super) fn exit_code(summary: &Summary, settings: &Settings) -> ExitCode {
    match &summary.vacuous {
        _ if is_failure(summary, settings) => ExitCode::from(EXIT_DIVERGENCE),
        Some(_) => ExitCode::from(EXIT_VACUOUS),
        None => ExitCode::SUCCESS,
    }
}

/// Whether the run found something that the settings count as a failure.
pub(super) fn is_failure(summary: &Summary, settings: &Settings) -> bool {
    let inconclusive = settings.strict && summary.inconclusive_count + summary.flaky_count > 0;
    let stale = !stale_known(summary, settings).is_empty();
    summary.open_count() > 0 || inconclusive || stale
}
