//! Draws images of our own writers, in valid and unusual states, and what tools are asked about them.
//!
//! The format comes first, then the unit (the size of a cluster or block), the size, the unusual features, and the writes, which prefer the
//! edges of units. A quarter of the cases has one unusual feature, a quarter has two, the others are swarms: what one tool refuses must not
//! hide what it misreads.

mod blocks;
mod conversion;
mod places;
mod qcow2;
mod vhdx;
mod vmdk;
mod writes;

use crate::base::rng::NativeRandom;
use crate::case::{Case, CaseId};
use crate::disk_format::writer::{WrittenImage, WrittenLayer};
use crate::image::format::Format;
use crate::image::unusual_feature::Unusual;
use crate::operation::Operation;
use crate::operation::written::{Look, Writer, Written};

/// Percentage of the questions that a case asks.
const LOOK_PERCENT: u64 = 45;
/// The largest raw image in bytes.
const RAW_BYTES_MAX: u64 = 32 << 20;
/// Weights of one unusual feature, two, few and many.
const SWARM_WEIGHTS: [u64; 4] = [25, 25, 30, 20];
/// Percentages of the features of a format in a swarm of few and of many.
const FEW_PERCENT: u64 = 12;
const MANY_PERCENT: u64 = 45;

/// The profile of a generation: what it may draw.
pub struct WrittenProfile {
    /// The formats and their weights.
    formats: &'static [(Format, u64)],
    /// Whether tools write the images, and not writers of our own.
    by_tools: bool,
    /// The questions.
    pub looks: &'static [&'static str],
}

/// Every format that a writer of ours makes.
pub(super) static READERS: WrittenProfile = WrittenProfile {
    formats: &[
        (Format::Qcow2, 6),
        (Format::Vhdx, 4),
        (Format::Vmdk, 4),
        (Format::Vpc, 3),
        (Format::Vdi, 2),
        (Format::Parallels, 1),
        (Format::Qcow, 2),
        (Format::Raw, 1),
    ],
    by_tools: false,
    looks: &[
        "info",
        "check",
        "map",
        "contents",
        "measure",
        "convert",
        "convert_qcow2",
        "compare",
        "compare_other",
        "snapshot",
    ],
};

/// Every form that another tool makes of a raw file. There is no map: what is allocated is the writer's choice.
pub(super) static WRITERS: WrittenProfile = WrittenProfile {
    formats: &[],
    by_tools: true,
    looks: &[
        "info",
        "check",
        "contents",
        "convert",
        "compare",
        "compare_other",
    ],
};

impl WrittenProfile {
    /// Draws who writes, and what.
    fn image(&self, random: &mut NativeRandom) -> (Writer, WrittenImage) {
        if self.by_tools {
            return conversion::draw(random);
        }
        let weights: Vec<u64> = self.formats.iter().map(|(_, weight)| *weight).collect();
        let format = self.formats[random.weighted(&weights)].0;
        let mut image = match format {
            Format::Qcow2 => qcow2::draw(random),
            Format::Vhdx => vhdx::draw(random),
            Format::Vpc => blocks::vpc(random),
            Format::Vdi => blocks::vdi(random),
            Format::Parallels => blocks::parallels(random),
            Format::Qcow => blocks::qcow(random),
            Format::Raw => alone(raw(random, RAW_BYTES_MAX)),
            _ => vmdk::draw(random),
        };
        places::draw(random, &mut image);
        (Writer::Own, image)
    }

    /// Decodes the iteration whose own seed is `iter_seed`. `pool` replaces the profile's questions.
    pub(super) fn decode(&self, id: CaseId, iter_seed: u64, pool: Option<&[&str]>) -> Case {
        let mut random = NativeRandom::new(iter_seed);
        let (writer, image) = self.image(&mut random);
        let names = pool.unwrap_or(self.looks).to_vec();
        let is_drawn = |random: &mut NativeRandom, look: &Look| {
            let is_there = names.contains(&look.name());
            (random.percent(LOOK_PERCENT) || *look == Look::Contents) && is_there
        };
        let mut looks: Vec<Look> = Look::ALL
            .into_iter()
            .filter(|look| is_drawn(&mut random, look))
            .collect();
        if looks.is_empty() {
            looks.push(Look::Contents);
        }
        let written = Written {
            writer,
            image,
            looks,
        };
        let operation = Operation::Written(written);
        Case::drawn(id, iter_seed, random.words_used(), operation, pool)
    }
}

/// Draws unusual features of a format.
fn unusual(random: &mut NativeRandom, format: Format) -> Vec<Unusual> {
    let mut all = Unusual::of_format(format);
    all.retain(|feature| !Unusual::OUTSIDE_A_LAYER.contains(feature));
    let mut drawn = match random.weighted(&SWARM_WEIGHTS) {
        0 => vec![*random.choice(&all)],
        1 => vec![*random.choice(&all), *random.choice(&all)],
        swarm => {
            let percent = if swarm == 2 {
                FEW_PERCENT
            } else {
                MANY_PERCENT
            };
            all.into_iter()
                .filter(|_| random.percent(percent))
                .collect()
        }
    };
    drawn.sort();
    drawn.dedup();
    drawn
}

/// Returns a layer without features and writes.
fn plain(format: Format, size: u64, unit_bits: u32, seed: u64) -> WrittenLayer {
    WrittenLayer {
        unit_bits,
        seed,
        ..WrittenLayer::plain(format, size)
    }
}

/// Draws a size in bytes: mostly a few units, often a sector or so away from their edge.
fn size(random: &mut NativeRandom, unit: u64, bytes_max: u64) -> u64 {
    const SECTOR: u64 = 512;
    let units_max = (bytes_max / unit).max(1);
    let units = match random.below(4) {
        0 => random.between(1, 3),
        1 => random.between(1, 24),
        2 => random.between(1, 400),
        _ => random.between(1, units_max),
    };
    let whole = units.min(units_max) * unit;
    let off = match random.below(5) {
        0 => SECTOR * random.between(1, 8),
        1 => SECTOR * random.below(unit / SECTOR),
        _ => 0,
    };
    whole.saturating_sub(off).max(SECTOR)
}

/// Draws a raw image that others lie on.
fn raw(random: &mut NativeRandom, bytes_max: u64) -> WrittenLayer {
    const UNIT: u64 = 64 << 10;
    let size = size(random, 4096, bytes_max);
    let mut raw = plain(Format::Raw, size, 0, 0);
    let room = writes::Room {
        size,
        unit: UNIT,
        reach: UNIT * 16,
        bytes_max: UNIT * 40,
    };
    raw.writes = writes::draw(random, &room);
    raw
}

/// Returns an image without others below.
fn alone(layer: WrittenLayer) -> WrittenImage {
    WrittenImage {
        layers: vec![layer],
    }
}
