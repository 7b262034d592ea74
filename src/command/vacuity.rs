//! Whether a campaign has compared enough to prove anything.
//!
//! A run in which next to nothing could be compared is green for no reason; that is said, and fails.

use crate::record::Summary;
use crate::report::digest::Digest;
use crate::settings::Settings;

/// The share of cases, in percent, that may come to nothing with every candidate: inconclusive, unsupported or flaky. The embedded imago supports
/// some forty percent of what the newest generation draws.
pub(super) const NOTHING_SHARE_MAX_PERCENT: u64 = 75;

/// Why too little was compared, if it was.
pub(super) fn complaint(summary: &Summary, digest: &Digest, settings: &Settings) -> Option<String> {
    let cases = summary.cases();
    let done = cases.total();
    let nothing = done - cases.compared();
    if done > 0 && nothing * 100 > done * NOTHING_SHARE_MAX_PERCENT {
        return Some(format!(
            "{nothing} of {done} cases came to nothing ({} inconclusive, {} unsupported, {} flaky), more than {NOTHING_SHARE_MAX_PERCENT} percent",
            cases.inconclusive, cases.unsupported, cases.flaky
        ));
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
        format!(
            "no check of {} was ever made, which --ops asks for",
            never.join(", ")
        )
    })
}
