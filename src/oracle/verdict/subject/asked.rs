//! What others ask of a subject beside its variant, and how files hold it: as its text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{JsonPath, Subject};
use crate::image::content::ContentPlace;

impl Subject {
    /// The value of this name in a tool's JSON.
    pub fn json_key(key: &str) -> Self {
        Self::JsonValue {
            path: JsonPath::key(key),
        }
    }

    /// Whether it is how a tool came out of something.
    pub fn is_exit(&self) -> bool {
        matches!(self, Self::Exit { .. } | Self::ExitOfReading { .. })
    }

    /// Where in what a guest sees the difference lies, for a difference of contents.
    pub fn content_place(&self) -> Option<ContentPlace> {
        match self {
            Self::ContentsAfterRepair { place }
            | Self::ContentsAfterChange { place }
            | Self::ContentsOfDamaged { place }
            | Self::IntermediateContents { place, .. }
            | Self::ContentsOnBothSides { place, .. }
            | Self::Contents { place, .. }
            | Self::Reading { place, .. }
            | Self::SnapshotContents { place, .. }
            | Self::SourceContents { place, .. } => Some(*place),
            _ => None,
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self::parse(&text))
    }
}
