//! How what happens to the images below the current one is drawn: before another is put onto them, and while others lie on them.
//!
//! What is seen in an image that lies below others has to stay as it is ([`Course::admit`]): it is written again where it is, zeros are made zero,
//! snapshots and bitmaps come and go, it is committed, rebased, amended. Only generations that say so in their narrowing draw any of it.

use super::edges::{self, Grain};
use super::{Narrowing, TRIES_MAX, acts};
use crate::base::rng::NativeRandom;
use crate::image::content::Write;
use crate::image::format::Format;
use crate::operation::chain::{Act, ActKind, Course, Layer};

/// Lower images in a hundred with which something is done before another is put onto them.
const PREPARED_PERCENT: u64 = 50;
/// How much that is, at most.
const PREPARED_MAX: u64 = 5;
/// Steps in a hundred that are of a favoured kind, whatever the swarm says: what comes of them is what the generation is for.
const FAVOURED_PERCENT: u64 = 35;
/// The kinds of those, where they are allowed, and how often.
const FAVOURED: [(ActKind, u64); 2] = [(ActKind::Below, 4), (ActKind::ConvertSnapshot, 1)];
/// Bytes of one write.
const WRITE_BYTES_MAX: u64 = 1 << 20;

/// What is done before, and how often.
const PREPARING: [(ActKind, u64); 5] = [
    (ActKind::Snapshot, 5),
    (ActKind::Bitmap, 4),
    (ActKind::Write, 5),
    (ActKind::WriteZeroes, 1),
    (ActKind::Discard, 1),
];
/// What is done while others lie on it, and how often.
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

/// What is done with the last of these images before another is put onto it.
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

/// Something with an image below the current one; nothing where there is none, or where it would change what is seen.
pub(super) fn draw(
    random: &mut NativeRandom,
    narrowing: &Narrowing,
    course: &Course,
) -> Option<Act> {
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

/// A favoured kind of these, now and then.
pub(super) fn favoured(random: &mut NativeRandom, pool: &[ActKind]) -> Option<ActKind> {
    match random.percent(FAVOURED_PERCENT) {
        true => kind(random, pool, &FAVOURED),
        false => None,
    }
}

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

/// What is there already, written once more: a cluster that a snapshot holds as well is copied, one that lies further below comes up.
fn rewrite(random: &mut NativeRandom, lower: &Course) -> Option<Act> {
    let view = &lower.model.top;
    if !lower.is_writable() || view.size == 0 {
        return None;
    }
    let grain = Grain::of(lower.top());
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
