//! The parts of a chain: its layers, and its steps.

use serde::{Deserialize, Serialize};

use crate::image::bitmap_action::BitmapAction;
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions, Preallocation};
use crate::image::outside::OutsideFile;
use crate::operation::feature::Feature;
use crate::tool::request::Fault;
use crate::tool::request::qemu_words::as_words;
use crate::tool::request::{
    CopyMode, Opening, Placement, RepairTier, SessionRequest, SnapshotAction, SnapshotKey, Window,
};

pub use kind::ChainStepKind;

mod kind;

/// How a command line names a snapshot (`qemu-img convert -l`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    /// `snapshot.name=NAME`.
    Name,
    /// `snapshot.id=ID`.
    Id,
    /// `snapshot.id=ID,snapshot.name=NAME`.
    IdAndName,
    /// `NAME` alone.
    BareName,
    /// `ID` alone.
    BareId,
}

impl Naming {
    /// All ways, the simplest first.
    pub const ALL: [Self; 5] = [
        Self::Name,
        Self::Id,
        Self::IdAndName,
        Self::BareName,
        Self::BareId,
    ];

    /// Returns the name of the snapshot with this id and name.
    pub fn key(self, id: u64, name: &str) -> SnapshotKey {
        let (id, name) = (id.to_string(), name.to_owned());
        match self {
            Self::Name => SnapshotKey::Name(name),
            Self::Id => SnapshotKey::Id(id),
            Self::IdAndName => SnapshotKey::IdAndName { id, name },
            Self::BareName => SnapshotKey::IdOrName(name),
            Self::BareId => SnapshotKey::IdOrName(id),
        }
    }
}

/// The value of `data_file` for a file in the image's directory that is named after the image.
pub const BESIDE: &str = "beside";

/// One image of a backing chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// The format.
    pub format: Format,
    /// The virtual size at creation, in bytes.
    pub size: u64,
    /// The `-o` options, without those of the backing file. A data file called [`BESIDE`] is named after the image.
    #[serde(default, skip_serializing_if = "CreateOptions::is_empty")]
    pub options: CreateOptions,
    /// Data that is written before the overlay is created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Write>,
    /// Steps before the overlay is created: snapshots, bitmaps, more writes. Not a conversion.
    #[serde(default, rename = "acts", skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ChainStep>,
    /// Where it lies, and how it is put onto the image below it.
    #[serde(default, skip_serializing_if = "Placement::is_usual")]
    pub placement: Placement,
    /// What is known of the file, if the image is not made but comes from outside. Such layers lie below all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<Box<OutsideFile>>,
}

/// The image that a conversion creates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversion {
    /// The new format.
    pub format: Format,
    /// The `-o` options.
    #[serde(default, skip_serializing_if = "CreateOptions::is_empty")]
    pub options: CreateOptions,
    /// Whether clusters are compressed.
    pub compress: bool,
    /// Whether the new image gets the backing file of the current one, instead of all data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_backing: bool,
    /// How it is copied; not of snapshots.
    #[serde(flatten)]
    pub mode: CopyMode,
}

/// One step on the current image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ChainStep {
    /// Writes guest data.
    Write {
        /// The writes, in order.
        writes: Vec<Write>,
    },
    /// Writes zeros.
    WriteZeroes {
        /// The guest offset in bytes.
        offset: u64,
        /// The number of bytes.
        length: u64,
        /// Whether the tool may unmap the range.
        unmap: bool,
    },
    /// Discards whole clusters.
    Discard {
        /// The guest offset in bytes.
        offset: u64,
        /// The number of bytes.
        length: u64,
    },
    /// Changes the virtual size.
    Resize {
        /// The new size in bytes.
        size: u64,
        /// The value of `--preallocation`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preallocation: Option<Preallocation>,
    },
    /// Creates, deletes or applies an internal snapshot.
    Snapshot {
        /// Which of the three.
        action: SnapshotAction,
        /// The snapshot's name.
        name: String,
    },
    /// Changes the overlay's backing file to another image of its chain.
    Rebase {
        /// The index of that image, from the bottom; `None` for no backing file.
        onto: Option<usize>,
        /// Whether only the name changes, without copying data (`-u`).
        #[serde(default, rename = "unsafe", skip_serializing_if = "std::ops::Not::not")]
        is_unsafe: bool,
        /// Whether data that is copied is compressed (`-c`).
        #[serde(
            default,
            rename = "compress",
            skip_serializing_if = "std::ops::Not::not"
        )]
        compresses: bool,
    },
    /// Merges the overlay into an image below it.
    Commit {
        /// The index of that image, from the bottom, if it is named (`-b`); `None` for the overlay's backing file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<usize>,
        /// Whether the overlay keeps its data (`-d`).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keeps: bool,
    },
    /// Changes creation options in place.
    Amend {
        /// The options, each with its own `-o`.
        options: CreateOptions,
    },
    /// Changes a dirty bitmap.
    Bitmap {
        /// The changes, all in one call; JSON has the flags of qemu-img.
        #[serde(rename = "flags", with = "as_words")]
        actions: Vec<BitmapAction>,
        /// The bitmap's name.
        name: String,
        /// The index of the image that has the bitmap to be merged, from the bottom (`-b`); `None` for the image
        /// itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<usize>,
    },
    /// Copies the image into a new one, which becomes the current image.
    Convert(Conversion),
    /// Copies the contents of an internal snapshot into a new image, which becomes the current image.
    ConvertSnapshot {
        /// The snapshot's name.
        name: String,
        /// How the command line names it.
        by: Naming,
        /// Whether its size may differ from the image's.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        resized: bool,
        /// The new image.
        #[serde(flatten)]
        to: Conversion,
    },
    /// Copies the image into the one that it was converted from, which keeps what lies behind the end of the copy, and
    /// becomes the current image again.
    ConvertInto {
        /// How it is copied.
        #[serde(flatten)]
        mode: CopyMode,
    },
    /// Performs a step on a backing image that does not change its guest-visible contents.
    Below {
        /// The index of that image, from the bottom.
        layer: usize,
        /// The step. Not a conversion.
        #[serde(rename = "act")]
        step: Box<ChainStep>,
    },
    /// Reads the whole image.
    Read,
    /// Maps the image, or a part of it.
    Map {
        /// The part; JSON has what is given of it.
        #[serde(flatten)]
        window: Window,
    },
    /// Describes the image.
    Info,
    /// Checks the image.
    Check,
    /// Predicts the size of a conversion.
    Measure {
        /// The format of the conversion.
        target: Format,
        /// Its `-o` options.
        #[serde(default, skip_serializing_if = "CreateOptions::is_empty")]
        options: CreateOptions,
        /// The name of the snapshot to be converted (`-l`); `None` for the current contents.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        snapshot: Option<String>,
    },
    /// Compares the image with another one.
    Compare {
        /// The index of the other image, from the bottom; `None` for the image that the current one was converted from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        with: Option<usize>,
    },
    /// Copies a window of the image block by block into a new image, which becomes the current image.
    Dd {
        /// The new format.
        format: Format,
        /// The block size in bytes.
        block_size: u64,
        /// The number of blocks of the source; `None` for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
        /// The number of blocks to skip.
        skip: u64,
    },
    /// Checks and repairs the image, which has no errors.
    Repair {
        /// What may be repaired.
        tier: RepairTier,
    },
    /// Runs a benchmark that reads or writes at a fixed stride.
    Bench {
        /// The number of requests.
        count: u64,
        /// The number of bytes of each request.
        length: u64,
        /// The offset of the first request, in bytes.
        offset: u64,
        /// The distance between the starts of two requests, in bytes.
        stride: u64,
        /// The number of requests in flight.
        depth: u64,
        /// The byte to write; `None` for reads.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        byte: Option<u8>,
    },
    /// Opens the image once and makes many requests.
    Session {
        /// The requests, in order.
        requests: Vec<SessionRequest>,
    },
    /// Has the tool try a step while one of its calls fails, on a copy of the files: the image must be as before or as
    /// after the step, and have no errors but leaks. It changes nothing for the steps that follow.
    Fault {
        /// The step.
        #[serde(rename = "act")]
        step: Box<ChainStep>,
        /// The call that fails.
        fault: Fault,
    },
    /// Performs a step that reads the image, which is opened in another way.
    Opened {
        /// The way.
        #[serde(flatten)]
        opening: Opening,
        /// The step.
        #[serde(rename = "act")]
        step: Box<ChainStep>,
    },
    /// Lists the snapshots.
    SnapshotList,
    /// Performs a step that every tool must refuse and that changes nothing. Only cases that are written by hand have
    /// it.
    Refused {
        /// The step.
        #[serde(rename = "act")]
        step: Box<ChainStep>,
    },
}

impl ChainStep {
    /// Returns the kind of the step.
    pub fn kind(&self) -> ChainStepKind {
        match self {
            Self::Write { .. } => ChainStepKind::Write,
            Self::WriteZeroes { .. } => ChainStepKind::WriteZeroes,
            Self::Discard { .. } => ChainStepKind::Discard,
            Self::Resize { .. } => ChainStepKind::Resize,
            Self::Snapshot { .. } => ChainStepKind::Snapshot,
            Self::Rebase { .. } => ChainStepKind::Rebase,
            Self::Commit { .. } => ChainStepKind::Commit,
            Self::Amend { .. } => ChainStepKind::Amend,
            Self::Bitmap { .. } => ChainStepKind::Bitmap,
            Self::Convert { .. } => ChainStepKind::Convert,
            Self::ConvertSnapshot { .. } => ChainStepKind::ConvertSnapshot,
            Self::ConvertInto { .. } => ChainStepKind::ConvertInto,
            Self::Below { .. } => ChainStepKind::Below,
            Self::Read => ChainStepKind::Read,
            Self::Map { .. } => ChainStepKind::Map,
            Self::Info => ChainStepKind::Info,
            Self::Check => ChainStepKind::Check,
            Self::Measure { .. } => ChainStepKind::Measure,
            Self::Compare { .. } => ChainStepKind::Compare,
            Self::Dd { .. } => ChainStepKind::Dd,
            Self::Repair { .. } => ChainStepKind::Repair,
            Self::Bench { .. } => ChainStepKind::Bench,
            Self::Session { .. } => ChainStepKind::Session,
            Self::Fault { .. } => ChainStepKind::Fault,
            Self::Opened { .. } => ChainStepKind::Opened,
            Self::SnapshotList => ChainStepKind::SnapshotList,
            Self::Refused { .. } => ChainStepKind::Refused,
        }
    }

    /// Returns the name of its kind.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Returns the format of the image that the step creates.
    pub fn format(&self) -> Option<Format> {
        match self {
            Self::Convert(Conversion { format, .. }) | Self::Dd { format, .. } => Some(*format),
            Self::Opened { step, .. } => step.format(),
            _ => None,
        }
    }

    /// Returns the `-o` options of the step.
    pub fn options(&self) -> &[CreateOption] {
        match self {
            Self::Amend { options } | Self::Measure { options, .. } => options.as_slice(),
            Self::Convert(to) | Self::ConvertSnapshot { to, .. } => to.options.as_slice(),
            Self::Below { step, .. }
            | Self::Refused { step }
            | Self::Fault { step, .. }
            | Self::Opened { step, .. } => step.options(),
            _ => &[],
        }
    }

    /// Returns its kind, and that of a step on a backing image.
    pub(super) fn features(&self) -> Vec<Feature> {
        let own = Feature::Step(self.kind());
        match self {
            Self::Below { step, .. } => {
                vec![own, Feature::Step(step.kind()), step.feature_below()]
            }
            Self::Refused { step } | Self::Fault { step, .. } | Self::Opened { step, .. } => {
                let mut features = step.features();
                features.insert(0, own);
                features
            }
            _ => vec![own],
        }
    }

    /// Returns the feature for this step on an image that is, or will be, a backing file.
    pub(super) fn feature_below(&self) -> Feature {
        match self {
            Self::Snapshot { .. } => Feature::SnapshotBelow,
            Self::Bitmap { .. } => Feature::BitmapBelow,
            _ => Feature::StepBelow,
        }
    }

    /// Whether the step only looks at the current image.
    pub fn is_look(&self) -> bool {
        if let Self::Opened { step, .. } = self {
            return step.is_look();
        }
        matches!(
            self,
            Self::Read
                | Self::Map { .. }
                | Self::Info
                | Self::Check
                | Self::Measure { .. }
                | Self::SnapshotList
        )
    }

    /// Whether the step makes another image the current one.
    pub fn is_copy(&self) -> bool {
        if let Self::Opened { step, .. } = self {
            return step.is_copy();
        }
        matches!(
            self,
            Self::Convert { .. }
                | Self::ConvertSnapshot { .. }
                | Self::ConvertInto { .. }
                | Self::Dd { .. }
        )
    }
}
