//! Zeros: blocks that contents leave out, and what lies behind the end of an image.

use super::{BLOCK_BYTES, Contents};

/// A block of zeros.
pub(super) const ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];

/// Whether all bytes are zero. Comparing slices is many times faster than looking for a byte that is not.
pub fn is_zero(bytes: &[u8]) -> bool {
    let mut blocks = bytes.chunks(ZEROS.len());
    blocks.all(|block| *block == ZEROS[..block.len()])
}

impl Contents {
    /// Whether both are equal after the shorter one is extended with zeros, as qemu-img compares.
    pub fn shows_the_same(mut self, mut other: Self) -> bool {
        self.size = self.size.max(other.size);
        other.size = self.size;
        self == other
    }
}
