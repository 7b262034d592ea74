//! Whether a campaign has compared enough to prove anything.
//!
//! A campaign that compares almost nothing would otherwise pass without reason, so it fails. Of a few cases most may
//! compare nothing by chance; then it is only reported.

use crate::base::prose::counted;
use crate::campaign::settings::Settings;
use crate::report::digest::Digest;
use crate::run::record::Summary;

/// How many of the cases may compare nothing with any candidate (inconclusive, unsupported or flaky), in percent.
const NOTHING_SHARE_MAX_PERCENT: u64 = 75;

/// The least number of cases for which that share is meaningful.
const CASES_MIN: u64 = 20;

/// A complaint that too little was compared.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// What was compared, and what was not.
    pub(super) why: String,
    /// Whether this is unlikely to be chance, and so a failure.
    pub(super) is_failure: bool,
}

/// Returns a complaint if too little was compared.
pub(super) fn complaint(
    summary: &Summary,
    digest: &Digest,
    settings: &Settings,
) -> Option<Complaint> {
    let cases = summary.cases();
    let done = cases.total();
    if done == 0 {
        let why =
            "no case was run: no candidate supports any of the drawn cases, or there was no time";
        return Some(Complaint {
            why: why.to_owned(),
            is_failure: true,
        });
    }
    let nothing = done - cases.compared();
    let complaint = |why: String| Complaint {
        why,
        is_failure: done >= CASES_MIN,
    };
    if nothing * 100 > done * NOTHING_SHARE_MAX_PERCENT {
        return Some(complaint(format!(
            "{nothing} of {} compared nothing ({} inconclusive, {} unsupported, {} flaky), more than {NOTHING_SHARE_MAX_PERCENT} percent",
            counted(done, "case"),
            cases.inconclusive,
            cases.unsupported,
            cases.flaky
        )));
    }
    let pool = settings.selection().operations?;
    let never: Vec<&str> = pool
        .iter()
        .filter(|name| {
            let tally = digest.operations.get(*name);
            tally.is_some_and(|tally| tally.compared() == 0)
        })
        .map(String::as_str)
        .collect();
    (!never.is_empty()).then(|| {
        complaint(format!(
            "--ops selects {}, but no check of it was ever made",
            never.join(", ")
        ))
    })
}
