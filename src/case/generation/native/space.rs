//! Draws what changes the space of an image: discards and new sizes; and how far zeros may reach.
//!
//! Steps and the requests of sessions are made of them.

use super::edges::{self, Grain};
use crate::base::rng::NativeRandom;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::Preallocation;
use crate::operation::chain::{ChainState, ChainStep, WALKED_BYTES_MAX};

/// Maximum number of bytes that a resize preallocates.
const PREALLOCATED_MAX: u64 = 1 << 20;
/// The mode without preallocation, which every format with preallocation modes accepts.
const NO_PREALLOCATION: Preallocation = Preallocation::Off;

/// Returns the maximum length in bytes of a write of zeros. Formats without zero clusters write the zeros out, so their limit is low.
pub(super) fn zero_limit(chain_state: &ChainState, grain: Grain) -> u64 {
    match chain_state.top().format {
        Format::Qcow2 if chain_state.top().options.is_version_2() => 1 << 20,
        Format::Qcow2 | Format::Raw => grain.reach(),
        _ => 1 << 20,
    }
}

/// Draws a discard of whole clusters.
pub(super) fn discard(
    random: &mut NativeRandom,
    chain_state: &ChainState,
    grain: Grain,
) -> ChainStep {
    let size = chain_state.model.top.size;
    let clusters = size.div_ceil(grain.cluster);
    let first = edges::offset(random, size, grain, &[]) / grain.cluster;
    let most = (grain.reach() / grain.cluster).min(clusters - first).max(1);
    let count = match random.below(4) {
        0 => most,
        1 => 1,
        _ => random.between(1, most.min(8)),
    };
    let offset = first * grain.cluster;
    let length = (count * grain.cluster).min(size - offset);
    ChainStep::Discard { offset, length }
}

/// Draws a new size: near a boundary, some clusters larger, at a table boundary, or any size.
pub(super) fn resize(
    random: &mut NativeRandom,
    chain_state: &ChainState,
    grain: Grain,
) -> ChainStep {
    let (top, size) = (chain_state.top(), chain_state.model.top.size);
    let wanted = match random.below(4) {
        0 => edges::offset(random, size, grain, &[]),
        1 => size + grain.cluster * random.between(1, 4),
        2 => (size.div_ceil(grain.table) + random.below(2)) * grain.table,
        _ => edges::size(random, top.format, grain, size.saturating_mul(4)),
    };
    let low = if top.format == Format::Qcow2 {
        size.saturating_sub(grain.reach())
    } else {
        0
    };
    // Growing an overlay beyond the size of its backing file writes zeros in version 2.
    let high = if chain_state.below().is_empty() {
        u64::MAX
    } else {
        WALKED_BYTES_MAX
    };
    // All clusters of an image with data_file_raw are allocated.
    let high = if top.options.data_file_raw().is_some() {
        high.min(grain.reach().max(size))
    } else {
        high
    };
    let wanted = wanted.clamp(low, high.max(low));
    let wanted = (wanted / SECTOR_BYTES * SECTOR_BYTES).max(SECTOR_BYTES);
    // Growing such an image mostly triggers a known qemu-img bug: see `KnownQemuBug::UnalignedGrowth`.
    let wanted = if chain_state.has_unaligned_tail() && random.percent(80) {
        wanted.min(size)
    } else {
        wanted
    };
    let is_little = wanted.saturating_sub(size) <= PREALLOCATED_MAX.min(grain.reach());
    let preallocates =
        is_little && chain_state.preallocates(wanted, NO_PREALLOCATION) && random.percent(20);
    let mode = *random.choice(chain_state.preallocations());
    ChainStep::Resize {
        size: wanted,
        preallocation: preallocates.then_some(mode),
    }
}
