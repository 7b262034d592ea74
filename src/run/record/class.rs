//! What a case or an operation counts as.
//!
//! Derived from the verdict and from what the catalogue says; counted by summaries and reports.

use crate::oracle::verdict::VerdictName;

/// What a case counts as. Every case is in exactly one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A divergence that nobody has explained.
    Divergence,
    /// A divergence that the catalogue explains, of other versions than these.
    KnownElsewhere,
    /// A divergence that the catalogue explains.
    Known,
    /// Something diverged, and did not when it was tried again.
    Flaky,
    /// A check could not be made, and nothing diverged.
    Inconclusive,
    /// Everything that both support agrees.
    Match,
    /// The sides have nothing of the case in common.
    Unsupported,
}

impl Class {
    /// The class of a verdict's name, and of what the catalogue says of it.
    pub(super) fn of(verdict: VerdictName, known: bool, elsewhere: bool) -> Self {
        match verdict {
            VerdictName::Divergence if known => Self::Known,
            VerdictName::Divergence if elsewhere => Self::KnownElsewhere,
            VerdictName::Divergence => Self::Divergence,
            VerdictName::Flaky => Self::Flaky,
            VerdictName::Inconclusive => Self::Inconclusive,
            VerdictName::Match => Self::Match,
            VerdictName::Unsupported => Self::Unsupported,
        }
    }

    /// Whether it is a divergence that nobody has explained for the versions at hand.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Divergence | Self::KnownElsewhere)
    }
}
