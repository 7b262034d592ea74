//! Steps that take qemu-img minutes, or much host space.

use super::super::Chain;
use super::super::chain_state::ChainState;
use super::super::step::ChainStep;
use crate::tool::request::dd_range;

/// The maximum image size in bytes for a rebase or commit, which reads the whole image.
pub const WALKED_BYTES_MAX: u64 = 64 << 20;

/// The maximum cluster size in bytes for which qemu-img rebuilds refcounts in acceptable time: block by block, 512 KiB
/// takes minutes.
pub const REBUILT_CLUSTER_MAX: u64 = 16384;

/// The maximum number of host bytes that a resize allocates.
pub(super) const PREALLOCATED_BYTES_MAX: u64 = 64 << 20;

/// The maximum number of blocks of a dd: qemu-img takes about 60 microseconds for each.
const BLOCKS_MAX: u64 = 20_000;

/// The maximum number of clusters by which an image with `data_file_raw` grows, because all of them are allocated: 32
/// GiB in clusters of 1 KiB takes minutes.
const ALLOCATED_CLUSTERS_MAX: u64 = 1 << 18;

impl Chain {
    /// Whether a step takes qemu-img minutes. The generators never draw such a step, but a mutation may produce one.
    pub fn is_unbearable(&self) -> bool {
        let mut chain_state = ChainState::start("", &self.layers);
        self.steps.iter().any(|step| {
            let is_unbearable = chain_state.is_unbearable(step);
            chain_state.advance_as_expected(step);
            is_unbearable
        })
    }
}

impl ChainState {
    fn is_unbearable(&self, step: &ChainStep) -> bool {
        let (acting, step) = self.resolved(step);
        let (top, size) = (acting.top(), acting.model.top.size);
        match step {
            ChainStep::Amend { options } => {
                let rebuilds = options.refcount_bits().is_some();
                rebuilds && top.cluster_size() > REBUILT_CLUSTER_MAX
            }
            ChainStep::Resize { size: wanted, .. } if top.options.data_file_raw().is_some() => {
                wanted.saturating_sub(size) / top.cluster_size() > ALLOCATED_CLUSTERS_MAX
            }
            ChainStep::Dd {
                block_size,
                count,
                skip,
                ..
            } => {
                let (_, length) = dd_range(size, *block_size, *count, *skip);
                length / block_size > BLOCKS_MAX
            }
            _ => false,
        }
    }
}
