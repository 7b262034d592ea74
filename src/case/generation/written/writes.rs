//! Draws what a guest writes: near the edges of units, of tables and of the disk, in repeated bytes, text, noise and sectors that name their
//! place.

use crate::base::rng::NativeRandom;
use crate::image::content::{Fill, Recipe, Texture, Write};

pub(super) const SECTOR: u64 = 512;
/// The most writes.
const WRITES_MAX: u64 = 9;
/// Percentage of writes that repeat a byte.
const BYTE_PERCENT: u64 = 45;

/// Where writes go.
pub(super) struct Room {
    /// The virtual size in bytes.
    pub(super) size: u64,
    /// The size of a cluster or block in bytes.
    pub(super) unit: u64,
    /// How many bytes one table describes: its edges are interesting as well.
    pub(super) reach: u64,
    /// The most bytes of all writes.
    pub(super) bytes_max: u64,
}

/// Draws writes within a disk. Few images have none.
pub(super) fn draw(random: &mut NativeRandom, room: &Room) -> Vec<Write> {
    let count = match random.below(12) {
        0 => 0,
        1..4 => 1,
        _ => random.between(2, WRITES_MAX),
    };
    let mut left = room.bytes_max;
    let mut writes = Vec::new();
    for index in 0..count {
        let offset = offset(random, room);
        let length = length(random, room.unit).min(left).min(room.size - offset);
        if length == 0 {
            continue;
        }
        left -= length;
        writes.push(Write {
            offset,
            length,
            fill: fill(random, index),
        });
    }
    writes
}

fn offset(random: &mut NativeRandom, room: &Room) -> u64 {
    let edge = |random: &mut NativeRandom, edge: u64| {
        let edges = room.size / edge + 1;
        let place = random.below(edges) * edge;
        match random.below(3) {
            0 => place.saturating_sub(SECTOR * random.between(1, 4)),
            _ => place,
        }
    };
    let place = match random.below(10) {
        0 | 1 => 0,
        2..6 => edge(random, room.unit),
        6 => edge(random, room.reach),
        7 => room.size - (SECTOR * random.between(1, 8)).min(room.size),
        _ => random.below(room.size),
    };
    place.min(room.size - SECTOR.min(room.size)) / SECTOR * SECTOR
}

fn length(random: &mut NativeRandom, unit: u64) -> u64 {
    let sectors = (unit / SECTOR).max(1);
    let length = match random.below(6) {
        0 => 1,
        1 => random.between(1, 8),
        2 | 3 => sectors,
        4 => sectors + random.between(1, 8),
        _ => random.between(1, sectors * 4),
    };
    length * SECTOR
}

fn fill(random: &mut NativeRandom, index: u64) -> Fill {
    if random.percent(BYTE_PERCENT) {
        return Fill::Byte(random.between(1, 255) as u8);
    }
    Fill::Data(Recipe {
        texture: *random.choice(&Texture::ALL),
        seed: index as u32 + 1,
        shift: 0,
    })
}
