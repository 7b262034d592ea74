//! Requests to tools, and their answers.
//!
//! Operations make requests and judge answers without knowing tools; tools answer requests without knowing operations.
//! A tool's failure is an answer; see `Exit`.

mod answer;
mod bench_plan;
mod copy_mode;
mod data_file;
mod fault;
mod fault_report;
mod image_file;
mod kind;
mod new_size;
mod opening;
mod own_directory;
mod placement;
pub mod qemu_words;
mod rebase_mode;
mod report;
mod session;
mod snapshot_key;
mod window;

pub use answer::{Answer, CallUsage, Ended, Exit, Transcript};
pub use bench_plan::BenchPlan;
pub use copy_mode::CopyMode;
pub use data_file::DataFile;
pub use fault::{Fault, FaultKind, FaultyCall};
pub use fault_report::FaultReport;
pub use image_file::ImageFile;
pub use kind::RequestKind;
pub use new_size::NewSize;
pub use opening::{OpenedBy, Opening};
pub use placement::{BackingName, DIRECTORY_MARK, Directory, Placement, directory_of};
pub use rebase_mode::RebaseMode;
pub use report::{CheckCounts, Report};
pub use session::{BUFFER_BYTES_MAX, SessionOutcome, SessionRequest, SessionRequestKind, singles};
pub use snapshot_key::SnapshotKey;
pub use window::{Window, dd_range};

use serde::{Deserialize, Serialize};

use crate::base::size::Size;
use crate::image::bitmap_action::BitmapAction;
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::{CreateOptions, Preallocation, as_object};

/// A request to a tool. The tool is not told the formats of images that it only reads (it probes them, as in the Python
/// harness), except for [`Request::Contents`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Create an image with the file's options.
    Create {
        /// The image to create.
        file: ImageFile,
        /// The virtual size; in JSON in bytes.
        #[serde(rename = "size_bytes", with = "size_in_bytes")]
        size: Size,
    },
    /// Describe an image, in the shape of `qemu-img info --output=json`.
    Info {
        /// The image.
        file: ImageFile,
    },
    /// Check an image's metadata, in the shape of `qemu-img check --output=json`.
    Check {
        /// The image.
        file: ImageFile,
    },
    /// Copy an image's contents into a new image.
    Convert {
        /// The image to read.
        source: ImageFile,
        /// The image to create; an overlay where it has a backing file, which must be that of the source.
        target: ImageFile,
        /// Whether clusters are compressed.
        compress: bool,
        /// How it is copied; JSON has what differs from the usual.
        #[serde(default, skip_serializing_if = "CopyMode::is_usual")]
        mode: CopyMode,
    },
    /// Copy the contents of an internal snapshot into a new image.
    ConvertSnapshot {
        /// The image with the snapshot.
        source: ImageFile,
        /// The image to create.
        target: ImageFile,
        /// Whether clusters are compressed.
        compress: bool,
        /// The name of the snapshot.
        snapshot: SnapshotKey,
    },
    /// Predict the file size of a conversion, in the shape of `qemu-img measure --output=json`.
    Measure {
        /// The image to convert.
        source: ImageFile,
        /// The target format.
        target: Format,
        /// The options with which the target would be created.
        #[serde(
            default,
            with = "as_object",
            skip_serializing_if = "CreateOptions::is_empty"
        )]
        options: CreateOptions,
        /// The snapshot to convert in place of the current contents.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<SnapshotKey>,
    },
    /// Change an image's virtual size.
    Resize {
        /// The image.
        file: ImageFile,
        /// The new size, as given.
        size: NewSize,
        /// The new size in bytes.
        end_bytes: u64,
        /// Whether `--shrink` allows losing data at the end.
        shrink: bool,
        /// The preallocation mode of the growth.
        preallocation: Option<Preallocation>,
    },
    /// Write guest data.
    Write {
        /// The image.
        file: ImageFile,
        /// The writes, in order.
        writes: Vec<Write>,
    },
    /// Write zeros.
    WriteZeroes {
        /// The image.
        file: ImageFile,
        /// The guest offset in bytes.
        offset: u64,
        /// The number of bytes.
        length: u64,
        /// Whether the tool may unmap the range.
        unmap: bool,
    },
    /// Discard a range; it reads as zeros afterwards.
    Discard {
        /// The image.
        file: ImageFile,
        /// The guest offset in bytes.
        offset: u64,
        /// The number of bytes.
        length: u64,
    },
    /// Read all guest-visible contents.
    Contents {
        /// The image.
        file: ImageFile,
    },
    /// Describe what is allocated, in the shape of `qemu-img map --output=json`.
    Map {
        /// The image.
        file: ImageFile,
        /// The part to describe.
        window: Window,
    },
    /// Change a qcow2's creation options in place.
    Amend {
        /// The image.
        file: ImageFile,
        /// The options.
        #[serde(with = "as_object")]
        options: CreateOptions,
    },
    /// Change the backing file of an overlay.
    Rebase {
        /// The overlay.
        file: ImageFile,
        /// The name of the new backing file, as it is to be recorded; `None` to remove it.
        new_backing: Option<String>,
        /// The mode.
        mode: RebaseMode,
    },
    /// Merge an overlay into its backing file.
    Commit {
        /// The overlay.
        file: ImageFile,
        /// The backing file, if it is named with `-b`: the images between it and the overlay show it thereafter where
        /// they have no data of their own.
        base: Option<String>,
        /// Whether the overlay keeps its data, for `-d`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// Copy a window of an image block by block into a new image.
    Dd {
        /// The image to read.
        source: ImageFile,
        /// The image to create.
        target: ImageFile,
        /// The block size in bytes.
        block_size: u64,
        /// The number of blocks of the source; `None` for all.
        count: Option<u64>,
        /// The number of blocks to skip.
        skip: u64,
    },
    /// Change a dirty bitmap of a qcow2.
    Bitmap {
        /// The image.
        file: ImageFile,
        /// The changes, all in one call.
        actions: Vec<BitmapAction>,
        /// The bitmap's name.
        name: String,
        /// The image that has the bitmaps to be merged, for `-b`; `None` for the image itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        merged_from: Option<ImageFile>,
    },
    /// Run a benchmark that reads or writes at a fixed stride.
    Bench {
        /// The image.
        file: ImageFile,
        /// The plan of requests.
        plan: BenchPlan,
    },
    /// Compare the guest-visible contents of two images; a refusal means that they differ.
    Compare {
        /// One image.
        first: ImageFile,
        /// The other.
        second: ImageFile,
    },
    /// Create, delete or apply an internal snapshot of a qcow2. Freed clusters are not discarded, so that their
    /// contents can be compared.
    Snapshot {
        /// The image.
        file: ImageFile,
        /// Which of the three.
        action: SnapshotAction,
        /// The name of the new snapshot, or the key of an existing one.
        snapshot: SnapshotKey,
    },
    /// List a qcow2's internal snapshots as text, in the layout of qemu-img 9.0 and later.
    SnapshotList {
        /// The image.
        file: ImageFile,
    },
    /// Read all guest-visible contents of a snapshot.
    SnapshotContents {
        /// The image.
        file: ImageFile,
        /// The snapshot's unique id string.
        id: String,
    },
    /// Open an image once, and make these requests, in order. Each has an outcome of its own; a request that is refused
    /// ends nothing.
    Session {
        /// The image.
        file: ImageFile,
        /// The requests.
        requests: Vec<SessionRequest>,
    },
    /// Check a qcow2 and repair it. Some tools report in JSON whether the repair is incomplete, as `repair-incomplete`.
    Repair {
        /// The image.
        file: ImageFile,
        /// What may be repaired.
        tier: RepairTier,
    },
}

/// For `#[serde(with)]`: a size as a number of bytes.
mod size_in_bytes {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::base::size::Size;

    pub(super) fn serialize<S: Serializer>(size: &Size, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(size.bytes())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Size, D::Error> {
        u64::deserialize(deserializer).map(Size::of_bytes)
    }
}

/// What to do with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotAction {
    /// Create one of the current contents.
    Create,
    /// Delete one.
    Delete,
    /// Make its contents the current ones.
    Apply,
}

/// What a repair may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepairTier {
    /// Leaked clusters.
    Leaks,
    /// Everything.
    All,
}

impl RepairTier {
    /// Returns its name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leaks => "leaks",
            Self::All => "all",
        }
    }
}

impl Request {
    /// Whether the request must not write to any file.
    pub fn is_reading(&self) -> bool {
        match self {
            Self::Bench { plan, .. } => !plan.writes,
            Self::Session { requests, .. } => singles(requests).all(SessionRequest::is_read),
            Self::Info { .. }
            | Self::Check { .. }
            | Self::Measure { .. }
            | Self::Contents { .. }
            | Self::Map { .. }
            | Self::Compare { .. }
            | Self::SnapshotList { .. }
            | Self::SnapshotContents { .. } => true,
            _ => false,
        }
    }

    /// Returns why nobody can carry it out: it creates or changes an image of a format that no tool writes.
    pub fn objection_of_format(&self) -> Option<String> {
        let format = self.file().format;
        let is_possible = self.is_reading() || format.is_written();
        (!is_possible).then(|| format!("no tool writes {format}"))
    }

    /// Returns why the tool `name`, which does everything in its own way only, does not carry it out.
    pub fn objection_of_mode(&self, name: &str) -> Option<String> {
        if self.images().iter().any(|file| !file.opening.is_usual()) {
            return Some(format!("{name} has no ways of opening an image"));
        }
        let (is_usual, what) = match self {
            Self::Create { file, .. } => (!file.placement.unopened, "of creating"),
            Self::Convert { target, mode, .. } => {
                (mode.is_usual() && target.backing.is_none(), "of copying")
            }
            Self::Rebase { mode, .. } => (!mode.compresses, "of a rebase"),
            Self::Commit { keeps, .. } => (!keeps, "of a commit"),
            Self::Measure {
                options, snapshot, ..
            } => (options.is_empty() && snapshot.is_none(), "of a measurement"),
            Self::Bitmap { merged_from, .. } => (merged_from.is_none(), "of merging bitmaps"),
            _ => return None,
        };
        (!is_usual).then(|| format!("{name} has no modes {what}"))
    }

    /// Returns the request with this way of opening the images that it reads, and the one that is there to be copied into.
    pub fn opened(mut self, opening: Opening) -> Self {
        let is_there = matches!(&self, Self::Convert { mode, .. } if mode.existing);
        let (first, second) = match &mut self {
            Self::Convert { source, target, .. } => (source, Some(target).filter(|_| is_there)),
            Self::ConvertSnapshot { source, .. } | Self::Dd { source, .. } => (source, None),
            Self::Compare { first, second } => (first, Some(second)),
            Self::Info { file }
            | Self::Check { file }
            | Self::Map { file, .. }
            | Self::Measure { source: file, .. } => (file, None),
            _ => return self,
        };
        first.opening = opening;
        if let Some(second) = second {
            second.opening = opening;
        }
        self
    }

    /// Returns all images of the request.
    pub fn images(&self) -> Vec<&ImageFile> {
        match self {
            Self::Convert { source, target, .. }
            | Self::ConvertSnapshot { source, target, .. }
            | Self::Dd { source, target, .. } => vec![source, target],
            Self::Compare { first, second } => vec![first, second],
            other => vec![other.file()],
        }
    }

    /// Returns the image that the request concerns: the one that is created or changed, otherwise the one that is read.
    pub fn file(&self) -> &ImageFile {
        match self {
            Self::Create { file, .. }
            | Self::Info { file }
            | Self::Check { file }
            | Self::Resize { file, .. }
            | Self::Write { file, .. }
            | Self::WriteZeroes { file, .. }
            | Self::Discard { file, .. }
            | Self::Contents { file }
            | Self::Map { file, .. }
            | Self::Amend { file, .. }
            | Self::Rebase { file, .. }
            | Self::Commit { file, .. }
            | Self::Bitmap { file, .. }
            | Self::Bench { file, .. }
            | Self::Session { file, .. }
            | Self::Snapshot { file, .. }
            | Self::SnapshotList { file }
            | Self::SnapshotContents { file, .. }
            | Self::Repair { file, .. }
            | Self::Dd { target: file, .. }
            | Self::Convert { target: file, .. }
            | Self::ConvertSnapshot { target: file, .. }
            | Self::Compare { first: file, .. }
            | Self::Measure { source: file, .. } => file,
        }
    }
}
