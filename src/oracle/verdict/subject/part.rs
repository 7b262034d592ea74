//! The parts between the words of a subject's text: names, numbers, places; each is parsed as it is written.
//!
//! Only the table of subjects uses it.

use std::fmt::{self, Display};

use super::JsonPath;
use crate::disk_format::qcow2::corruption::FieldMutation;
use crate::disk_format::qcow2::host_clusters::{HostPlace, HostRegion};
use crate::image::content::ContentPlace;
use crate::oracle::refusal_class::RefusalClass;
use crate::oracle::side::Side;
use crate::tool::request::{RepairTier, RequestKind, SessionRequestKind, SnapshotAction};

/// A part of a subject's text.
pub(super) trait Part: Sized {
    /// Writes it.
    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Parses it.
    fn read(text: &str) -> Option<Self>;

    /// Returns a sample.
    #[cfg(test)]
    fn sample() -> Self;
}

/// Implements parts by their own display and parsing.
macro_rules! parts {
    ($($type:ty: $read:expr, $sample:expr;)*) => {
        $(impl Part for $type {
            fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.fmt(formatter)
            }

            fn read(text: &str) -> Option<Self> {
                $read(text)
            }

            #[cfg(test)]
            fn sample() -> Self {
                $sample
            }
        })*
    };
}

parts! {
    ContentPlace: ContentPlace::parse, ContentPlace::Byte(65_536);
    HostPlace: HostPlace::parse, HostPlace::Cluster { index: 5, offset: 0x50000 };
    JsonPath: JsonPath::parse, JsonPath::key("bitmaps").at(1).below("name");
    RequestKind: RequestKind::named, RequestKind::SnapshotList;
    String: |text: &str| Some(text.to_owned()), "2-chain-0.qcow2".to_owned();
    usize: |text: &str| text.parse().ok(), 3;
}

/// Implements parts that each have a name.
macro_rules! named_parts {
    ($($type:ty: $all:expr, $name:expr;)*) => {
        $(impl Part for $type {
            fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str($name(*self))
            }

            fn read(text: &str) -> Option<Self> {
                $all.iter().copied().find(|one| $name(*one) == text)
            }

            #[cfg(test)]
            fn sample() -> Self {
                $all[0]
            }
        })*
    };
}

named_parts! {
    FieldMutation: FieldMutation::ALL, FieldMutation::name;
    HostRegion: HostRegion::ALL, HostRegion::name;
    RefusalClass: RefusalClass::ALL, RefusalClass::name;
    RepairTier: [RepairTier::Leaks, RepairTier::All], RepairTier::name;
    SessionRequestKind: SessionRequestKind::ALL, SessionRequestKind::name;
    Side: [Side::Candidate, Side::Reference], Side::name;
}

/// The step before an inspection of a snapshot table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotStep {
    /// A snapshot command.
    Snapshot {
        /// The action.
        action: SnapshotAction,
        /// The name of the new snapshot, or the argument that selects one.
        argument: String,
    },
    /// Another step.
    Other(RequestKind),
}

const AFTER: &str = "after ";
const AFTER_SNAPSHOT: &str = "after snapshot ";
const ACTIONS: [(SnapshotAction, &str); 3] = [
    (SnapshotAction::Create, "-c"),
    (SnapshotAction::Delete, "-d"),
    (SnapshotAction::Apply, "-a"),
];

impl Part for SnapshotStep {
    fn write(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt(formatter)
    }

    fn read(text: &str) -> Option<Self> {
        let Some(rest) = text.strip_prefix(AFTER_SNAPSHOT) else {
            let request = text.strip_prefix(AFTER)?;
            return RequestKind::named(request).map(Self::Other);
        };
        let (flag, argument) = rest.split_once(' ')?;
        let (action, _) = ACTIONS.into_iter().find(|(_, own)| *own == flag)?;
        Some(Self::Snapshot {
            action,
            argument: argument.to_owned(),
        })
    }

    #[cfg(test)]
    fn sample() -> Self {
        Self::Snapshot {
            action: SnapshotAction::Delete,
            argument: "beta".to_owned(),
        }
    }
}

impl Display for SnapshotStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot { action, argument } => {
                let flags = ACTIONS.iter().filter(|(own, _)| own == action);
                let flag = flags.map(|(_, flag)| *flag).next().unwrap_or_default();
                write!(formatter, "{AFTER_SNAPSHOT}{flag} {argument}")
            }
            Self::Other(request) => write!(formatter, "{AFTER}{request}"),
        }
    }
}
