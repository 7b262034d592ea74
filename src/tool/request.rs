//! One thing asked of a tool, and what came of it.
//!
//! Operations make requests and judge answers without knowing tools; tools answer requests without knowing operations.
//! They meet here. A tool's failure is an answer; see `Exit`.

mod answer;
mod bench_plan;
mod image_file;
mod kind;
mod new_size;
pub mod qemu_words;
mod rebase_mode;
mod snapshot_key;
mod window;

pub use answer::{Answer, Ended, Exit};
pub use bench_plan::BenchPlan;
pub use image_file::ImageFile;
pub use kind::RequestKind;
pub use new_size::NewSize;
pub use rebase_mode::RebaseMode;
pub use snapshot_key::SnapshotKey;
pub use window::Window;

use serde::{Deserialize, Serialize};

use crate::base::size::Size;
use crate::image::bitmap_action::BitmapAction;
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::{CreateOptions, Preallocation, as_object};

/// One thing asked of a tool. The formats of images that are only read are not told to the tool (it finds them out, as in
/// the Python harness), except for [`Request::Contents`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Make an image with the file's options.
    Create {
        /// The image to be made.
        file: ImageFile,
        /// Its virtual size; in JSON in bytes.
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
        /// The image to be read.
        source: ImageFile,
        /// The image to be made.
        target: ImageFile,
        /// Whether its clusters are to be compressed.
        compress: bool,
    },
    /// Copy what is seen in an internal snapshot into a new image.
    ConvertSnapshot {
        /// The image with the snapshot.
        source: ImageFile,
        /// The image to be made.
        target: ImageFile,
        /// Whether its clusters are to be compressed.
        compress: bool,
        /// How the snapshot is named.
        snapshot: SnapshotKey,
    },
    /// Foretell the file size of a conversion, in the shape of `qemu-img measure --output=json`.
    Measure {
        /// The image to be converted.
        source: ImageFile,
        /// The format it would be converted to.
        target: Format,
    },
    /// Change an image's virtual size.
    Resize {
        /// The image.
        file: ImageFile,
        /// The new size, as it is asked for.
        size: NewSize,
        /// The new size in bytes.
        end_bytes: u64,
        /// Whether losing data at the end is agreed to.
        shrink: bool,
        /// The preallocation mode of what is added.
        preallocation: Option<Preallocation>,
    },
    /// Write guest data.
    Write {
        /// The image.
        file: ImageFile,
        /// What is written, in this order.
        writes: Vec<Write>,
    },
    /// Make guest data zero.
    WriteZeroes {
        /// The image.
        file: ImageFile,
        /// Guest offset in bytes.
        offset: u64,
        /// Number of bytes.
        length: u64,
        /// Whether the space may be given back as well.
        unmap: bool,
    },
    /// Give space back; what is given back reads as zeros.
    Discard {
        /// The image.
        file: ImageFile,
        /// Guest offset in bytes.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// Read the whole of what a guest would see.
    Contents {
        /// The image.
        file: ImageFile,
    },
    /// Describe what is allocated, in the shape of `qemu-img map --output=json`.
    Map {
        /// The image.
        file: ImageFile,
        /// The part of it that is described.
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
    /// Put an overlay onto another backing file.
    Rebase {
        /// The overlay.
        file: ImageFile,
        /// The new backing file's name, as it is to be recorded; none to detach.
        new_backing: Option<String>,
        /// How.
        mode: RebaseMode,
    },
    /// Merge an overlay into its backing file.
    Commit {
        /// The overlay.
        file: ImageFile,
        /// The backing file, when it is named with `-b`.
        base: Option<String>,
    },
    /// Copy a window of an image block by block into a new image.
    Dd {
        /// The image to be read.
        source: ImageFile,
        /// The image to be made.
        target: ImageFile,
        /// The block size in bytes.
        block_size: u64,
        /// How many blocks of the source are looked at; none: all.
        count: Option<u64>,
        /// How many of them are passed over.
        skip: u64,
    },
    /// Change a dirty bitmap of a qcow2.
    Bitmap {
        /// The image.
        file: ImageFile,
        /// What is done, at once.
        actions: Vec<BitmapAction>,
        /// The bitmap.
        name: String,
    },
    /// Read or write an image in a fixed rhythm.
    Bench {
        /// The image.
        file: ImageFile,
        /// The rhythm.
        plan: BenchPlan,
    },
    /// Say whether a guest would see the same in two images: a refusal says that it would not.
    Compare {
        /// One image.
        first: ImageFile,
        /// The other.
        second: ImageFile,
    },
    /// Create, delete or apply an internal snapshot of a qcow2. Freed clusters are not to be discarded, so that what is in
    /// them can be compared.
    Snapshot {
        /// The image.
        file: ImageFile,
        /// What is done.
        action: SnapshotAction,
        /// The name of the new snapshot, or what names one that is there.
        snapshot: SnapshotKey,
    },
    /// List a qcow2's internal snapshots, for a person, in the layout of qemu-img 9.0 and later.
    SnapshotList {
        /// The image.
        file: ImageFile,
    },
    /// Read the whole of what a guest would see if a snapshot were applied.
    SnapshotContents {
        /// The image.
        file: ImageFile,
        /// The snapshot's unique id string.
        id: String,
    },
    /// Check a qcow2 and repair it. Some tools say in JSON whether they left something undone, as `repair-incomplete`.
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

/// What is done with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotAction {
    /// Make one of what the guest sees now.
    Create,
    /// Remove one.
    Delete,
    /// Let the guest see what it saw then.
    Apply,
}

/// What a repair may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepairTier {
    /// Clusters that nobody uses.
    Leaks,
    /// Everything.
    All,
}

impl RepairTier {
    /// Its name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leaks => "leaks",
            Self::All => "all",
        }
    }
}

impl Request {
    /// Whether it may write to no file at all.
    pub fn is_reading(&self) -> bool {
        match self {
            Self::Bench { plan, .. } => !plan.writes,
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

    /// Every image that it names.
    pub fn images(&self) -> Vec<&ImageFile> {
        match self {
            Self::Convert { source, target, .. }
            | Self::ConvertSnapshot { source, target, .. }
            | Self::Dd { source, target, .. } => vec![source, target],
            Self::Compare { first, second } => vec![first, second],
            other => vec![other.file()],
        }
    }

    /// The image it is asked of: the one that is made, changed or, where none is, read.
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
