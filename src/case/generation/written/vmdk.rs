//! Draws a vmdk: sparse, a compressed stream, or a descriptor with extents.

use super::writes::{self, Room};
use crate::base::rng::NativeRandom;
use crate::disk_format::writer::WrittenImage;
use crate::image::format::Format;
use crate::image::options::{CreateOption, Subformat};
use crate::image::unusual_feature::Unusual;

/// The largest virtual size in bytes.
const SIZE_BYTES_MAX: u64 = 40 << 20;
/// The most bytes that writes come to.
const WRITTEN_BYTES_MAX: u64 = 3 << 20;
/// Percentage of images, of those that can, on another one.
const CHILD_PERCENT: u64 = 30;
/// Percentage of images that can mark grains as zeros.
const ZEROED_PERCENT: u64 = 25;

/// The subformats, with their weights.
const SUBFORMATS: [(Subformat, u64); 5] = [
    (Subformat::MonolithicSparse, 4),
    (Subformat::StreamOptimized, 3),
    (Subformat::MonolithicFlat, 1),
    (Subformat::TwoGbMaxExtentFlat, 3),
    (Subformat::TwoGbMaxExtentSparse, 3),
];

pub(super) fn draw(random: &mut NativeRandom) -> WrittenImage {
    let weights = SUBFORMATS.map(|(_, weight)| weight);
    let subformat = SUBFORMATS[random.weighted(&weights)].0;
    let bits = match random.below(3) {
        0 => 16,
        _ => random.between(12, 18) as u32,
    };
    let unit = 1_u64 << bits;
    let size = super::size(random, unit, SIZE_BYTES_MAX);
    let mut layer = super::plain(Format::Vmdk, size, bits, random.below(1 << 32));
    layer.unusual = super::unusual(random, Format::Vmdk);
    layer
        .unusual
        .retain(|feature| is_possible(*feature, subformat));
    if subformat != Subformat::MonolithicSparse {
        layer.options.push(CreateOption::Subformat(subformat));
    }
    let is_zeroed = random.percent(ZEROED_PERCENT);
    let is_cowd = layer.unusual.contains(&Unusual::Cowd);
    if is_zeroed && !is_cowd && is_sparse(subformat) {
        layer.options.push(CreateOption::ZeroedGrain(true));
    }
    let room = Room {
        size,
        unit,
        reach: (size / 3).max(512),
        bytes_max: WRITTEN_BYTES_MAX.min(unit * 256),
    };
    layer.writes = writes::draw(random, &room);
    if random.percent(CHILD_PERCENT) && is_sparse(subformat) && !is_cowd {
        let mut below = super::plain(Format::Vmdk, size, bits, random.below(1 << 32));
        below.writes = writes::draw(random, &room);
        return WrittenImage {
            layers: vec![below, layer],
        };
    }
    super::alone(layer)
}

fn is_sparse(subformat: Subformat) -> bool {
    matches!(
        subformat,
        Subformat::MonolithicSparse | Subformat::TwoGbMaxExtentSparse
    )
}

/// Whether an image of this subformat can have the feature.
fn is_possible(feature: Unusual, subformat: Subformat) -> bool {
    let is_flat = matches!(
        subformat,
        Subformat::MonolithicFlat | Subformat::TwoGbMaxExtentFlat
    );
    let has_extents = is_flat || subformat == Subformat::TwoGbMaxExtentSparse;
    match feature {
        Unusual::Shuffled => !is_flat,
        Unusual::Beyond2Gib | Unusual::Beyond4Gib | Unusual::OneDirectory => is_sparse(subformat),
        Unusual::SeveralExtents | Unusual::ZeroExtent | Unusual::ReadOnlyExtent => has_extents,
        Unusual::FlatRanges | Unusual::Vmfs => is_flat,
        Unusual::Cowd => subformat == Subformat::TwoGbMaxExtentSparse,
        Unusual::Footer => subformat == Subformat::StreamOptimized,
        _ => true,
    }
}
