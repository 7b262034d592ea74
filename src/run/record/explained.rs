//! What the catalogue of known divergences says of an operation's divergence.
//!
//! Given by the arena; kept in records.

use serde::{Deserialize, Serialize};

use super::ToolName;

/// What explains a divergence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Explained {
    /// Nothing.
    #[default]
    No,
    /// The entry of this id.
    Known(String),
    /// An entry that speaks of other versions.
    Elsewhere(Elsewhere),
}

/// An entry of the catalogue that would explain a divergence if it were about the version at hand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The entry's id.
    pub id: String,
    /// The tool that it is about, at hand.
    pub tool: ToolName,
    /// The versions that it speaks of, in words.
    pub versions: String,
}

impl Elsewhere {
    /// In a few words.
    pub fn words(&self) -> String {
        format!(
            "known of {} {} as {}",
            self.tool.name, self.versions, self.id
        )
    }
}

/// How many cases of a campaign an entry would explain if it were about the version at hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ElsewhereCount {
    /// The entry, and the version.
    #[serde(flatten)]
    pub elsewhere: Elsewhere,
    /// How many cases.
    pub count: u64,
}

impl Explained {
    /// The id of the entry that explains it.
    pub fn known(&self) -> Option<&String> {
        match self {
            Self::Known(id) => Some(id),
            Self::No | Self::Elsewhere(_) => None,
        }
    }

    /// What is known of other versions.
    pub fn elsewhere(&self) -> Option<&Elsewhere> {
        match self {
            Self::Elsewhere(elsewhere) => Some(elsewhere),
            Self::No | Self::Known(_) => None,
        }
    }
}
