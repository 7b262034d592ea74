//! Draws steps on backing images: before an overlay is created on them, and while they have overlays.
//!
//! The guest-visible contents of an image with overlays must not change ([`ChainState::admit`]). So the steps rewrite data that is there
//! already, write zeros over zeros, create and delete snapshots and bitmaps, and commit, rebase or amend the image. Only profiles with
//! `goes_below` draw such steps.

use super::edges::{self, Grain};
use super::{NativeProfile, TRIES_MAX, placements, steps};
use crate::base::rng::NativeRandom;
use crate::image::content::Write;
use crate::image::format::Format;
use crate::operation::chain::{ChainState, ChainStep, ChainStepKind, Layer};

/// Percentage of backing images on which steps run before their overlay is created.
const PREPARED_PERCENT: u64 = 50;
/// The maximum number of such steps.
const PREPARED_MAX: u64 = 5;
/// The favoured kinds and their weights.
const FAVOURED: [(ChainStepKind, u64); 3] = [
    (ChainStepKind::Below, 4),
    (ChainStepKind::ConvertSnapshot, 1),
    (ChainStepKind::Opened, 2),
];
/// Maximum length of one write in bytes.
const WRITE_BYTES_MAX: u64 = 1 << 20;

/// The kinds of steps before the overlay is created, and their weights.
const PREPARING: [(ChainStepKind, u64); 5] = [
    (ChainStepKind::Snapshot, 5),
    (ChainStepKind::Bitmap, 4),
    (ChainStepKind::Write, 5),
    (ChainStepKind::WriteZeroes, 1),
    (ChainStepKind::Discard, 1),
];
/// The kinds of steps on an image with overlays, and their weights.
const BELOW: [(ChainStepKind, u64); 16] = [
    (ChainStepKind::Snapshot, 8),
    (ChainStepKind::Bitmap, 6),
    (ChainStepKind::Write, 8),
    (ChainStepKind::WriteZeroes, 2),
    (ChainStepKind::Discard, 2),
    (ChainStepKind::Resize, 3),
    (ChainStepKind::Commit, 4),
    (ChainStepKind::Rebase, 4),
    (ChainStepKind::Amend, 2),
    (ChainStepKind::Repair, 1),
    (ChainStepKind::Check, 1),
    (ChainStepKind::Info, 1),
    (ChainStepKind::Read, 1),
    (ChainStepKind::Map, 1),
    (ChainStepKind::SnapshotList, 1),
    (ChainStepKind::Compare, 1),
];

/// Draws the steps on the last of these images before an overlay is created on it, and stores them in the layer.
pub(super) fn prepare(random: &mut NativeRandom, profile: &NativeProfile, layers: &mut [Layer]) {
    let mut chain_state = ChainState::start("", layers);
    if !random.percent(PREPARED_PERCENT) || chain_state.top().format != Format::Qcow2 {
        return;
    }
    let mut prepared = Vec::new();
    for _ in 0..random.between(1, PREPARED_MAX) {
        let step = (0..TRIES_MAX).find_map(|_| {
            let kind = kind(random, profile.kinds, &PREPARING)?;
            let step = steps::draw(random, profile, kind, &chain_state)?;
            chain_state.is_sure(&step).then_some(step)
        });
        if let Some(step) = step {
            chain_state.advance(&step, true);
            prepared.push(step);
        }
    }
    if let Some(layer) = layers.last_mut() {
        layer.steps = prepared;
    }
}

/// Draws a step of any kind: one on a backing image does not change its guest-visible contents, and one that opens the image in another way
/// reads it.
pub(super) fn draw(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    kind: ChainStepKind,
    chain_state: &ChainState,
) -> Option<ChainStep> {
    match kind {
        ChainStepKind::Below => draw_below(random, profile, chain_state),
        ChainStepKind::Opened => placements::opened(random, profile, chain_state),
        kind => steps::draw(random, profile, kind, chain_state),
    }
}

/// Something with an image below the current one; nothing where there is none, or where it would change what is seen.
fn draw_below(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> Option<ChainStep> {
    let count = chain_state.below().len() as u64;
    if count == 0 {
        return None;
    }
    (0..TRIES_MAX).find_map(|_| {
        let layer = random.below(count) as usize;
        let lower = chain_state.lower(layer)?;
        let kind = kind(random, profile.kinds, &BELOW)?;
        let step = match kind {
            ChainStepKind::Write => rewrite(random, &lower)?,
            kind => steps::draw(random, profile, kind, &lower)?,
        };
        let step = ChainStep::Below {
            layer,
            step: Box::new(step),
        };
        chain_state.admit(&step).is_admitted().then_some(step)
    })
}

/// Draws a favoured kind from `pool`; `None` in most calls.
pub(super) fn favoured(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    pool: &[ChainStepKind],
) -> Option<ChainStepKind> {
    match random.percent(profile.favoured_percent) {
        true => kind(random, pool, &FAVOURED),
        false => None,
    }
}

/// Draws one of the allowed kinds by weight; `None` if none is allowed.
fn kind(
    random: &mut NativeRandom,
    allowed: &[ChainStepKind],
    kinds: &[(ChainStepKind, u64)],
) -> Option<ChainStepKind> {
    let weights: Vec<u64> = kinds
        .iter()
        .map(|(kind, weight)| weight * u64::from(allowed.contains(kind)))
        .collect();
    let is_any = weights.iter().any(|weight| *weight > 0);
    is_any.then(|| kinds[random.weighted(&weights)].0)
}

/// Draws a write of the data that the image shows already. It copies clusters that are shared with a snapshot, and allocates clusters that
/// were only in a backing file.
fn rewrite(random: &mut NativeRandom, lower: &ChainState) -> Option<ChainStep> {
    let view = &lower.model.top;
    if !lower.is_writable() || view.size == 0 {
        return None;
    }
    let grain = Grain::for_file(lower.top());
    let place = edges::offset(random, view.size, grain, &lower.edges());
    let (start, end, fill) = view.run_at(place);
    let start = if random.percent(50) { start } else { place };
    let length = edges::length(random, start, end, grain, WRITE_BYTES_MAX);
    let write = Write {
        offset: start,
        length,
        fill,
    };
    Some(ChainStep::Write {
        writes: vec![write],
    })
}
