//! Draws a vhdx.

use super::writes::{self, Room};
use crate::base::rng::NativeRandom;
use crate::disk_format::writer::WrittenImage;
use crate::image::format::Format;
use crate::image::unusual_feature::Unusual;

/// The largest virtual size in bytes.
const SIZE_BYTES_MAX: u64 = 48 << 20;
/// The most bytes that writes come to.
const WRITTEN_BYTES_MAX: u64 = 6 << 20;
/// Percentage of differencing images.
const CHILD_PERCENT: u64 = 18;

pub(super) fn draw(random: &mut NativeRandom) -> WrittenImage {
    let bits = match random.below(4) {
        0 | 1 => 20,
        2 => random.between(20, 23) as u32,
        _ => random.between(20, 28) as u32,
    };
    let unit = 1_u64 << bits;
    let unusual = super::unusual(random, Format::Vhdx);
    let mut size = super::size(random, unit.min(1 << 20), SIZE_BYTES_MAX);
    if unusual.contains(&Unusual::LargeSectors) {
        size = size.next_multiple_of(4096);
    }
    let mut layer = super::plain(Format::Vhdx, size, bits, random.below(1 << 32));
    layer.unusual = unusual;
    let room = Room {
        size,
        unit: 1 << 20,
        reach: unit.max(4 << 20),
        bytes_max: WRITTEN_BYTES_MAX,
    };
    layer.writes = writes::draw(random, &room);
    if random.percent(CHILD_PERCENT) {
        let mut below = super::plain(Format::Vhdx, size, bits, random.below(1 << 32));
        if layer.unusual.contains(&Unusual::LargeSectors) {
            below.unusual.push(Unusual::LargeSectors);
        }
        below.writes = writes::draw(random, &room);
        return WrittenImage {
            layers: vec![below, layer],
        };
    }
    super::alone(layer)
}
