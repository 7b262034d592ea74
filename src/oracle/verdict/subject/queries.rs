//! Queries about subjects, and their form in files, which is their text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{JsonPath, Subject, SubjectKind};
use crate::image::content::ContentPlace;

impl Subject {
    /// Returns the subject for a top-level key of a tool's JSON.
    pub fn json_key(key: &str) -> Self {
        Self::JsonValue {
            path: JsonPath::key(key),
        }
    }

    /// Whether it is an exit.
    pub fn is_exit(&self) -> bool {
        matches!(self, Self::Exit { .. } | Self::ExitOfReading { .. })
    }

    /// Returns the guest-visible place of a difference of contents.
    pub fn content_place(&self) -> Option<ContentPlace> {
        match self {
            Self::ContentsAfterRepair { place }
            | Self::ContentsAfterChange { place }
            | Self::ContentsOfDamaged { place }
            | Self::IntermediateContents { place, .. }
            | Self::SessionContents { place, .. }
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

impl Serialize for SubjectKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for SubjectKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom(format!("no subject is called '{name}'"));
        Self::named(&name).ok_or_else(unknown)
    }
}
