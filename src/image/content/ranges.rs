//! All ranges in which two contents differ, for the picture of a divergence in a report.
//!
//! The judges need the first difference only; see [`Contents::difference`].

use super::{BLOCK_BYTES, Contents};

/// How many differing ranges are returned.
const RANGES_MAX: usize = 400;

impl Contents {
    /// The guest ranges (offset, length) in bytes in which `self` and `other` differ, rounded to blocks; at most the first [`RANGES_MAX`].
    pub fn differing_ranges(&self, other: &Self) -> Vec<(u64, u64)> {
        let runs = self.runs.iter().chain(&other.runs);
        let mut edges: Vec<u64> = runs
            .flat_map(|run| [run.first, run.first + run.count])
            .collect();
        edges.sort_unstable();
        edges.dedup();
        let fingerprint =
            |contents: &Self, block| contents.run_at(block).map(|run| run.fingerprint);
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for pair in edges.windows(2) {
            let (start, end) = (pair[0], pair[1]);
            if fingerprint(self, start) == fingerprint(other, start) {
                continue;
            }
            let (offset, length) = (start * BLOCK_BYTES, (end - start) * BLOCK_BYTES);
            let is_full = ranges.len() == RANGES_MAX;
            match ranges.last_mut() {
                Some(last) if last.0 + last.1 == offset => last.1 += length,
                _ if is_full => break,
                _ => ranges.push((offset, length)),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::content::{Fill, Write};

    #[test]
    fn adjacent_differing_blocks_form_one_range_and_equal_blocks_are_left_out() {
        let write = |offset, length, byte| Write {
            offset,
            length,
            fill: Fill::Byte(byte),
        };
        let first = Contents::of_writes(1 << 20, &[write(0, 8192, 1), write(65536, 4096, 2)]);
        let second = Contents::of_writes(1 << 20, &[write(4096, 8192, 1), write(65536, 4096, 2)]);
        assert_eq!(first.differing_ranges(&second), [(0, 4096), (8192, 4096)]);
        assert_eq!(first.differing_ranges(&first), []);
    }
}
