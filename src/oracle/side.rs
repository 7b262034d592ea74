//! The two sides of a comparison.
//!
//! Said of tools, of their directories and of their files, everywhere; knows nothing else.

use serde::{Deserialize, Serialize};

/// Which tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The tool under test.
    Candidate,
    /// qemu-img.
    Reference,
}

impl Side {
    /// Its name: in records, and of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Reference => "reference",
        }
    }
}
