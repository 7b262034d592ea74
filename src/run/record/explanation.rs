//! What the catalogue of known divergences says about an operation's divergence.
//!
//! The session looks it up; records keep it.

use serde::{Deserialize, Serialize};

use super::ToolName;

/// The catalogue's explanation of a divergence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Explained {
    /// No entry explains it.
    #[default]
    No,
    /// The entry with this id explains it.
    Known(String),
    /// An entry would explain it, but covers other versions.
    Elsewhere(Elsewhere),
}

/// An entry of the catalogue that would explain a divergence if it covered the tested version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The entry's id.
    pub id: String,
    /// The tool that the entry is about, with its tested version.
    pub tool: ToolName,
    /// The versions that the entry covers, in words.
    pub versions: String,
}

impl Elsewhere {
    /// Describes the entry and its versions in a few words.
    pub fn words(&self) -> String {
        format!(
            "known of {} {} as {}",
            self.tool.name, self.versions, self.id
        )
    }
}

/// How many cases of a campaign an entry would explain if it covered the tested version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ElsewhereCount {
    /// The entry and the tested version.
    #[serde(flatten)]
    pub elsewhere: Elsewhere,
    /// Number of cases.
    pub count: u64,
}

impl Explained {
    /// The id of the entry that explains the divergence.
    pub fn known(&self) -> Option<&String> {
        match self {
            Self::Known(id) => Some(id),
            Self::No | Self::Elsewhere(_) => None,
        }
    }

    /// The entry that would explain the divergence of other versions.
    pub fn elsewhere(&self) -> Option<&Elsewhere> {
        match self {
            Self::Elsewhere(elsewhere) => Some(elsewhere),
            Self::No | Self::Known(_) => None,
        }
    }
}
