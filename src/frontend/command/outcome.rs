//! What the figures of a run mean for whoever started the program: its exit code, what GitHub is told, and what the catalogue missed.
//!
//! Shared by `fuzz`, `replay` and `merge`.

use std::process::ExitCode;

use super::{EXIT_DIVERGENCE, EXIT_VACUOUS, said};
use crate::campaign::settings::Settings;
use crate::report::digest::Digest;
use crate::report::{self, github, is_on_github};
use crate::run::record::Summary;

/// Annotations and job summary, when this runs on GitHub.
pub(super) fn tell_github(summary: &Summary, digest: &Digest) {
    if is_on_github() {
        said(&github::annotations(summary, digest));
    }
    report::tell_github(summary, digest);
}

/// The entries of the catalogue that never fired though they should have, when that is asked for: their ids, and in how many cases.
pub(super) fn stale_known(summary: &Summary, settings: &Settings) -> Vec<(String, u64)> {
    let catalogue = settings.strict_known.then(|| settings.catalogue().ok());
    let Some(catalogue) = catalogue.flatten() else {
        return Vec::new();
    };
    let cases_min = |id: &str| match catalogue.named(id) {
        Some(entry) => entry.silent_cases_min(),
        // Of another catalogue: nothing can be told.
        None => u64::MAX,
    };
    let stale = summary.stale_known(cases_min).into_iter();
    stale
        .map(|id| (id.to_owned(), summary.known_reached[id]))
        .collect()
}

/// What the figures mean for whoever started the program.
pub(super) fn exit_code(summary: &Summary, settings: &Settings) -> ExitCode {
    match &summary.vacuous {
        _ if is_failure(summary, settings) => ExitCode::from(EXIT_DIVERGENCE),
        Some(_) => ExitCode::from(EXIT_VACUOUS),
        None => ExitCode::SUCCESS,
    }
}

/// Whether something was found that the settings take for a failure.
pub(super) fn is_failure(summary: &Summary, settings: &Settings) -> bool {
    let inconclusive = settings.strict && summary.inconclusive_count + summary.flaky_count > 0;
    let stale = !stale_known(summary, settings).is_empty();
    summary.open_count() > 0 || inconclusive || stale
}
