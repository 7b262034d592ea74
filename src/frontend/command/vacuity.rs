//! Whether a campaign has compared enough to prove anything.
//!
//! A run in which next to nothing could be compared is green for no reason; that is said, and fails. Of a few cases most may come to nothing by
//! chance: there it is said alone.

use crate::base::prose::counted;
use crate::campaign::settings::Settings;
use crate::report::digest::Digest;
use crate::run::record::Summary;

/// The share of cases, in percent, that may come to nothing with every candidate: inconclusive, unsupported or flaky.
const NOTHING_SHARE_MAX_PERCENT: u64 = 75;

/// From how many cases on the share tells something.
const CASES_MIN: u64 = 20;

/// Too little was compared.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// What there was, and what not.
    pub(super) why: String,
    /// Whether it can hardly be chance.
    pub(super) is_failure: bool,
}

/// Whether too little was compared.
pub(super) fn complaint(
    summary: &Summary,
    digest: &Digest,
    settings: &Settings,
) -> Option<Complaint> {
    let cases = summary.cases();
    let done = cases.total();
    if done == 0 {
        let why = "no case was tried: no candidate can be asked any of those that were drawn, or there was no time";
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
            "{nothing} of {} came to nothing ({} inconclusive, {} unsupported, {} flaky), more than {NOTHING_SHARE_MAX_PERCENT} percent",
            counted(done, "case"),
            cases.inconclusive,
            cases.unsupported,
            cases.flaky
        )));
    }
    let pool = settings.pool()?;
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
            "no check of {} was ever made, which --ops asks for",
            never.join(", ")
        ))
    })
}
