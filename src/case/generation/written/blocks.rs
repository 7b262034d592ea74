//! Draws images in blocks that one table maps: vpc, vdi, parallels, and qcow with its two levels.

use super::writes::{self, Room};
use crate::base::rng::NativeRandom;
use crate::disk_format::writer::{WrittenImage, WrittenLayer};
use crate::image::format::Format;
use crate::image::options::{CreateOption, Subformat};
use crate::image::unusual_feature::Unusual;

/// The largest virtual size in bytes.
const SIZE_BYTES_MAX: u64 = 40 << 20;
/// The most bytes that writes come to.
const WRITTEN_BYTES_MAX: u64 = 5 << 20;
/// Percentages of images of full length, of a qcow with an image below, and of a vdi with blocks of another size.
const FULL_PERCENT: u64 = 12;
const BACKED_PERCENT: u64 = 20;
const OTHER_BLOCKS_PERCENT: u64 = 12;
/// Percentage of differencing images.
const CHILD_PERCENT: u64 = 18;

/// Creators of a vpc: `vpc ` is Virtual PC's, whose size some readers take from the geometry.
const CREATORS: [&str; 8] = ["vpc ", "vbox", "tap", "d2v ", "vs  ", "wa", "qem2", "CTXS"];

pub(super) fn vpc(random: &mut NativeRandom) -> WrittenImage {
    let bits = match random.below(3) {
        0 => 21,
        1 => 19,
        _ => random.between(19, 22) as u32,
    };
    let unusual = super::unusual(random, Format::Vpc);
    let drawn = super::size(random, 1 << bits, SIZE_BYTES_MAX);
    let size = match unusual.contains(&Unusual::OddGeometry) {
        true => drawn,
        false => Format::Vpc.created_size(drawn),
    };
    let mut layer = super::plain(Format::Vpc, size, bits, random.below(1 << 32));
    let creator = *random.choice(&CREATORS);
    // The size of an image of Virtual PC is that of its geometry, for some readers.
    let is_clear = creator != "vpc " || !unusual.contains(&Unusual::OddGeometry);
    if unusual.contains(&Unusual::OtherCreator) && is_clear {
        layer.creator = Some(creator.to_owned());
    }
    layer.unusual = unusual;
    if random.percent(FULL_PERCENT) {
        layer
            .options
            .push(CreateOption::Subformat(Subformat::Fixed));
        let is_there = |feature: &Unusual| !NEEDS_BLOCKS.contains(feature);
        layer.unusual.retain(is_there);
    }
    layer.writes = written(random, &layer);
    if random.percent(CHILD_PERCENT) && layer.options.is_empty() {
        let mut below = super::plain(Format::Vpc, size, bits, random.below(1 << 32));
        below.writes = written(random, &below);
        return WrittenImage {
            layers: vec![below, layer],
        };
    }
    super::alone(layer)
}

/// What a fixed vpc has no place for.
const NEEDS_BLOCKS: [Unusual; 6] = [
    Unusual::Shuffled,
    Unusual::Beyond2Gib,
    Unusual::Beyond4Gib,
    Unusual::ClearBits,
    Unusual::StaleBits,
    Unusual::HeaderBehind,
];

pub(super) fn vdi(random: &mut NativeRandom) -> WrittenImage {
    let other = random.between(16, 22) as u32;
    let bits = match random.percent(OTHER_BLOCKS_PERCENT) {
        true => other,
        false => 20,
    };
    let size = super::size(random, 1 << bits, SIZE_BYTES_MAX);
    let mut layer = super::plain(Format::Vdi, size, bits, random.below(1 << 32));
    layer.unusual = super::unusual(random, Format::Vdi);
    if random.percent(FULL_PERCENT) {
        layer.options.push(CreateOption::Static(true));
    }
    layer.writes = written(random, &layer);
    super::alone(layer)
}

pub(super) fn parallels(random: &mut NativeRandom) -> WrittenImage {
    let bits = match random.below(3) {
        0 => 20,
        _ => random.between(12, 21) as u32,
    };
    let size = super::size(random, 1 << bits, SIZE_BYTES_MAX);
    let mut layer = super::plain(Format::Parallels, size, bits, random.below(1 << 32));
    layer.unusual = super::unusual(random, Format::Parallels);
    layer.writes = written(random, &layer);
    super::alone(layer)
}

pub(super) fn qcow(random: &mut NativeRandom) -> WrittenImage {
    let bits = match random.below(3) {
        0 => 12,
        _ => random.between(9, 16) as u32,
    };
    let size = super::size(random, 1 << bits, SIZE_BYTES_MAX);
    let mut layer = super::plain(Format::Qcow, size, bits, random.below(1 << 32));
    layer.unusual = super::unusual(random, Format::Qcow);
    layer.writes = written(random, &layer);
    let mut layers = Vec::new();
    if random.percent(BACKED_PERCENT) {
        layers.push(super::raw(random, SIZE_BYTES_MAX));
    }
    layers.push(layer);
    WrittenImage { layers }
}

fn written(random: &mut NativeRandom, layer: &WrittenLayer) -> Vec<crate::image::content::Write> {
    let unit = 1 << layer.unit_bits;
    let room = Room {
        size: layer.size,
        unit,
        reach: unit * 64,
        bytes_max: WRITTEN_BYTES_MAX.min(unit * 256),
    };
    writes::draw(random, &room)
}
