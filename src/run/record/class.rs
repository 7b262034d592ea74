//! The classes in which cases and operations are counted.
//!
//! Derived from the verdict and the catalogue; summaries and reports count by them.

use crate::oracle::verdict::VerdictName;

/// The class of a case or an operation. Each is in exactly one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A divergence that the catalogue does not explain.
    Divergence,
    /// A divergence that the catalogue explains for other versions only.
    KnownElsewhere,
    /// A divergence that the catalogue explains.
    Known,
    /// A divergence that did not recur in the confirmation run.
    Flaky,
    /// A check could not be made, and nothing diverged.
    Inconclusive,
    /// Everything that both sides support agrees.
    Match,
    /// No operation is supported by both sides.
    Unsupported,
}

impl Class {
    /// Returns the class of a verdict that an entry of the catalogue explains (`known`), or explains for other
    /// versions (`elsewhere`).
    pub(super) fn from_verdict(verdict: VerdictName, known: bool, elsewhere: bool) -> Self {
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

    /// Whether it is a divergence that the catalogue does not explain for the tested versions.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Divergence | Self::KnownElsewhere)
    }
}
