//! Frames of zstandard (RFC 8878) without entropy coding: runs of one byte, and bytes as they are. Every decoder takes them.

/// The most bytes of one block: the smallest limit that a decoder may have for a frame of a single segment is its content's size, and 128 KiB.
const BLOCK_BYTES_MAX: usize = 128 << 10;

/// A run of fewer bytes is not worth a block of its own.
const RUN_BYTES_MIN: usize = 16;

/// The types of blocks.
const RAW: u32 = 0;
const RUN: u32 = 1;

/// Returns a frame with these bytes, or `None` if it is no shorter.
pub(super) fn compressed(bytes: &[u8]) -> Option<Vec<u8>> {
    let blocks = blocks(bytes);
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
    // A single segment, with the content's size in four bytes.
    frame.push(0b1010_0000);
    frame.extend((bytes.len() as u32).to_le_bytes());
    for (index, (kind, block)) in blocks.iter().enumerate() {
        let is_last = u32::from(index + 1 == blocks.len());
        let header = (block.len() as u32) << 3 | kind << 1 | is_last;
        frame.extend(&header.to_le_bytes()[..3]);
        match *kind {
            RUN => frame.push(block[0]),
            _ => frame.extend(*block),
        }
    }
    (frame.len() < bytes.len()).then_some(frame)
}

/// Cuts bytes into runs and other pieces, each with its type.
fn blocks(bytes: &[u8]) -> Vec<(u32, &[u8])> {
    let mut blocks: Vec<(u32, &[u8])> = Vec::new();
    let mut start = 0;
    let mut place = 0;
    while place < bytes.len() {
        let same = bytes[place..]
            .iter()
            .take_while(|byte| **byte == bytes[place]);
        let run = same.count();
        if run >= RUN_BYTES_MIN {
            blocks.extend(
                bytes[start..place]
                    .chunks(BLOCK_BYTES_MAX)
                    .map(|part| (RAW, part)),
            );
            let parts = bytes[place..place + run].chunks(BLOCK_BYTES_MAX);
            blocks.extend(parts.map(|part| (RUN, part)));
            start = place + run;
        }
        place += run;
    }
    blocks.extend(
        bytes[start..]
            .chunks(BLOCK_BYTES_MAX)
            .map(|part| (RAW, part)),
    );
    blocks
}
