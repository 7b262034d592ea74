//! Draws steps on backing images: before an overlay is created on them, and while they have overlays.
//!
//! The guest-visible contents of an image with overlays must not change ([`Course::admit`]). So the steps rewrite data that is there
//! already, write zeros over zeros, create and delete snapshots and bitmaps, and commit, rebase or amend the image. Only profiles with
//! `goes_below` draw such steps.

use super::edges::{self, Grain};
use super::{Narrowing, TRIES_MAX, acts};
use crate::base::rng::NativeRandom;
use crate::image::content::Write;
use crate::image::format::Format;
use crate::operation::chain::{Act, ActKind, Course, Layer};

/// Percentage of backing images on which steps run before their overlay is created.
const PREPARED_PERCENT: u64 = 50;
/// The maximum number of such steps.
const PREPARED_MAX: u64 = 5;
/// Percentage of steps of a favoured kind, independent of the case's swarm weights: these kinds are the purpose of the generation.
const FAVOURED_PERCENT: u64 = 35;
/// The favoured kinds and their weights.
const FAVOURED: [(ActKind, u64); 2] = [(ActKind::Below, 4), (ActKind::ConvertSnapshot, 1)];
/// Maximum length of one write in bytes.
const WRITE_BYTES_MAX: u64 = 1 << 20;

/// The kinds of steps before the overlay is created, and their weights.
const PREPARING: [(ActKind, u64); 5] = [
    (ActKind::Snapshot, 5),
    (ActKind::Bitmap, 4),
    (ActKind::Write, 5),
    (ActKind::WriteZeroes, 1),
    (ActKind::Discard, 1),
];
/// The kinds of steps on an image with overlays, and their weights.
const BELOW: [(ActKind, u64); 16] = [
    (ActKind::Snapshot, 8),
    (ActKind::Bitmap, 6),
    (ActKind::Write, 8),
    (ActKind::WriteZeroes, 2),
    (ActKind::Discard, 2),
    (ActKind::Resize, 3),
    (ActKind::Commit, 4),
    (ActKind::Rebase, 4),
    (ActKind::Amend, 2),
    (ActKind::Repair, 1),
    (ActKind::Check, 1),
    (ActKind::Info, 1),
    (ActKind::Read, 1),
    (ActKind::Map, 1),
    (ActKind::SnapshotList, 1),
    (ActKind::Compare, 1),
];

/// Draws the steps on the last of these images before an overlay is created on it, and stores them in the layer.
pub(super) fn prepare(random: &mut NativeRandom, narrowing: &Narrowing, layers: &mut [Layer]) {
    let mut course = Course::start("", layers);
    if !random.percent(PREPARED_PERCENT) || course.top().format != Format::Qcow2 {
        return;
    }
    let mut prepared = Vec::new();
    for _ in 0..random.between(1, PREPARED_MAX) {
        let act = (0..TRIES_MAX).find_map(|_| {
            let kind = kind(random, narrowing.acts, &PREPARING)?;
            let act = acts::draw(random, narrowing, kind, &course)?;
            course.is_sure(&act).then_some(act)
        });
        if let Some(act) = act {
            course.advance(&act, true);
            prepared.push(act);
        }
    }
    if let Some(layer) = layers.last_mut() {
        layer.acts = prepared;
    }
}

/// Draws a step on a backing image; `None` if there is no backing image or the drawn step would change its guest-visible contents.
pub(super) fn draw(
    random: &mut NativeRandom,
    narrowing: &Narrowing,
    kind: ActKind,
    course: &Course,
) -> Option<Act> {
    match kind {
        ActKind::Below => draw_below(random, narrowing, course),
        kind => acts::draw(random, narrowing, kind, course),
    }
}

/// Something with an image below the current one; nothing where there is none, or where it would change what is seen.
fn draw_below(random: &mut NativeRandom, narrowing: &Narrowing, course: &Course) -> Option<Act> {
    let count = course.below().len() as u64;
    if count == 0 {
        return None;
    }
    (0..TRIES_MAX).find_map(|_| {
        let layer = random.below(count) as usize;
        let lower = course.lower(layer)?;
        let kind = kind(random, narrowing.acts, &BELOW)?;
        let act = match kind {
            ActKind::Write => rewrite(random, &lower)?,
            kind => acts::draw(random, narrowing, kind, &lower)?,
        };
        let act = Act::Below {
            layer,
            act: Box::new(act),
        };
        course.admit(&act).is_admitted().then_some(act)
    })
}

/// Draws a favoured kind from `pool`; `None` in most calls.
pub(super) fn favoured(random: &mut NativeRandom, pool: &[ActKind]) -> Option<ActKind> {
    match random.percent(FAVOURED_PERCENT) {
        true => kind(random, pool, &FAVOURED),
        false => None,
    }
}

/// Draws one of the allowed kinds by weight; `None` if none is allowed.
fn kind(
    random: &mut NativeRandom,
    allowed: &[ActKind],
    kinds: &[(ActKind, u64)],
) -> Option<ActKind> {
    let weights: Vec<u64> = kinds
        .iter()
        .map(|(kind, weight)| weight * u64::from(allowed.contains(kind)))
        .collect();
    let is_any = weights.iter().any(|weight| *weight > 0);
    is_any.then(|| kinds[random.weighted(&weights)].0)
}

/// Draws a write of the data that the image shows already. It copies clusters that are shared with a snapshot, and allocates clusters that
/// were only in a backing file.
fn rewrite(random: &mut NativeRandom, lower: &Course) -> Option<Act> {
    let view = &lower.model.top;
    if !lower.is_writable() || view.size == 0 {
        return None;
    }
    let grain = Grain::for_file(lower.top());
    let place = edges::offset(random, view.size, grain, &lower.edges());
    let (start, end, byte) = view.run_at(place);
    let start = if random.percent(50) { start } else { place };
    let length = edges::length(random, start, end, grain, WRITE_BYTES_MAX);
    let write = Write {
        offset: start,
        length,
        byte,
    };
    Some(Act::Write {
        writes: vec![write],
    })
}
