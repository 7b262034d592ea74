//! What is done with a damaged image: reads, which may change nothing, and one change.

use serde::{Deserialize, Serialize};

use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::CreateOption;
use crate::image::validity::{self, Validity};
use crate::operation::chain::ChainStepKind;
use crate::tool::request::{
    BenchPlan, ImageFile, NewSize, RebaseMode, RepairTier, Request, SnapshotAction, SnapshotKey,
    Window,
};

/// Something that only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadRequest {
    /// It is described.
    Info,
    /// It is checked.
    Check,
    /// It is asked what is allocated.
    Map,
    /// All of it is read.
    Contents,
    /// The size of a conversion to qcow2 is foretold.
    Measure,
    /// It is copied into a new raw image.
    Convert,
    /// It is compared with itself.
    Compare,
}

/// Something that changes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Guest data is written.
    Write(Write),
    /// Guest data is given back.
    Discard {
        /// Guest offset in bytes.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// Another virtual size, in bytes.
    Resize(u64),
    /// An internal snapshot is made, removed or applied; the image may have the one that is named, or not.
    Snapshot(SnapshotAction),
    /// Creation options are changed in place.
    Amend(CreateOption),
    /// It is checked and repaired.
    Repair,
    /// It forgets its backing file, in unsafe mode.
    Rebase,
    /// It is merged into the image below it.
    Commit,
    /// It is written to in a fixed rhythm.
    Bench,
}

impl ReadRequest {
    /// All of them, in the order in which they are made.
    pub const ALL: [Self; 7] = [
        Self::Info,
        Self::Check,
        Self::Map,
        Self::Contents,
        Self::Measure,
        Self::Convert,
        Self::Compare,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Check => "check",
            Self::Map => "map",
            Self::Contents => "contents",
            Self::Measure => "measure",
            Self::Convert => "convert",
            Self::Compare => "compare",
        }
    }

    /// What is asked; nothing where no tool does it for the format.
    pub fn request(self, file: &ImageFile, stem: &str) -> Option<Request> {
        let file = file.clone();
        Some(match self {
            Self::Info => Request::Info { file },
            Self::Check if !file.format.is_checked() => return None,
            Self::Check => Request::Check { file },
            Self::Map => Request::Map {
                file,
                window: Window::WHOLE,
            },
            Self::Contents => Request::Contents { file },
            Self::Measure => Request::Measure {
                source: file,
                target: Format::Qcow2,
            },
            Self::Convert => Request::Convert {
                source: file,
                target: ImageFile::new(&format!("{stem}-copy"), Format::Raw),
                compress: false,
            },
            Self::Compare => Request::Compare {
                first: file.clone(),
                second: file,
            },
        })
    }
}

/// Every change's name.
pub const CHANGE_NAMES: [&str; 9] = [
    "write", "discard", "resize", "snapshot", "amend", "repair", "rebase", "commit", "bench",
];

impl Change {
    /// What is wrong with it, if it came out of a file.
    pub fn validity(&self) -> Validity {
        match self {
            Self::Write(write) => validity::writes("write", &[*write]),
            Self::Discard { offset, length } => validity::range(*offset, *length),
            Self::Resize(bytes) => validity::number("resize", *bytes, 1..=validity::BYTES_MAX),
            Self::Amend(option) => validity::at("amend", option.validity()),
            Self::Snapshot(_) | Self::Repair | Self::Rebase | Self::Commit | Self::Bench => Ok(()),
        }
    }

    /// The kind of step of a chain that does the same.
    pub fn kind(&self) -> ChainStepKind {
        match self {
            Self::Write(_) => ChainStepKind::Write,
            Self::Discard { .. } => ChainStepKind::Discard,
            Self::Resize(_) => ChainStepKind::Resize,
            Self::Snapshot(_) => ChainStepKind::Snapshot,
            Self::Amend(_) => ChainStepKind::Amend,
            Self::Repair => ChainStepKind::Repair,
            Self::Rebase => ChainStepKind::Rebase,
            Self::Commit => ChainStepKind::Commit,
            Self::Bench => ChainStepKind::Bench,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// What is asked.
    pub fn request(&self, file: &ImageFile, size: u64) -> Request {
        let file = file.clone();
        match self {
            Self::Write(write) => Request::Write {
                file,
                writes: vec![*write],
            },
            Self::Discard { offset, length } => Request::Discard {
                file,
                offset: *offset,
                length: *length,
            },
            Self::Resize(bytes) => Request::Resize {
                file,
                size: NewSize::of_bytes(*bytes),
                end_bytes: *bytes,
                // Against the size it was made with: the damaged one is another, perhaps.
                shrink: *bytes < size,
                preallocation: None,
            },
            Self::Snapshot(action) => Request::Snapshot {
                file,
                action: *action,
                snapshot: match action {
                    SnapshotAction::Create => SnapshotKey::Name("another".to_owned()),
                    SnapshotAction::Delete | SnapshotAction::Apply => {
                        SnapshotKey::IdOrName("snapshot0".to_owned())
                    }
                },
            },
            Self::Amend(option) => Request::Amend {
                file,
                options: [option.clone()].into(),
            },
            Self::Repair => Request::Repair {
                file,
                tier: RepairTier::All,
            },
            Self::Rebase => Request::Rebase {
                file,
                new_backing: None,
                mode: RebaseMode {
                    is_unsafe: true,
                    backing_format: None,
                },
            },
            Self::Commit => Request::Commit { file, base: None },
            Self::Bench => Request::Bench {
                file,
                plan: BenchPlan {
                    count: 8,
                    depth: Some(1),
                    length: Some(4096),
                    writes: true,
                    ..BenchPlan::default()
                },
            },
        }
    }
}
