//! The side that is alone with a divergence.
//!
//! Every check has up to three witnesses: the candidate, the reference, and the recipe. The judges set it; reports and
//! the shrinker read it.

use serde::{Deserialize, Serialize};

/// The side that is alone against the other two witnesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The candidate is alone.
    Candidate,
    /// The reference is alone.
    Reference,
    /// The tools agree with each other and contradict the recipe.
    Both,
    /// There are fewer than three witnesses, or all three differ.
    Unclear,
}

impl Blame {
    /// Returns the side that is alone among three witnesses that do not all agree.
    pub fn among<T: PartialEq + ?Sized>(candidate: &T, reference: &T, expected: &T) -> Self {
        match (
            candidate == reference,
            candidate == expected,
            reference == expected,
        ) {
            (true, false, false) => Self::Both,
            (false, true, false) => Self::Reference,
            (false, false, true) => Self::Candidate,
            _ => Self::Unclear,
        }
    }

    /// Returns its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Reference => "reference",
            Self::Both => "both",
            Self::Unclear => "unclear",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_who_is_alone_is_to_blame() {
        assert_eq!(Blame::among(&1, &0, &0), Blame::Candidate);
        assert_eq!(Blame::among(&0, &1, &0), Blame::Reference);
        assert_eq!(Blame::among(&0, &0, &1), Blame::Both);
        assert_eq!(Blame::among(&0, &1, &2), Blame::Unclear);
    }
}
