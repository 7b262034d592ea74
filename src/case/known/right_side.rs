//! Which side is right, according to an entry of the catalogue.
//!
//! People write it; `imgduel accept` reads it. It does not influence verdicts.

use serde::{Deserialize, Serialize};

/// Which side is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// The candidate.
    Candidate,
    /// qemu-img.
    Reference,
    /// Both behaviours are allowed.
    Both,
    /// Neither side behaves correctly.
    Neither,
    /// It is not known yet.
    Unclear,
}

impl Right {
    /// All values.
    pub const ALL: [Self; 5] = [
        Self::Candidate,
        Self::Reference,
        Self::Both,
        Self::Neither,
        Self::Unclear,
    ];

    /// Returns its name in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Reference => "reference",
            Self::Both => "both",
            Self::Neither => "neither",
            Self::Unclear => "unclear",
        }
    }

    /// Returns the value with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_found_by_its_name_and_nothing_by_another() {
        for right in Right::ALL {
            assert!(Right::named(right.name()) == Some(right));
        }
        assert!(Right::named("nobody").is_none());
    }
}
