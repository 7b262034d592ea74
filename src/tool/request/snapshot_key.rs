//! The key of an internal snapshot.

use serde::{Deserialize, Serialize};

use super::SnapshotAction;

/// The key of an internal snapshot. Ids are strings (qcow2 specification, Snapshots), and may be the names of other
/// snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotKey {
    /// The name.
    Name(String),
    /// The id.
    Id(String),
    /// Both.
    IdAndName {
        /// The id.
        id: String,
        /// The name.
        name: String,
    },
    /// A word that is an id or a name; the tool decides.
    IdOrName(String),
}

impl SnapshotKey {
    /// Returns the key that a word stands for in this action: the name of a new snapshot, or the id or name of an
    /// existing one.
    pub fn word(action: SnapshotAction, word: &str) -> Self {
        match action {
            SnapshotAction::Create => Self::Name(word.to_owned()),
            SnapshotAction::Delete | SnapshotAction::Apply => Self::IdOrName(word.to_owned()),
        }
    }
}
