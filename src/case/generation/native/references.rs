//! Draws the steps that refer to another image or to a snapshot: rebases, commits, bitmaps, measurements, and copies into the image that the
//! current one was converted from. What qemu-img has flags for is drawn only by profiles with modes; the others draw nothing for it.

use super::options::{self, Purpose};
use super::{NativeProfile, converts};
use crate::base::rng::NativeRandom;
use crate::image::bitmap_action::BitmapAction;
use crate::image::format::Format;
use crate::image::options::CreateOptions;
use crate::operation::chain::{ChainState, ChainStep};
use crate::tool::request::CopyMode;

const BITMAP_CHANGES: [BitmapAction; 4] = [
    BitmapAction::Remove,
    BitmapAction::Clear,
    BitmapAction::Enable,
    BitmapAction::Disable,
];
const BITMAP_ADDITIONS: [&[BitmapAction]; 5] = [
    &[added(None)],
    &[added(Some(512))],
    &[added(Some(65536))],
    &[added(Some(1 << 20)), BitmapAction::Disable],
    &[added(Some(2 << 20))],
];
const BITMAP_NAMES: [&str; 2] = ["one", "two"];

/// Returns the addition of a bitmap; without a granularity, the tool chooses one.
const fn added(granularity: Option<u64>) -> BitmapAction {
    BitmapAction::Add { granularity }
}

/// A rebase onto an image below, or, where it may lie on no other image, onto none.
pub(super) fn rebase(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> ChainStep {
    let rebase = |onto, is_unsafe, compresses| ChainStep::Rebase {
        onto,
        is_unsafe,
        compresses,
    };
    let is_admitted = |step: &ChainStep| chain_state.admit(step).is_admitted();
    let below = chain_state.below().len() as u64;
    let drawn = random.below(below + 1).checked_sub(1);
    let drawn = drawn.map(|index| index as usize);
    let onto = drawn.filter(|index| is_admitted(&rebase(Some(*index), false, false)));
    if !profile.has_modes {
        return rebase(onto, false, false);
    }
    let (is_unsafe, compresses) = (random.percent(20), random.percent(25));
    let plain = rebase(onto, false, false);
    let wanted = [
        rebase(onto, is_unsafe, compresses && !is_unsafe),
        rebase(onto, false, compresses),
    ];
    wanted.into_iter().find(is_admitted).unwrap_or(plain)
}

/// A commit into the backing file, or into an image that is named.
pub(super) fn commit(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> ChainStep {
    let below = chain_state.below().len() as u64;
    let is_plain = !profile.has_modes || below == 0 || random.percent(40);
    if is_plain {
        return ChainStep::Commit {
            base: None,
            keeps: false,
        };
    }
    let base = random.below(below) as usize;
    let is_named = random.percent(60);
    ChainStep::Commit {
        base: is_named.then_some(base),
        keeps: random.percent(40),
    }
}

/// Draws an addition of a bitmap, or a change of one that exists.
pub(super) fn bitmap(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> ChainStep {
    if profile.has_modes && random.percent(60) {
        let foreign = foreign_merges(chain_state);
        if !foreign.is_empty() {
            return random.choice(&foreign).clone();
        }
    }
    let name = *random.choice(&BITMAP_NAMES);
    let other = BITMAP_NAMES.into_iter().find(|other| *other != name);
    let other = other.filter(|other| chain_state.model.bitmaps.contains_key(*other));
    let merge = random.percent(25);
    let actions = match (chain_state.model.bitmaps.contains_key(name), other) {
        (true, Some(other)) if merge => vec![BitmapAction::Merge {
            source: other.to_owned(),
        }],
        (true, _) => vec![random.choice(&BITMAP_CHANGES).clone()],
        (false, _) => (*random.choice(&BITMAP_ADDITIONS)).to_vec(),
    };
    ChainStep::Bitmap {
        actions,
        name: name.to_owned(),
        from: None,
    }
}

/// Returns all merges of a bitmap of an image below.
fn foreign_merges(chain_state: &ChainState) -> Vec<ChainStep> {
    let lower = chain_state.model.below.iter().enumerate();
    let sources =
        lower.flat_map(|(index, lower)| lower.bitmaps.keys().map(move |name| (index, name)));
    let into = chain_state.model.bitmaps.keys();
    let merges = into.flat_map(|name| {
        sources
            .clone()
            .map(move |(index, source)| ChainStep::Bitmap {
                actions: vec![BitmapAction::Merge {
                    source: source.clone(),
                }],
                name: name.clone(),
                from: Some(index),
            })
    });
    merges
        .filter(|step| chain_state.admit(step).is_admitted())
        .collect()
}

/// A measurement of a conversion, of one with options, or of that of a snapshot.
pub(super) fn measure(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> ChainStep {
    let target = *random.choice(&[Format::Qcow2, Format::Raw]);
    let plain = ChainStep::Measure {
        target,
        options: CreateOptions::new(),
        snapshot: None,
    };
    if !profile.has_modes {
        return plain;
    }
    let mut options = CreateOptions::new();
    if random.percent(60) && target == Format::Qcow2 {
        options = options::draw(random, profile, target, Purpose::Target);
    }
    // A measurement takes no secret, and no data file.
    if options.encrypt_format().is_some() || options.data_file().is_some() {
        options = CreateOptions::new();
    }
    let names: Vec<&String> = chain_state.model.snapshots.keys().collect();
    let mut snapshot = None;
    if !names.is_empty() && random.percent(50) {
        snapshot = Some((*random.choice(&names)).clone());
    }
    let step = ChainStep::Measure {
        target,
        options,
        snapshot,
    };
    match chain_state.admit(&step).is_admitted() {
        true => step,
        false => plain,
    }
}

/// A copy into the image that the current one was converted from; `None` where that is not possible.
pub(super) fn convert_into(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> Option<ChainStep> {
    if !profile.has_modes {
        return None;
    }
    let mut mode = CopyMode::default();
    converts::copy_mode(random, chain_state, &mut mode);
    // The holes that are looked for are at least as long as a sector.
    mode.sparse_bytes = mode.sparse_bytes.filter(|bytes| *bytes > 0);
    mode.target_is_zero = random.percent(50);
    let step = |mode: &CopyMode| ChainStep::ConvertInto { mode: mode.clone() };
    let is_admitted = |step: &ChainStep| chain_state.admit(step).is_admitted();
    if !is_admitted(&step(&mode)) {
        mode.target_is_zero = false;
    }
    Some(step(&mode)).filter(is_admitted)
}
