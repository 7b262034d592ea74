//! What a chain is made of: its layers, and the steps on it.

use serde::{Deserialize, Serialize};

use crate::image::bitmap_action::BitmapAction;
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions, Preallocation};
use crate::operation::feature::Feature;
use crate::tool::request::qemu_words::as_words;
use crate::tool::request::{RepairTier, SnapshotAction, SnapshotKey};

pub use kind::ChainStepKind;

mod kind;

/// How a snapshot is named on a command line (`qemu-img convert -l`).
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
    /// All of them, the simplest first.
    pub const ALL: [Self; 5] = [
        Self::Name,
        Self::Id,
        Self::IdAndName,
        Self::BareName,
        Self::BareId,
    ];

    /// What names the snapshot of this id and name.
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

/// The value of `data_file` for a file that lies beside its image and is named after it.
pub const BESIDE: &str = "beside";

/// One image of a backing chain, as it is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Its format.
    pub format: Format,
    /// The virtual size it is created with, in bytes.
    pub size: u64,
    /// The `-o` options, without those that name the image below it. A data file called [`BESIDE`] gets its name from the image's.
    #[serde(default, skip_serializing_if = "CreateOptions::is_empty")]
    pub options: CreateOptions,
    /// What is written into it before the next one is put onto it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Write>,
    /// What is done with it then, before the next one is put onto it: snapshots, bitmaps, more writes. No conversion.
    #[serde(default, rename = "acts", skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ChainStep>,
}

/// One step on the current image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ChainStep {
    /// Guest data is written.
    Write {
        /// In this order.
        writes: Vec<Write>,
    },
    /// Guest data is made zero.
    WriteZeroes {
        /// Guest offset in bytes.
        offset: u64,
        /// Number of bytes.
        length: u64,
        /// Whether the space may be given back.
        unmap: bool,
    },
    /// Whole clusters are given back.
    Discard {
        /// Guest offset in bytes.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// Another virtual size.
    Resize {
        /// In bytes.
        size: u64,
        /// The value of `--preallocation`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preallocation: Option<Preallocation>,
    },
    /// An internal snapshot is made, removed or applied.
    Snapshot {
        /// Which of these.
        action: SnapshotAction,
        /// Its name.
        name: String,
    },
    /// The overlay is put, in safe mode, onto another image of its chain.
    Rebase {
        /// Its place in the chain, counted from the bottom; none: onto nothing.
        onto: Option<usize>,
    },
    /// The overlay is merged into the image below it.
    Commit,
    /// Creation options are changed in place.
    Amend {
        /// Each its own `-o`.
        options: CreateOptions,
    },
    /// A dirty bitmap is changed.
    Bitmap {
        /// What is done, at once; in JSON as qemu-img is told.
        #[serde(rename = "flags", with = "as_words")]
        actions: Vec<BitmapAction>,
        /// The bitmap.
        name: String,
    },
    /// The image is copied into a new one, which is the current one from then on.
    Convert {
        /// The new format.
        format: Format,
        /// The `-o` options.
        #[serde(default, skip_serializing_if = "CreateOptions::is_empty")]
        options: CreateOptions,
        /// Whether its clusters are compressed.
        compress: bool,
    },
    /// What is seen in an internal snapshot is copied into a new image, which is the current one from then on.
    ConvertSnapshot {
        /// The snapshot's name.
        name: String,
        /// In which words it is named.
        by: Naming,
        /// The new format.
        format: Format,
        /// The `-o` options.
        #[serde(default, skip_serializing_if = "CreateOptions::is_empty")]
        options: CreateOptions,
        /// Whether its clusters are compressed.
        compress: bool,
    },
    /// Something is done with an image below the current one, which changes nothing of what is seen in it.
    Below {
        /// Its place in the chain, counted from the bottom.
        layer: usize,
        /// What is done. No conversion.
        #[serde(rename = "act")]
        step: Box<ChainStep>,
    },
    /// All of it is read.
    Read,
    /// It is asked what is allocated.
    Map,
    /// It is described.
    Info,
    /// It is checked.
    Check,
    /// The size of a conversion is foretold.
    Measure {
        /// To this format.
        target: Format,
    },
    /// It is compared with another image.
    Compare {
        /// The place of that image in the chain, counted from the bottom; none: what it was converted from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        with: Option<usize>,
    },
    /// A window of it is copied block by block into a new image, which is the current one from then on.
    Dd {
        /// The new format.
        format: Format,
        /// The block size in bytes.
        block_size: u64,
        /// How many blocks are looked at; none: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
        /// How many of them are passed over.
        skip: u64,
    },
    /// It is checked, and what is wrong repaired: nothing.
    Repair {
        /// What may be repaired.
        tier: RepairTier,
    },
    /// It is read, or written to, in a fixed rhythm.
    Bench {
        /// How many requests.
        count: u64,
        /// Bytes of each.
        length: u64,
        /// Where the first begins, in bytes.
        offset: u64,
        /// Bytes from the beginning of one to that of the next.
        stride: u64,
        /// How many are under way at once.
        depth: u64,
        /// What is written; none: it is read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        byte: Option<u8>,
    },
    /// Its snapshots are listed.
    SnapshotList,
    /// Something is asked that every tool must refuse, and that changes nothing. Only cases that are written by hand have it.
    Refused {
        /// What is asked.
        #[serde(rename = "act")]
        step: Box<ChainStep>,
    },
}

impl ChainStep {
    /// Which one it is.
    pub fn kind(&self) -> ChainStepKind {
        match self {
            Self::Write { .. } => ChainStepKind::Write,
            Self::WriteZeroes { .. } => ChainStepKind::WriteZeroes,
            Self::Discard { .. } => ChainStepKind::Discard,
            Self::Resize { .. } => ChainStepKind::Resize,
            Self::Snapshot { .. } => ChainStepKind::Snapshot,
            Self::Rebase { .. } => ChainStepKind::Rebase,
            Self::Commit => ChainStepKind::Commit,
            Self::Amend { .. } => ChainStepKind::Amend,
            Self::Bitmap { .. } => ChainStepKind::Bitmap,
            Self::Convert { .. } => ChainStepKind::Convert,
            Self::ConvertSnapshot { .. } => ChainStepKind::ConvertSnapshot,
            Self::Below { .. } => ChainStepKind::Below,
            Self::Read => ChainStepKind::Read,
            Self::Map => ChainStepKind::Map,
            Self::Info => ChainStepKind::Info,
            Self::Check => ChainStepKind::Check,
            Self::Measure { .. } => ChainStepKind::Measure,
            Self::Compare { .. } => ChainStepKind::Compare,
            Self::Dd { .. } => ChainStepKind::Dd,
            Self::Repair { .. } => ChainStepKind::Repair,
            Self::Bench { .. } => ChainStepKind::Bench,
            Self::SnapshotList => ChainStepKind::SnapshotList,
            Self::Refused { .. } => ChainStepKind::Refused,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The format of the image that it makes.
    pub fn format(&self) -> Option<Format> {
        match self {
            Self::Convert { format, .. } | Self::Dd { format, .. } => Some(*format),
            _ => None,
        }
    }

    /// The `-o` options that it gives.
    pub fn options(&self) -> &[CreateOption] {
        match self {
            Self::Amend { options }
            | Self::Convert { options, .. }
            | Self::ConvertSnapshot { options, .. } => options.as_slice(),
            Self::Below { step, .. } | Self::Refused { step } => step.options(),
            _ => &[],
        }
    }

    /// Its kind, and that of what is done with an image below.
    pub(super) fn features(&self) -> Vec<Feature> {
        let own = Feature::Step(self.kind());
        match self {
            Self::Below { step, .. } => {
                vec![own, Feature::Step(step.kind()), step.feature_below()]
            }
            Self::Refused { step } => {
                let mut features = step.features();
                features.insert(0, own);
                features
            }
            _ => vec![own],
        }
    }

    /// What it is called among the features of a chain when it is done with an image that lies, or will lie, below others.
    pub(super) fn feature_below(&self) -> Feature {
        match self {
            Self::Snapshot { .. } => Feature::SnapshotBelow,
            Self::Bitmap { .. } => Feature::BitmapBelow,
            _ => Feature::StepBelow,
        }
    }

    /// Whether another image is the current one afterwards.
    pub fn is_copy(&self) -> bool {
        matches!(
            self,
            Self::Convert { .. } | Self::ConvertSnapshot { .. } | Self::Dd { .. }
        )
    }
}
