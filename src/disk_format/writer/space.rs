//! Where the parts of a written file lie: one after the other, in any order, beyond a boundary.

use crate::base::rng::NativeRandom;
use crate::image::unusual_feature::Unusual;

use super::WrittenLayer;

/// The orders of a file's parts, drawn from a layer's own seed.
pub(super) struct Space {
    random: NativeRandom,
    is_shuffled: bool,
    /// The offset in bytes behind which the second half of the parts lies.
    boundary: u64,
}

impl Space {
    /// Returns the space of a layer's file. `salt` tells files of one layer apart.
    pub(super) fn new(layer: &WrittenLayer, salt: u64) -> Self {
        let boundary = match layer {
            layer if layer.has(Unusual::Beyond4Gib) => 4 << 30,
            layer if layer.has(Unusual::Beyond2Gib) => 2 << 30,
            _ => 0,
        };
        Self {
            random: NativeRandom::new(layer.seed ^ salt << 48),
            is_shuffled: layer.has(Unusual::Shuffled),
            boundary,
        }
    }

    /// Returns the parts in the order in which they lie in the file.
    pub(super) fn order<T>(&mut self, mut parts: Vec<T>) -> Vec<T> {
        if self.is_shuffled {
            for last in (1..parts.len()).rev() {
                let other = self.random.below(last as u64 + 1) as usize;
                parts.swap(last, other);
            }
        }
        parts
    }

    /// Returns the number of the first unit of each part, given how many units each takes; the first part begins at `first` or behind it.
    pub(super) fn places(&self, first: u64, unit: u64, lengths: &[u64]) -> Vec<u64> {
        let mut next = first;
        let half = lengths.len() / 2;
        let place = |(index, length): (usize, &u64)| {
            if index == half && self.boundary > 0 {
                // The part itself lies across the boundary, if it is longer than a unit.
                next = next.max(self.boundary / unit - (*length).min(2) / 2);
            }
            let place = next;
            next += length;
            place
        };
        lengths.iter().enumerate().map(place).collect()
    }
}

/// Returns a number that looks random, the same for the same two: which of several kinds a unit is of.
pub(super) fn mixed(seed: u64, unit: u64) -> u64 {
    NativeRandom::new(seed ^ unit.wrapping_mul(0x9e37_79b9_7f4a_7c15)).below(1 << 32)
}
