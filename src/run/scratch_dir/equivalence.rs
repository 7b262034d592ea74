//! Whether two image files are equal up to the random identifiers that a tool puts into every image.
//!
//! The scratch directory asks this so that one inspection of such a pair serves both sides: the output of qemu-img
//! does not depend on those identifiers. Only vmdk and vhdx have any. An image with an unexpected layout is compared
//! byte by byte.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::base::error::{Error, Result};
use crate::base::phase::Phase;
use crate::image::content::{open_regular, same_bytes};
use crate::image::format::{Format, SECTOR_BYTES};

/// [MS-VHDX] 2.2: offsets of the two headers, and how many bytes of each its checksum covers.
const VHDX_HEADERS: [u64; 2] = [64 << 10, 128 << 10];
const VHDX_HEADER_BYTES: usize = 4 << 10;

/// 2.2.2: the fields of a header: its checksum; then SequenceNumber, FileWriteGuid and DataWriteGuid, which are
/// adjacent.
const CHECKSUM: Range<usize> = 4..8;
const SEQUENCE_AND_GUIDS: Range<usize> = 8..48;

/// 2.2.3: offset of the first region table, and the largest number of its entries.
const REGION_TABLE: u64 = 192 << 10;
const REGIONS_MAX: u64 = 2047;
/// 2.2.3.2: the identifier of the metadata region, in the byte order of the file.
const METADATA_REGION: [u8; 16] = [
    0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e,
];
/// 2.6.1.2: the largest number of items in a metadata table.
const ITEMS_MAX: u64 = 2047;
/// 2.6.2.4: the identifier of the item "page 83 data", a random name of the disk.
const PAGE_83_DATA: [u8; 16] = [
    0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46,
];
/// The size of an entry of either table, in bytes; a metadata table's header has the same size.
const ENTRY_BYTES: u64 = 32;

/// Virtual Disk Format 5.0, Hosted Sparse Extent Header: the magic number, and the offsets of the fields that hold the
/// descriptor's offset and size, in sectors.
const VMDK_MAGIC: [u8; 4] = *b"KDMV";
const DESCRIPTOR_OFFSET: u64 = 28;
const DESCRIPTOR_SIZE: u64 = 36;
/// The largest descriptor that is read, in bytes.
const DESCRIPTOR_BYTES_MAX: u64 = 64 << 10;
/// The beginning of the line with the content identifier.
const CONTENT_ID: &str = "CID=";

/// Whether two files of a format have the same length and, apart from identifiers, the same bytes.
pub(super) fn equivalent(first: &Path, second: &Path, format: Format) -> Result<bool> {
    let compare = || {
        let files = [open_regular(first)?, open_regular(second)?];
        let identifiers = match format {
            Format::Vhdx => vhdx_identifiers(&files),
            Format::Vmdk => vmdk_identifiers(&files),
            _ => None,
        };
        let [first, second] = &files;
        same_bytes(first, second, &identifiers.unwrap_or_default())
    };
    Phase::Comparing
        .time(compare)
        .map_err(|error| Error::io("compare", first, &error))
}

/// The ranges of the identifiers in both files, if all checksums over them are right.
fn vhdx_identifiers(files: &[File; 2]) -> Option<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    for header in VHDX_HEADERS {
        if !files.iter().all(|file| has_valid_checksum(file, header)) {
            return None;
        }
        let there = |range: Range<usize>| header + range.start as u64..header + range.end as u64;
        ranges.extend([there(CHECKSUM), there(SEQUENCE_AND_GUIDS)]);
    }
    // Sequence numbers may start at any value; only their order matters, as it selects the current header.
    let order = |file: &File| {
        let sequence = |header: u64| number::<8>(file, header + SEQUENCE_AND_GUIDS.start as u64);
        let [first, second] = VHDX_HEADERS.map(sequence);
        Some(first?.cmp(&second?))
    };
    let [one, other] = files.each_ref().map(order);
    if one.is_none() || one != other {
        return None;
    }
    // The tables that lead to the item need to be read in one file only: if they differ in the other, the comparison
    // finds it.
    let [file, _] = files;
    let region = entry(
        file,
        REGION_TABLE,
        number::<4>(file, REGION_TABLE + 8)?.min(REGIONS_MAX),
        &METADATA_REGION,
    )?;
    let table = number::<8>(file, region + 16)?;
    let items = number::<2>(file, table.checked_add(10)?)?.min(ITEMS_MAX);
    // The header of a metadata table is 16 bytes longer than that of a region table.
    let item = entry(file, table.checked_add(16)?, items, &PAGE_83_DATA)?;
    let start = table.checked_add(number::<4>(file, item + 16)?)?;
    let length = number::<4>(file, item + 20)?;
    (length == 16).then(|| {
        ranges.push(start..start + length);
        ranges
    })
}

/// Whether the header's checksum is right.
fn has_valid_checksum(file: &File, header: u64) -> bool {
    let mut bytes = [0; VHDX_HEADER_BYTES];
    if file.read_exact_at(&mut bytes, header).is_err() {
        return false;
    }
    let stored = bytes[CHECKSUM].to_vec();
    bytes[CHECKSUM].fill(0);
    stored == crc32c::crc32c(&bytes).to_le_bytes()
}

/// The offset of the entry with this identifier, in a table whose first entry begins 16 bytes after `start`.
fn entry(file: &File, start: u64, count: u64, identifier: &[u8; 16]) -> Option<u64> {
    let mut entries = (0..count).map(|index| start + 16 + index * ENTRY_BYTES);
    entries.find(|entry| {
        let mut found = [0; 16];
        file.read_exact_at(&mut found, *entry).is_ok() && found == *identifier
    })
}

/// A little-endian number of `BYTES` bytes.
fn number<const BYTES: usize>(file: &File, offset: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes[..BYTES], offset).ok()?;
    Some(u64::from_le_bytes(bytes))
}

/// The range of both descriptors, if they differ in the content identifier alone. The identifier has as many digits as
/// it needs, so the lines after it may have moved.
fn vmdk_identifiers(files: &[File; 2]) -> Option<Vec<Range<u64>>> {
    let [first, second] = files.each_ref().map(descriptor);
    let ((place, first), (other, second)) = (first?, second?);
    (place == other && first == second).then(|| vec![place])
}

/// The range of the descriptor, and its text without the content identifier; `None` if there is no descriptor.
fn descriptor(file: &File) -> Option<(Range<u64>, String)> {
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, 0).ok()?;
    let (start, length) = match magic == VMDK_MAGIC {
        true => {
            let start = number::<8>(file, DESCRIPTOR_OFFSET)?.checked_mul(SECTOR_BYTES)?;
            (
                start,
                number::<8>(file, DESCRIPTOR_SIZE)?.checked_mul(SECTOR_BYTES)?,
            )
        }
        false => (0, file.metadata().ok()?.len()),
    };
    if length > DESCRIPTOR_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, start).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let text = text.trim_end_matches('\0');
    let lines = text.lines().map(|line| match is_content_id(line) {
        true => CONTENT_ID,
        false => line,
    });
    let lines: Vec<&str> = lines.collect();
    Some((start..start + length, lines.join("\n")))
}

/// Whether a line is a content identifier, at most 32 bits in hexadecimal digits. Any other line is compared as it is.
fn is_content_id(line: &str) -> bool {
    let digits = line.strip_prefix(CONTENT_ID).unwrap_or_default();
    (1..=8).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
