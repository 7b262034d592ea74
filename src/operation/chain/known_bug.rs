//! Steps that meet a known defect of qemu-img, told from where the chain stands.
//!
//! The generator draws them seldom and on purpose, one kind in a case, so that a campaign says that the defects are still there
//! without drowning in them; [`Chain`](super::Chain) names them as features, by which the catalogue knows them. Each was seen with
//! qemu-img 10.0.2 against itself and the model.

use super::Chain;
use super::chain_state::ChainState;
use super::step::{ChainStep, Layer};
use crate::image::format::Format;
use crate::image::options::{Preallocation, Subformat};
use crate::operation::feature::Feature;
use crate::tool::request::{ImageFile, SnapshotAction};

/// What is defective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownQemuBug {
    /// `rebase` corrupts its heap where an image below the overlay has an end that does not fit the overlay's clusters.
    UnalignedRebase,
    /// `resize --preallocation=metadata` takes host clusters that were freed before for zeros, and shows what is left in them.
    MetadataGrowth,
    /// A snapshot for which the refcounts are too narrow is refused, and clusters are leaked: compressed clusters share a host
    /// cluster, and each counts.
    NarrowSnapshot,
    /// What lies behind the image's end in its last cluster is shown when the image grows: it was cut there, or written to in part
    /// and filled up from a backing file that is gone; only what lies over a longer backing file is zeroed.
    UnalignedGrowth,
    /// Amended to version 2, an image forgets its bitmaps and leaks their clusters.
    Version2Bitmaps,
    /// Amended to version 2, which has no zero clusters, an encrypted image gets clusters of plain zeros in their place, and a guest
    /// sees what they decrypt to.
    EncryptedDowngrade,
    /// A compressed conversion to qcow ends with exit code 1 and without a word, whatever is converted.
    CompressedQcow,
    /// `check -r` forgets the snapshots of an image with bitmaps, and frees what only they held: opening an image for a check leaves
    /// the snapshot table for later, and loading bitmaps writes the header before.
    RepairedSnapshots,
}

/// What one piece of an L2 table that qemu-img keeps in memory reaches with these clusters: 2 GiB.
const HUGE_RUN_CLUSTER_BYTES: u64 = 128 << 10;
const HUGE_RUN_RUN_BYTES: u64 = 1 << 31;

impl ChainStep {
    /// See [`Feature::DowngradedSnapshots`].
    fn downgrades_snapshots(&self, chain_state: &ChainState) -> bool {
        let Self::Amend { options } = self else {
            return false;
        };
        options.is_version_2() && !chain_state.model.snapshots.is_empty()
    }

    /// See [`Feature::PreallocatedGrowth`].
    fn preallocates_growth(&self, chain_state: &ChainState) -> bool {
        let Self::Resize {
            size,
            preallocation: Some(mode),
        } = self
        else {
            return false;
        };
        mode.takes_space()
            && chain_state.top().format == Format::Qcow2
            && *size > chain_state.model.top.size
    }

    /// Whether it meets [`KnownQemuBug::UnalignedRebase`] further down: an image of the chain ends within a cluster of the overlay, or has
    /// smaller clusters, so that what is allocated there begins within one. Kept apart from [`KnownQemuBug::of`], by which cases are drawn.
    fn rebases_over_finer_images(&self, chain_state: &ChainState) -> bool {
        let (size, cluster) = (chain_state.model.top.size, chain_state.top().cluster_size());
        let has_unaligned_tail = |end: u64| end < size && !end.is_multiple_of(cluster);
        let is_finer = |file: &ImageFile| match file.format {
            Format::Raw => false,
            Format::Qcow2 => file.cluster_size() < cluster,
            _ => true,
        };
        let mut below = chain_state.below().iter().zip(&chain_state.model.below);
        matches!(self, Self::Rebase { .. })
            && below.any(|(file, lower)| has_unaligned_tail(lower.view.size) || is_finer(file))
    }

    /// See [`Feature::ParallelsUnmap`].
    fn unmaps_parallels(&self, chain_state: &ChainState) -> bool {
        // Whole clusters are given back whether that is asked for or not.
        let is_zeroing = matches!(self, Self::WriteZeroes { .. });
        is_zeroing && chain_state.top().format == Format::Parallels
    }
}

impl ChainState {
    /// Returns the known bugs that the step meets, those by which cases are drawn first. The step steps on the current image: see
    /// [`ChainState::resolved`].
    pub(super) fn bugs_met_by(&self, step: &ChainStep) -> impl Iterator<Item = Feature> {
        let met = [
            (
                step.rebases_over_finer_images(self),
                Feature::UnalignedRebase,
            ),
            (step.unmaps_parallels(self), Feature::ParallelsUnmap),
            (step.preallocates_growth(self), Feature::PreallocatedGrowth),
            (
                step.downgrades_snapshots(self),
                Feature::DowngradedSnapshots,
            ),
        ];
        let not_drawn = met
            .into_iter()
            .filter_map(|(is_met, bug)| is_met.then_some(bug));
        let drawn = KnownQemuBug::of(self, step).map(KnownQemuBug::feature);
        drawn.into_iter().chain(not_drawn)
    }

    /// Whether a map of the current image, or of one below it, may end with a failed assertion (bdrv_co_do_block_status).
    pub(super) fn has_huge_encrypted_runs(&self) -> bool {
        let lower = self.below().iter().zip(self.edges());
        let mut images = lower.chain([(self.top(), self.model.top.size)]);
        images.any(|(file, size)| {
            let is_wide = file.cluster_size() >= HUGE_RUN_CLUSTER_BYTES;
            file.is_encrypted() && is_wide && size >= HUGE_RUN_RUN_BYTES
        })
    }
}

impl Layer {
    /// Whether its format is guessed, wrongly, when an image of the format `above` lies on it: a qcow has no place for its backing
    /// file's format, and a fixed vpc has a footer only and is taken for raw. A guest sees the footer, with a random UUID and the
    /// time, as the last sector. Never drawn.
    pub fn is_guessed_under(&self, above: Format) -> bool {
        let is_fixed = self.options.subformat() == Some(Subformat::Fixed);
        above == Format::Qcow && self.format == Format::Vpc && is_fixed
    }
}

impl Chain {
    /// Whether an image lies on one whose format is guessed wrongly.
    pub(super) fn has_guessed_backing(&self) -> bool {
        let mut pairs = self.layers.iter().zip(self.layers.iter().skip(1));
        pairs.any(|(below, above)| below.is_guessed_under(above.format))
    }
}

impl KnownQemuBug {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::UnalignedRebase,
        Self::MetadataGrowth,
        Self::NarrowSnapshot,
        Self::UnalignedGrowth,
        Self::Version2Bitmaps,
        Self::EncryptedDowngrade,
        Self::CompressedQcow,
        Self::RepairedSnapshots,
    ];

    /// Those that a generation provokes. Another one changes what the ids of cases decode to.
    pub const PROVOKED: [Self; 7] = [
        Self::UnalignedRebase,
        Self::MetadataGrowth,
        Self::NarrowSnapshot,
        Self::UnalignedGrowth,
        Self::Version2Bitmaps,
        Self::EncryptedDowngrade,
        Self::CompressedQcow,
    ];

    /// What it is among the features of a chain.
    pub fn feature(self) -> Feature {
        match self {
            Self::UnalignedRebase => Feature::UnalignedRebase,
            Self::MetadataGrowth => Feature::MetadataGrowth,
            Self::NarrowSnapshot => Feature::NarrowSnapshot,
            Self::UnalignedGrowth => Feature::UnalignedGrowth,
            Self::Version2Bitmaps => Feature::Version2Bitmaps,
            Self::EncryptedDowngrade => Feature::EncryptedDowngrade,
            Self::CompressedQcow => Feature::CompressedQcow,
            Self::RepairedSnapshots => Feature::RepairedSnapshots,
        }
    }

    /// The one that this step meets where the chain stands.
    pub fn of(chain_state: &ChainState, step: &ChainStep) -> Option<Self> {
        let (chain_state, step) = chain_state.resolved(step);
        let (top, model) = (chain_state.top(), &chain_state.model);
        let size = model.top.size;
        match step {
            ChainStep::Rebase { .. } => {
                let old = model.below.last().map_or(size, |lower| lower.view.size);
                let ragged = old < size && !old.is_multiple_of(top.cluster_size());
                ragged.then_some(Self::UnalignedRebase)
            }
            ChainStep::Resize {
                size: wanted,
                preallocation,
            } if *wanted > size => {
                let metadata = *preallocation == Some(Preallocation::Metadata);
                if metadata && top.format == Format::Qcow2 {
                    return Some(Self::MetadataGrowth);
                }
                chain_state
                    .has_unaligned_tail()
                    .then_some(Self::UnalignedGrowth)
            }
            ChainStep::Snapshot {
                action: SnapshotAction::Create,
                ..
            } => (top.options.refcount_width() < 16).then_some(Self::NarrowSnapshot),
            ChainStep::Amend { options } => match options.is_version_2() {
                true if top.is_encrypted() => Some(Self::EncryptedDowngrade),
                true if !model.bitmaps.is_empty() => Some(Self::Version2Bitmaps),
                _ => None,
            },
            ChainStep::Convert {
                format: Format::Qcow,
                compress: true,
                ..
            }
            | ChainStep::ConvertSnapshot {
                format: Format::Qcow,
                compress: true,
                ..
            } => Some(Self::CompressedQcow),
            ChainStep::Repair { .. } => {
                let loses = !model.bitmaps.is_empty() && !model.snapshots.is_empty();
                loses.then_some(Self::RepairedSnapshots)
            }
            _ => None,
        }
    }
}
