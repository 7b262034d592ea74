//! The requests on a damaged image: some that only read, and one that changes it.

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

/// A request that only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadRequest {
    /// Describes the image.
    Info,
    /// Checks the image.
    Check,
    /// Maps the image.
    Map,
    /// Reads the whole image.
    Contents,
    /// Predicts the size of a conversion to qcow2.
    Measure,
    /// Copies the image into a new raw image.
    Convert,
    /// Compares the image with itself.
    Compare,
}

/// A request that changes the image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Writes guest data.
    Write(Write),
    /// Discards guest data.
    Discard {
        /// The guest offset in bytes.
        offset: u64,
        /// The number of bytes.
        length: u64,
    },
    /// Changes the virtual size to this number of bytes.
    Resize(u64),
    /// Creates, deletes or applies an internal snapshot. The image may or may not have a snapshot of that name.
    Snapshot(SnapshotAction),
    /// Changes creation options in place.
    Amend(CreateOption),
    /// Checks and repairs the image.
    Repair,
    /// Removes its backing file, in unsafe mode.
    Rebase,
    /// Merges it into its backing file.
    Commit,
    /// Runs a benchmark that writes.
    Bench,
}

impl ReadRequest {
    /// All read requests, in the order in which a case has them.
    pub const ALL: [Self; 7] = [
        Self::Info,
        Self::Check,
        Self::Map,
        Self::Contents,
        Self::Measure,
        Self::Convert,
        Self::Compare,
    ];

    /// Returns the name.
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

    /// Returns the request; `None` if no tool supports it for the format.
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
                options: Default::default(),
                snapshot: None,
                source: file,
                target: Format::Qcow2,
            },
            Self::Convert => Request::Convert {
                source: file,
                target: ImageFile::new(&format!("{stem}-copy"), Format::Raw),
                compress: false,
                mode: Default::default(),
            },
            Self::Compare => Request::Compare {
                first: file.clone(),
                second: file,
            },
        })
    }
}

/// The names of all changes.
pub const CHANGE_NAMES: [&str; 9] = [
    "write", "discard", "resize", "snapshot", "amend", "repair", "rebase", "commit", "bench",
];

impl Change {
    /// Validates a change from a file.
    pub fn validity(&self) -> Validity {
        match self {
            Self::Write(write) => validity::writes("write", &[*write]),
            Self::Discard { offset, length } => validity::range(*offset, *length),
            Self::Resize(bytes) => validity::number("resize", *bytes, 1..=validity::BYTES_MAX),
            Self::Amend(option) => validity::at("amend", option.validity()),
            Self::Snapshot(_) | Self::Repair | Self::Rebase | Self::Commit | Self::Bench => Ok(()),
        }
    }

    /// Returns the kind of the step of a chain that does the same.
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

    /// Returns the name.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Returns the request.
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
                // Compared with the size at creation: the damaged image may have another.
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
                    compresses: false,
                    is_unsafe: true,
                    backing_format: None,
                },
            },
            Self::Commit => Request::Commit {
                file,
                base: None,
                keeps: false,
            },
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
