//! The judges of every operation: exits, and all images that either side wrote.
//!
//! The judges are pure functions from answers to verdicts. What is specific to an operation is judged in its own file.
//! The runner calls them.

mod check_result;
mod cross_check;
mod exits;
mod json_difference;
mod outputs;
mod snapshots;

pub use check_result::CheckResult;
pub use cross_check::{FACTS as WITNESS_FACTS, checked, described};
pub use exits::{Exits, exits};
pub use json_difference::json_differences;
pub use outputs::outputs;

use crate::oracle::verdict::{
    Difference, DivergenceKind, Finding, InconclusiveKind, Subject, Verdict,
};
use crate::tool::request::{Answer, Exit};

/// Returns the divergence of a candidate that crashed or timed out, at `exit`; `reference` describes the reference's
/// exit there.
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

/// Returns an inconclusive verdict if the reference crashed or timed out.
fn reference_failed(answer: &Answer) -> Option<Verdict> {
    let kind = match answer.exit {
        Exit::TimedOut(_) => InconclusiveKind::QemuTimeout,
        Exit::HitLimit(_) => InconclusiveKind::ReferenceLimit,
        Exit::Crashed(_) => InconclusiveKind::ReferenceCrash,
        Exit::Success | Exit::Refused(_) | Exit::Unsupported(_) => return None,
    };
    // "busy" and "stuck" describe the reference itself.
    let separator = match answer.exit {
        Exit::TimedOut(_) => " ",
        _ => ": ",
    };
    let reason = format!("reference{separator}{}", answer.exit.describe());
    Some(Verdict::inconclusive(kind, reason))
}
