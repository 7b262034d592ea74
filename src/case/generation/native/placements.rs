//! Draws where images lie, by which names overlays record them, and the ways in which steps that read open an image. Only profiles
//! that have placements do.

use super::{NativeProfile, steps};
use crate::base::rng::NativeRandom;
use crate::image::format::Format;
use crate::operation::chain::{ChainState, ChainStep, ChainStepKind, Layer};
use crate::tool::request::{BackingName, CopyMode, Directory, OpenedBy, Opening, Placement};

/// Percentages of images in a directory of their own, of names with a protocol, and of overlays that are made without opening what lies below.
const DIRECTORY_PERCENT: u64 = 30;
const NAME_PERCENT: u64 = 25;
const UNOPENED_PERCENT: u64 = 20;
/// Percentage of copies into an image that is there, where that is possible.
const COPIED_PERCENT: u64 = 40;
/// Percentage of images that are opened while others may write to them.
const SHARED_PERCENT: u64 = 40;

/// The kinds of steps that open an image in another way.
const READING: [ChainStepKind; 9] = [
    ChainStepKind::Info,
    ChainStepKind::Check,
    ChainStepKind::Map,
    ChainStepKind::Measure,
    ChainStepKind::Compare,
    ChainStepKind::Convert,
    ChainStepKind::ConvertSnapshot,
    ChainStepKind::ConvertInto,
    ChainStepKind::Dd,
];

/// Draws the placement of a layer on those below it. Draws nothing if the profile has no placements.
pub(super) fn place(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    layer: &mut Layer,
    below: &[Layer],
) {
    if !profile.has_placements {
        return;
    }
    let mut placement = Placement::default();
    if random.percent(DIRECTORY_PERCENT) {
        placement.directory = *random.choice(&Directory::ALL);
    }
    let names = match layer.format {
        Format::Qcow2 => profile.backing_names,
        Format::Qcow | Format::Qed => &[BackingName::Absolute],
        _ => &[],
    };
    if random.percent(NAME_PERCENT) && !names.is_empty() {
        placement.names = *random.choice(names);
    }
    placement.unopened = random.percent(UNOPENED_PERCENT) && !below.is_empty();
    let drawn = std::mem::replace(&mut layer.placement, placement);
    if below.is_empty() {
        layer.placement.names = BackingName::Relative;
    }
    if layer.objection(below.last()).is_some() {
        layer.placement = drawn;
    }
}

/// Draws a step that reads, and the way in which it opens the image.
pub(super) fn opened(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> Option<ChainStep> {
    let into = ChainStep::ConvertInto {
        mode: CopyMode::default(),
    };
    let copies_back = chain_state.admit(&into).is_admitted() && random.percent(COPIED_PERCENT);
    let (kind, ways) = match copies_back {
        // A target that is there is named by options, too.
        true => (ChainStepKind::ConvertInto, &OpenedBy::ALL[1..]),
        false => (*random.choice(&READING), &OpenedBy::ALL[..]),
    };
    let step = steps::draw(random, profile, kind, chain_state)?;
    let opening = Opening {
        by: *random.choice(ways),
        shared: random.percent(SHARED_PERCENT) && kind != ChainStepKind::ConvertInto,
    };
    let step = ChainStep::Opened {
        opening,
        step: Box::new(step),
    };
    chain_state.admit(&step).is_admitted().then_some(step)
}
