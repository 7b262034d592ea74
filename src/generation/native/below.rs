//! How what happens to the images below the current one is drawn: before another is put onto them, and while others lie on them.
//!
//! What is seen in an image that lies below others has to stay as it is ([`Course::objection`]): it is written again where it is, zeros are made zero,
//! snapshots and bitmaps come and go, it is committed, rebased, amended. Only generations that say so in their narrowing draw any of it.

use super::edges::{self, Grain};
use super::{Narrowing, TRIES_MAX, acts};
use crate::content::Write;
use crate::format::Format;
use crate::operation::chain::{Act, Course, Layer};
use crate::rng::NativeRandom;

/// Lower images in a hundred with which something is done before another is put onto them.
const PREPARED_PERCENT: u64 = 50;
/// How much that is, at most.
const PREPARED_MAX: u64 = 5;
/// Steps in a hundred that are of a favoured kind, whatever the swarm says: what comes of them is what the generation is for.
const FAVOURED_PERCENT: u64 = 35;
/// The kinds of those, where they are allowed, and how often.
const FAVOURED: [(&str, u64); 2] = [("below", 4), ("convert_snapshot", 1)];
/// Bytes of one write.
const WRITE_BYTES_MAX: u64 = 1 << 20;

/// What is done before, and how often.
const PREPARING: [(&str, u64); 5] = [
    ("snapshot", 5),
    ("bitmap", 4),
    ("write", 5),
    ("write_zeroes", 1),
    ("discard", 1),
];
/// What is done while others lie on it, and how often.
const BELOW: [(&str, u64); 16] = [
    ("snapshot", 8),
    ("bitmap", 6),
    ("write", 8),
    ("write_zeroes", 2),
    ("discard", 2),
    ("resize", 3),
    ("commit", 4),
    ("rebase", 4),
    ("amend", 2),
    ("repair", 1),
    ("check", 1),
    ("info", 1),
    ("read", 1),
    ("map", 1),
    ("snapshot_list", 1),
    ("compare", 1),
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
            "write" => rewrite(random, &lower)?,
            kind => acts::draw(random, narrowing, kind, &lower)?,
        };
        let act = Act::Below {
            layer,
            act: Box::new(act),
        };
        course.objection(&act).is_none().then_some(act)
    })
}

/// A favoured kind of these, now and then.
pub(super) fn favoured(random: &mut NativeRandom, pool: &[&str]) -> Option<&'static str> {
    match random.percent(FAVOURED_PERCENT) {
        true => kind(random, pool, &FAVOURED),
        false => None,
    }
}

fn kind(
    random: &mut NativeRandom,
    allowed: &[&str],
    kinds: &[(&'static str, u64)],
) -> Option<&'static str> {
    let weights: Vec<u64> = kinds
        .iter()
        .map(|(name, weight)| weight * u64::from(allowed.contains(name)))
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
