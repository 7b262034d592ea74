//! The two sides of a comparison.
//!
//! Used for tools, their directories and their files throughout the code.

use serde::{Deserialize, Serialize};

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The tool under test.
    Candidate,
    /// qemu-img.
    Reference,
}

impl Side {
    /// Returns its name in records, which is also the name of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Reference => "reference",
        }
    }
}
