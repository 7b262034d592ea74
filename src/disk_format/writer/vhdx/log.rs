//! The entries of a log that is to be replayed: [MS-VHDX] 2.3. Each page that it holds is one of the block allocation table.

use super::{LOG_BYTES, LOG_GUID};
use crate::disk_format::plain::block_file::vhdx::seal;
use crate::disk_format::writer::WrittenLayer;
use crate::image::unusual_feature::Unusual;

/// The unit of everything in the log, in bytes.
pub(super) const PAGE_BYTES: u64 = 4096;

/// The length of an entry's header and of a descriptor, in bytes.
const HEADER_BYTES: usize = 64;
const DESCRIPTOR_BYTES: usize = 32;

/// The number of the first entry.
const FIRST_SEQUENCE: u64 = 0x1_0000_0004;

/// What one entry writes: offsets in the file, with the page, or `None` for a page of zeros.
type Pages = Vec<(u64, Option<Vec<u8>>)>;

/// Returns the log's bytes at offsets within its space. Replayed, it turns the table `before` at offset `bat` of a file of `length` bytes into
/// `table`.
pub(super) fn entries(
    layer: &WrittenLayer,
    bat: u64,
    table: &[u8],
    before: &[u8],
    length: u64,
) -> Vec<(u64, Vec<u8>)> {
    let pages = |bytes: &[u8]| -> Pages {
        let pages = bytes.chunks(PAGE_BYTES as usize).enumerate();
        let offset = |index: usize| bat + index as u64 * PAGE_BYTES;
        pages
            .map(|(index, page)| (offset(index), Some(page.to_vec())))
            .collect()
    };
    let last = pages(table);
    let mut all = vec![last.clone()];
    if layer.has(Unusual::LogOfSeveral) {
        let zeros = last.iter().map(|(offset, _)| (*offset, None));
        all = vec![pages(before), zeros.collect(), last];
    }
    let start = match layer.has(Unusual::WrappedLog) {
        true => LOG_BYTES - PAGE_BYTES,
        false => 0,
    };
    let mut next = start;
    let mut written = Vec::new();
    for (sequence, pages) in (FIRST_SEQUENCE..).zip(&all) {
        let bytes = entry(pages, sequence, start, length);
        for page in bytes.chunks(PAGE_BYTES as usize) {
            written.push((next % LOG_BYTES, page.to_vec()));
            next += PAGE_BYTES;
        }
    }
    written
}

fn entry(pages: &Pages, sequence: u64, tail: u64, length: u64) -> Vec<u8> {
    let head =
        (HEADER_BYTES + DESCRIPTOR_BYTES * pages.len()).next_multiple_of(PAGE_BYTES as usize);
    let mut entry = vec![0; head];
    let mut data = Vec::new();
    for (index, (offset, page)) in pages.iter().enumerate() {
        let start = HEADER_BYTES + index * DESCRIPTOR_BYTES;
        let descriptor = &mut entry[start..start + DESCRIPTOR_BYTES];
        descriptor[16..24].copy_from_slice(&offset.to_le_bytes());
        descriptor[24..32].copy_from_slice(&sequence.to_le_bytes());
        match page {
            None => {
                descriptor[..4].copy_from_slice(b"zero");
                descriptor[8..16].copy_from_slice(&PAGE_BYTES.to_le_bytes());
            }
            Some(page) => {
                // The first eight bytes and the last four make room for a signature and the number in the page itself.
                let end = page.len() - 4;
                descriptor[..4].copy_from_slice(b"desc");
                descriptor[4..8].copy_from_slice(&page[end..]);
                descriptor[8..16].copy_from_slice(&page[..8]);
                data.extend(b"data");
                data.extend(((sequence >> 32) as u32).to_le_bytes());
                data.extend(&page[8..end]);
                data.extend((sequence as u32).to_le_bytes());
            }
        }
    }
    entry.extend(data);
    let entry_length = entry.len() as u32;
    entry[..4].copy_from_slice(b"loge");
    entry[8..12].copy_from_slice(&entry_length.to_le_bytes());
    entry[12..16].copy_from_slice(&(tail as u32).to_le_bytes());
    entry[16..24].copy_from_slice(&sequence.to_le_bytes());
    entry[24..28].copy_from_slice(&(pages.len() as u32).to_le_bytes());
    entry[32..48].copy_from_slice(&LOG_GUID);
    entry[48..56].copy_from_slice(&length.to_le_bytes());
    entry[56..64].copy_from_slice(&length.to_le_bytes());
    seal(&mut entry);
    entry
}
