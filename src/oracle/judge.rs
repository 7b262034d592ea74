//! What must agree in every operation: exits, and every image that either side wrote.
//!
//! Pure: answers in, verdicts out. What is particular to one operation is judged in that operation's file. Called by
//! the duel.

mod check_counts;
mod exits;
mod json_difference;
mod opinion;
mod outputs;
mod snapshots;

pub use check_counts::CheckCounts;
pub use exits::{Exits, exits};
pub use json_difference::json_differences;
pub use opinion::{FACTS as WITNESS_FACTS, checked, described};
pub use outputs::outputs;

use crate::oracle::verdict::{
    Difference, DivergenceKind, Finding, InconclusiveKind, Subject, Verdict,
};
use crate::tool::request::{Answer, Exit};

/// A divergence when the candidate died or ran out of time at what `exit` is about; `reference` says what the reference did there.
fn candidate_died(exit: Subject, answer: &Answer, reference: &str) -> Option<Verdict> {
    let kind = match answer.exit {
        Exit::TimedOut(_) => DivergenceKind::CandidateTimeout,
        Exit::HitLimit(_) => DivergenceKind::CandidateLimit,
        Exit::Crashed(_) => DivergenceKind::CandidateCrash,
        Exit::Success | Exit::Refused(_) | Exit::Unsupported(_) => return None,
    };
    let difference = Difference::new(exit, answer.describe(), reference);
    Some(Verdict::Divergence(Finding::of_difference(
        kind, difference,
    )))
}

/// Inconclusive when the reference died or ran out of time.
fn reference_failed(answer: &Answer) -> Option<Verdict> {
    let kind = match answer.exit {
        Exit::TimedOut(_) => InconclusiveKind::QemuTimeout,
        Exit::HitLimit(_) => InconclusiveKind::ReferenceLimit,
        Exit::Crashed(_) => InconclusiveKind::ReferenceCrash,
        Exit::Success | Exit::Refused(_) | Exit::Unsupported(_) => return None,
    };
    // Busy and stuck are words about the reference itself.
    let separator = match answer.exit {
        Exit::TimedOut(_) => " ",
        _ => ": ",
    };
    let reason = format!("reference{separator}{}", answer.exit.describe());
    Some(Verdict::inconclusive(kind, reason))
}
