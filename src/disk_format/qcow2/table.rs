//! A table of 8-byte entries as it lies in a file, read without the file's holes.
//!
//! The readers of L1, L2 and refcount tables and of refcount blocks use it: with clusters of 2 MiB, each of these is that long and nearly empty.

use super::{ImageBytes, READ_AT_ONCE_BYTES, Unparsable, number};
use crate::image::content::data_within;

/// How many bytes are compared with zeros at once.
const SKIPPED_BYTES: usize = 256;

const ENTRY_BYTES: u64 = 8;

/// What a file holds of a table.
pub(in crate::disk_format) struct Table {
    /// Pieces with the offset of each in the table, in bytes; all else is zeros.
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Table {
    /// Reads a table. Fails as [`ImageBytes::read`] does.
    pub(in crate::disk_format) fn read(
        image: &ImageBytes,
        what: &str,
        offset: u64,
        length: u64,
    ) -> Result<Self, Unparsable> {
        if length <= READ_AT_ONCE_BYTES || offset >= image.length() {
            let bytes = image.read(what, offset, length)?;
            return Ok(Self {
                pieces: vec![(0, bytes)],
            });
        }
        super::check_length(what, length)?;
        let end = (offset + length).min(image.length());
        let mut pieces = Vec::new();
        for data in data_within(image.file(), offset..end)? {
            // A piece begins with an entry.
            let start = (data.start - offset) / ENTRY_BYTES * ENTRY_BYTES;
            let whole = (data.end - offset)
                .next_multiple_of(ENTRY_BYTES)
                .min(length);
            let mut bytes = vec![0; (whole - start) as usize];
            image.read_into(&mut bytes, offset + start)?;
            pieces.push((start, bytes));
        }
        Ok(Self { pieces })
    }

    /// The entries that are not zero, with their numbers, in ascending order.
    pub(in crate::disk_format) fn entries_in_use(&self) -> impl Iterator<Item = (u64, u64)> {
        self.pieces.iter().flat_map(|(start, bytes)| {
            let chunks = (*start..)
                .step_by(SKIPPED_BYTES)
                .zip(bytes.chunks(SKIPPED_BYTES));
            let in_use = chunks.filter(|(_, chunk)| **chunk != [0; SKIPPED_BYTES][..chunk.len()]);
            in_use.flat_map(|(place, chunk)| {
                let entries = chunk.chunks_exact(ENTRY_BYTES as usize);
                let entries = entries.map(|entry| number::<8>(entry, 0));
                (place / ENTRY_BYTES..)
                    .zip(entries)
                    .filter(|(_, entry)| *entry != 0)
            })
        })
    }
}

#[cfg(test)]
mod tests;
