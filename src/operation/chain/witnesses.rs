//! The comparison of three witnesses: candidate, reference and model.
//!
//! The judges of steps, of sessions and of final images use it.

use crate::oracle::verdict::{Blame, Difference, DivergenceKind, Finding, Subject};

/// Compares the values of the candidate, the reference and the model.
pub(super) fn witnesses(
    kind: DivergenceKind,
    subject: Subject,
    [ours, theirs, expected]: [String; 3],
) -> Option<Finding> {
    if ours == theirs && theirs == expected {
        return None;
    }
    let blame = Blame::among(&ours, &theirs, &expected);
    let difference = Difference::new(subject, ours, theirs).with_expected(expected);
    Some(Finding::of_difference(kind, difference).blamed(blame))
}
