//! Counts by class: of the cases of one tool, or of one operation's results.
//!
//! Used by the summary and by the reports' digest.

use serde::Serialize;

use super::Class;

/// Counts by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Everything that both sides support agrees.
    pub matches: u64,
    /// A divergence is not in the catalogue.
    pub divergences: u64,
    /// A divergence is in the catalogue for other versions only.
    pub known_elsewhere: u64,
    /// All divergences are in the catalogue.
    pub known: u64,
    /// A check could not be made, and nothing diverged.
    pub inconclusive: u64,
    /// A divergence did not recur.
    pub flaky: u64,
    /// No operation is supported by both sides.
    pub unsupported: u64,
}

impl Tally {
    /// Adds one to the count of a class.
    pub fn add(&mut self, class: Class) {
        *match class {
            Class::Match => &mut self.matches,
            Class::Divergence => &mut self.divergences,
            Class::KnownElsewhere => &mut self.known_elsewhere,
            Class::Known => &mut self.known,
            Class::Inconclusive => &mut self.inconclusive,
            Class::Flaky => &mut self.flaky,
            Class::Unsupported => &mut self.unsupported,
        } += 1;
    }

    /// The sum of all counts.
    pub fn total(self) -> u64 {
        self.compared() + self.flaky + self.inconclusive + self.unsupported
    }

    /// The number of those in which both sides' results were compared to the end.
    pub fn compared(self) -> u64 {
        self.matches + self.divergences + self.known_elsewhere + self.known
    }
}
