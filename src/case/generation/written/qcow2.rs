//! Draws a qcow2, sometimes on a raw image or another qcow2.

use super::writes::{self, Room};
use crate::base::rng::NativeRandom;
use crate::disk_format::writer::{WrittenImage, WrittenLayer};
use crate::image::format::Format;
use crate::image::options::{Compat, Compression, CreateOption};
use crate::image::unusual_feature::Unusual;

/// The largest virtual size in bytes: readers that know no holes read every byte.
const SIZE_BYTES_MAX: u64 = 40 << 20;
/// The most bytes that writes of one image come to.
const WRITTEN_BYTES_MAX: u64 = 3 << 20;
/// The least cluster size with extended L2 entries, as a power of two: a subcluster has at least 512 bytes.
const EXTENDED_BITS_MIN: u32 = 14;

/// Percentages of images with a backing file, of those with one below that, of version 2, with other refcounts, zstd, extended L2 entries and an external data file.
const BACKED_PERCENT: u64 = 26;
const LONG_PERCENT: u64 = 25;
const VERSION_2_PERCENT: u64 = 14;
const REFCOUNTS_PERCENT: u64 = 35;
const ZSTD_PERCENT: u64 = 12;
const EXTENDED_PERCENT: u64 = 10;
const DATA_FILE_PERCENT: u64 = 8;

pub(super) fn draw(random: &mut NativeRandom) -> WrittenImage {
    let mut layers = Vec::new();
    if random.percent(BACKED_PERCENT) {
        layers.push(below(random));
        if random.percent(LONG_PERCENT) {
            layers.push(layer(random));
        }
    }
    layers.push(layer(random));
    WrittenImage { layers }
}

/// Draws the image below: mostly a raw one, shorter or longer than the one above.
fn below(random: &mut NativeRandom) -> WrittenLayer {
    if random.percent(40) {
        return layer(random);
    }
    super::raw(random, SIZE_BYTES_MAX)
}

fn layer(random: &mut NativeRandom) -> WrittenLayer {
    let bits = match random.below(4) {
        0 => 16,
        1 => *random.choice(&[9, 21]),
        _ => random.between(9, 21) as u32,
    };
    let unit = 1_u64 << bits;
    let size = super::size(random, unit, SIZE_BYTES_MAX);
    let mut layer = super::plain(Format::Qcow2, size, bits, random.below(1 << 32));
    layer.unusual = super::unusual(random, Format::Qcow2);
    options(random, &mut layer);
    let entry = if layer.options.has_extended_l2() {
        16
    } else {
        8
    };
    layer.writes = writes::draw(random, &room(size, unit, unit / entry));
    layer
}

fn room(size: u64, unit: u64, entries: u64) -> Room {
    Room {
        size,
        unit,
        reach: unit * entries,
        bytes_max: WRITTEN_BYTES_MAX.max(unit * 2).min(unit * 256),
    }
}

fn options(random: &mut NativeRandom, layer: &mut WrittenLayer) {
    let is_old = random.percent(VERSION_2_PERCENT);
    let has_refcounts = random.percent(REFCOUNTS_PERCENT);
    let refcounts = *random.choice(&[1, 2, 4, 8, 16, 32, 64]);
    let is_zstd = random.percent(ZSTD_PERCENT);
    let is_extended = random.percent(EXTENDED_PERCENT) && layer.unit_bits >= EXTENDED_BITS_MIN;
    let is_split = random.percent(DATA_FILE_PERCENT);
    let is_raw = random.percent(50);
    if is_old {
        layer.options.push(CreateOption::Compat(Compat::Version2));
        let is_known = |feature: &Unusual| !NEEDS_VERSION_3.contains(feature);
        layer.unusual.retain(is_known);
        return;
    }
    if has_refcounts {
        layer.options.push(CreateOption::RefcountBits(refcounts));
    }
    if is_zstd {
        layer
            .options
            .push(CreateOption::CompressionType(Compression::Zstd));
        layer.unusual.push(Unusual::Deflated);
        layer.unusual.sort();
        layer.unusual.dedup();
    }
    if is_extended {
        layer.options.push(CreateOption::ExtendedL2(true));
    }
    if is_split {
        layer
            .options
            .push(CreateOption::DataFile("beside".to_owned()));
        if is_raw {
            layer.options.push(CreateOption::DataFileRaw(true));
        }
    }
}

/// What a header of version 2, or an entry of its tables, cannot say.
const NEEDS_VERSION_3: [Unusual; 7] = [
    Unusual::ShortHeader,
    Unusual::LongHeader,
    Unusual::UnknownCompatible,
    Unusual::UnknownAutoclear,
    Unusual::LazyRefcounts,
    Unusual::ZeroClusters,
    Unusual::ZeroesOverData,
];
