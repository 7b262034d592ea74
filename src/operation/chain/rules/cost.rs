//! What takes qemu-img minutes, or much of the host.

use super::super::Chain;
use super::super::chain_state::ChainState;
use super::super::parameters::window;
use super::super::step::ChainStep;

/// Bytes of an image that a rebase or a commit goes through from end to end.
pub const WALKED_BYTES_MAX: u64 = 64 << 20;

/// Clusters at which qemu-img rebuilds the refcounts in bearable time, block by block: at 512 KiB it takes minutes.
pub const REBUILT_CLUSTER_MAX: u64 = 16384;

/// Bytes of the host that a resize takes at once.
pub(super) const PREALLOCATED_BYTES_MAX: u64 = 64 << 20;

/// Blocks of one dd: qemu-img takes some 60 microseconds for each.
const BLOCKS_MAX: u64 = 20_000;

/// Clusters that a data file that is to stay a raw image grows by, all of them allocated: 32 GiB in clusters of 1 KiB takes minutes.
const ALLOCATED_CLUSTERS_MAX: u64 = 1 << 18;

impl Chain {
    /// Whether one of its steps takes qemu-img minutes where it stands. None is drawn so, but what is changed afterwards may be.
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
                let (_, length) = window(size, *block_size, *count, *skip);
                length / block_size > BLOCKS_MAX
            }
            _ => false,
        }
    }
}
