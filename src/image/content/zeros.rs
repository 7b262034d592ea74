//! Blocks of zeros, which contents leave out.

use super::BLOCK_BYTES;

/// A block of zeros.
pub(super) const ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];

/// Whether all bytes are zero. Comparing slices is many times faster than looking for a byte that is not.
pub fn is_zero(bytes: &[u8]) -> bool {
    let mut blocks = bytes.chunks(ZEROS.len());
    blocks.all(|block| *block == ZEROS[..block.len()])
}
