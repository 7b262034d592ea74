//! Known qemu-img bugs, and the steps that meet them in a given state of the chain.
//!
//! The generators draw such steps rarely, at most one kind per case, so that a campaign shows that the bugs still exist
//! without many duplicates. [`Chain`](super::Chain) reports them as features, which the catalogue matches. Each was
//! observed with qemu-img 10.0.2 against itself and the model.

use super::Chain;
use super::chain_state::ChainState;
use super::session;
use super::step::{ChainStep, Layer};
use crate::image::format::Format;
use crate::image::options::{Preallocation, Subformat};
use crate::operation::feature::Feature;
use crate::tool::request::{ImageFile, SnapshotAction, singles};

/// A known bug of qemu-img.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownQemuBug {
    /// `rebase` corrupts its heap if a backing image of the overlay ends within a cluster of the overlay.
    UnalignedRebase,
    /// `resize --preallocation=metadata` treats freed host clusters as zeros and exposes their old data.
    MetadataGrowth,
    /// qemu-img refuses a snapshot for which the refcounts are too narrow, and leaks clusters: compressed clusters
    /// share a host cluster, and each of them counts.
    NarrowSnapshot,
    /// Growing an image exposes the data beyond its old end in its last cluster, which is there after shrinking, or
    /// after a partial write that filled the cluster from a backing file that is gone. qemu-img zeroes only the range
    /// over a longer backing file.
    UnalignedGrowth,
    /// An image with bitmaps that is amended to version 2 loses them and leaks their clusters.
    Version2Bitmaps,
    /// An encrypted image that is amended to version 2, which has no zero clusters, gets clusters of plain zeros
    /// instead, so that a guest sees their decryption.
    EncryptedDowngrade,
    /// A compressed conversion to qcow exits with code 1 and no message, whatever the source.
    CompressedQcow,
    /// `check -r` removes the snapshots of an image with bitmaps and frees their clusters: opening an image for a check
    /// defers loading the snapshot table, and loading the bitmaps writes the header before that.
    RepairedSnapshots,
}

/// The cluster size at which one cached slice of an L2 table covers 2 GiB.
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

    /// Whether the step meets [`KnownQemuBug::UnalignedRebase`] in a way that is never drawn: a backing image ends
    /// within a cluster of the overlay, or has smaller clusters, so that its allocation changes within a cluster of the
    /// overlay. Separate from [`KnownQemuBug::met_by`], because that one determines which cases are drawn.
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
        // qemu-img unmaps whole clusters with or without the flag.
        let zeroed = match self {
            Self::WriteZeroes { .. } => Some(chain_state.top()),
            Self::ConvertInto { .. } => chain_state.counterpart(None).map(|(file, _)| file),
            _ => None,
        };
        zeroed.is_some_and(|file| file.format == Format::Parallels)
    }
}

impl ChainState {
    /// Returns the known bugs that the step meets, first those that determine which cases are drawn. The step works on
    /// the current image: see [`ChainState::resolved`].
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
        let drawn = KnownQemuBug::met_by(self, step).map(KnownQemuBug::feature);
        drawn.into_iter().chain(not_drawn)
    }

    /// Whether a map of the current image or of a backing image may fail an assertion (bdrv_co_do_block_status).
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
    /// Whether qemu-img guesses the format of this layer wrongly if its overlay has the format `above`: qcow and qed do not
    /// store the format of their backing file, and a fixed vpc has only a footer, so that it is taken for raw. A guest
    /// then sees the footer, with a random UUID and the time, as the last sector. Never drawn.
    pub fn is_guessed_under(&self, above: Format) -> bool {
        let is_fixed = self.options.subformat() == Some(Subformat::Fixed);
        let is_probed = matches!(above, Format::Qcow | Format::Qed);
        is_probed && self.format == Format::Vpc && is_fixed
    }
}

impl Chain {
    /// Whether the format of a backing image is guessed wrongly.
    pub(super) fn has_guessed_backing(&self) -> bool {
        let mut pairs = self.layers.iter().zip(self.layers.iter().skip(1));
        pairs.any(|(below, above)| below.is_guessed_under(above.format))
    }
}

impl KnownQemuBug {
    /// All known bugs.
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

    /// The bugs that a generation provokes. A new entry would change what the ids of cases decode to.
    pub const PROVOKED: [Self; 7] = [
        Self::UnalignedRebase,
        Self::MetadataGrowth,
        Self::NarrowSnapshot,
        Self::UnalignedGrowth,
        Self::Version2Bitmaps,
        Self::EncryptedDowngrade,
        Self::CompressedQcow,
    ];

    /// Returns the feature that stands for the bug.
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

    /// Returns the bug that the step meets in this state.
    pub fn met_by(chain_state: &ChainState, step: &ChainStep) -> Option<Self> {
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
            ChainStep::Convert(to) | ChainStep::ConvertSnapshot { to, .. } => {
                (to.format == Format::Qcow && to.compress).then_some(Self::CompressedQcow)
            }
            ChainStep::Repair { .. } => {
                let loses = !model.bitmaps.is_empty() && !model.snapshots.is_empty();
                loses.then_some(Self::RepairedSnapshots)
            }
            ChainStep::Fault { step, .. } => Self::met_by(&chain_state, step),
            ChainStep::Session { requests } => {
                let mut chain_state = chain_state.into_owned();
                singles(requests)
                    .filter_map(session::equivalent)
                    .find_map(|step| {
                        let met = Self::met_by(&chain_state, &step);
                        chain_state.advance_as_expected(&step);
                        met
                    })
            }
            _ => None,
        }
    }
}
