//! Who is right where two tools differ, as an entry of the catalogue says.
//!
//! Written by people; read by `imgduel accept`. Nothing is decided by it.

use serde::{Deserialize, Serialize};

/// Who is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// The candidate.
    Candidate,
    /// qemu-img.
    Reference,
    /// Either may do what it does.
    Both,
    /// Neither does what it should.
    Neither,
    /// Nobody has found out yet.
    Unclear,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Candidate,
        Self::Reference,
        Self::Both,
        Self::Neither,
        Self::Unclear,
    ];

    /// Its name in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Reference => "reference",
            Self::Both => "both",
            Self::Neither => "neither",
            Self::Unclear => "unclear",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.name() == name)
    }
}
