//! By what an internal snapshot is named.

use serde::{Deserialize, Serialize};

use super::SnapshotAction;

/// By what an internal snapshot is named. Ids are strings (qcow2 specification, Snapshots), and may be the names of other snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotKey {
    /// By its name.
    Name(String),
    /// By its id.
    Id(String),
    /// By both.
    IdAndName {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
    /// By a word that is its id or its name, whichever the tool looks for.
    IdOrName(String),
}

impl SnapshotKey {
    /// What a word names where this is done: a new snapshot by its name, one that is there by its id or its name.
    pub fn word(action: SnapshotAction, word: &str) -> Self {
        match action {
            SnapshotAction::Create => Self::Name(word.to_owned()),
            SnapshotAction::Delete | SnapshotAction::Apply => Self::IdOrName(word.to_owned()),
        }
    }
}
