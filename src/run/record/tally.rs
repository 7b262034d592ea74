//! A count by class: of the cases of one tool among several, of the trials of an operation.
//!
//! Kept by the summary and by the reports' digest.

use serde::Serialize;

use super::Class;

/// A count by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Everything that both support agreed.
    pub matches: u64,
    /// With a divergence that is not in the catalogue.
    pub divergences: u64,
    /// With a divergence that is in the catalogue of other versions.
    pub known_elsewhere: u64,
    /// With divergences that are all in the catalogue.
    pub known: u64,
    /// In which a check could not be made and nothing diverged.
    pub inconclusive: u64,
    /// With a divergence that did not come back.
    pub flaky: u64,
    /// That have nothing both sides can do.
    pub unsupported: u64,
}

impl Tally {
    /// Counts one more.
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

    /// All together.
    pub fn total(self) -> u64 {
        self.compared() + self.flaky + self.inconclusive + self.unsupported
    }

    /// Those in which both sides' results were compared to the end.
    pub fn compared(self) -> u64 {
        self.matches + self.divergences + self.known_elsewhere + self.known
    }
}
