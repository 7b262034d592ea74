//! Simpler ranges and writes: nearer to the start, rounder, shorter.
//!
//! The simpler versions of steps, layers and sessions are made of them.

use super::SIZE_GRAIN;
use crate::base::variants::numbers;
use crate::image::content::Write;
use crate::image::format::SECTOR_BYTES;

/// Offsets and lengths are rounded to multiples of these, in bytes.
const GRAINS: [u64; 3] = [65536, 4096, SECTOR_BYTES];

/// Returns simpler ranges: nearer to the start, rounder, shorter.
pub(super) fn ranges(offset: u64, length: u64) -> Vec<(u64, u64)> {
    let rounded = |value: u64| GRAINS.map(|grain| value / grain * grain).into_iter();
    let mut offsets = numbers(offset, &[0, SIZE_GRAIN]);
    offsets.extend(rounded(offset));
    let mut lengths = numbers(length, &[SECTOR_BYTES, 4096, SIZE_GRAIN]);
    lengths.extend(rounded(length));
    let offsets = offsets.into_iter().filter(|smaller| *smaller < offset);
    let lengths = lengths.into_iter();
    let lengths = lengths.filter(|smaller| *smaller < length && *smaller >= SECTOR_BYTES);
    offsets
        .map(|offset| (offset, length))
        .chain(lengths.map(|length| (offset, length)))
        .collect()
}

pub(super) fn simpler_writes(write: &Write) -> Vec<Write> {
    let ranges = ranges(write.offset, write.length).into_iter();
    let fills = write.fill.simpler().into_iter();
    ranges
        .map(|(offset, length)| Write {
            offset,
            length,
            ..*write
        })
        .chain(fills.map(|fill| Write { fill, ..*write }))
        .collect()
}
