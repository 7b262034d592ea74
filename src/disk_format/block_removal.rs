//! An image with fewer blocks of data: which blocks its tables give a place, and the same image without some of them.
//!
//! The shrinker of images from outside asks it. A block is given back in the tables (qcow2: its refcounts too, compressed clusters as well; vmdk: in both grain
//! directories; vdi: in the count of the header), and its place in the file becomes a hole. What the file has beside that stays as it is.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};

use super::qcow2::{ImageBytes, Unparsable};
use super::vhdx_blocks;
use crate::image::content::open_regular_to_change;
use crate::image::format::{Format, SECTOR_BYTES};

mod qcow2;

use super::qcow2::number;
use super::skeleton::little;

/// The most entries of a table that are looked at.
const ENTRIES_MAX: u64 = 1 << 22;

/// A block of data that has a place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The fields (offset in the file, bytes) that say that it has none.
    cleared: Vec<(u64, Vec<u8>)>,
    /// Its place in the file; empty where others may lie in it too.
    place: Range<u64>,
    /// Where it ends for a guest, in bytes; the end of the disk may lie before.
    guest_end: u64,
}

impl Block {
    /// Its place in the file; empty where others may lie in it too.
    pub fn place(&self) -> &Range<u64> {
        &self.place
    }

    /// Where it ends for a guest, in bytes.
    pub fn guest_end(&self) -> u64 {
        self.guest_end
    }
}

/// Returns the blocks of data of an image's own file, in the order of the tables. Formats whose tables are not known here have none.
pub fn blocks(path: &Path, format: Format) -> Result<Vec<Block>, Unparsable> {
    let image = ImageBytes::open_to_read(path)?;
    match format {
        Format::Qcow2 => qcow2::blocks(&image),
        Format::Vmdk => of_vmdk(&image),
        Format::Vpc => of_vpc(&image),
        Format::Vhdx => of_vhdx(&image),
        Format::Vdi => of_vdi(&image),
        _ => Ok(Vec::new()),
    }
}

/// Gives blocks of an image back.
pub fn give_back(path: &Path, format: Format, gone: &[Block]) -> Result<(), Unparsable> {
    if format == Format::Qcow2 {
        qcow2::uncount(&ImageBytes::open(path)?, gone)?;
    }
    let file = open_regular_to_change(path)?;
    for block in gone {
        for (offset, bytes) in &block.cleared {
            file.write_all_at(bytes, *offset)?;
        }
        clear(&file, &block.place)?;
    }
    if format == Format::Vdi {
        let mut count = [0; 4];
        file.read_exact_at(&mut count, VDI_COUNT)?;
        let left = u32::from_le_bytes(count).saturating_sub(gone.len() as u32);
        file.write_all_at(&left.to_le_bytes(), VDI_COUNT)?;
    }
    Ok(())
}

/// Makes a hole, up to the end of the file.
fn clear(file: &File, place: &Range<u64>) -> Result<(), Unparsable> {
    let end = place.end.min(file.metadata()?.len());
    if place.start >= end {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(file, flags, place.start, end - place.start)
        .map_err(|error| Unparsable::new(error.to_string()))
}

fn is_too_long(count: u64) -> Result<(), Unparsable> {
    match count > ENTRIES_MAX {
        true => Err(Unparsable::new(format!("a table of {count} entries"))),
        false => Ok(()),
    }
}

/// The offset of `blocks_allocated` in the header of a vdi (QEMU, block/vdi.c).
const VDI_COUNT: u64 = 388;

/// VirtualBox, VDICore.h: the block map.
fn of_vdi(image: &ImageBytes) -> Result<Vec<Block>, Unparsable> {
    let header = image.read("the header", 0, SECTOR_BYTES)?;
    let (map, data) = (little::<4>(&header, 340), little::<4>(&header, 344));
    let (block, extra) = (little::<4>(&header, 376), little::<4>(&header, 380));
    let count = little::<4>(&header, 384);
    is_too_long(count)?;
    let table = image.read("the block map", map, count * 4)?;
    let entries = table.chunks(4).map(|entry| little::<4>(entry, 0));
    let found = (0..).zip(entries).filter(|(_, entry)| *entry < 0xffff_fffe);
    let blocks = found.map(|(index, entry): (u64, u64)| {
        let start = data + entry * (block + extra);
        Block {
            cleared: vec![(map + index * 4, vec![0xff; 4])],
            place: start..start + block + extra,
            guest_end: (index + 1) * block,
        }
    });
    Ok(blocks.collect())
}

/// Virtual Hard Disk Image Format Specification, Block Allocation Table.
fn of_vpc(image: &ImageBytes) -> Result<Vec<Block>, Unparsable> {
    let last = image.length().saturating_sub(SECTOR_BYTES);
    let footer = image.read("the footer", last, SECTOR_BYTES)?;
    if number::<4>(&footer, 60) != 3 {
        return Ok(Vec::new());
    }
    let header = image.read("the dynamic header", number::<8>(&footer, 16), 1024)?;
    let (map, count) = (number::<8>(&header, 16), number::<4>(&header, 28));
    let block = number::<4>(&header, 32);
    let bitmap = (block / SECTOR_BYTES / 8).next_multiple_of(SECTOR_BYTES);
    is_too_long(count)?;
    let table = image.read("the block table", map, count * 4)?;
    let entries = table.chunks(4).map(|entry| number::<4>(entry, 0));
    let found = (0..)
        .zip(entries)
        .filter(|(_, entry)| *entry != 0xffff_ffff);
    let blocks = found.map(|(index, entry): (u64, u64)| {
        let start = entry * SECTOR_BYTES;
        Block {
            cleared: vec![(map + index * 4, vec![0xff; 4])],
            // The footer at the end stays.
            place: start..(start + bitmap + block).min(last),
            guest_end: (index + 1) * block,
        }
    });
    Ok(blocks.collect())
}

/// [MS-VHDX] 2.5: payload blocks that are fully present.
fn of_vhdx(image: &ImageBytes) -> Result<Vec<Block>, Unparsable> {
    let table = vhdx_blocks::table(image)?;
    is_too_long(table.entries)?;
    let bytes = image.read("the table of blocks", table.place, table.entries * 8)?;
    let entries = bytes.chunks(8).map(|entry| little::<8>(entry, 0));
    let is_payload = |index: u64| !(index + 1).is_multiple_of(table.ratio + 1);
    let found = (0..)
        .zip(entries)
        .filter(|(index, entry)| is_payload(*index) && entry & 7 == 6);
    let blocks = found.map(|(index, entry): (u64, u64)| {
        let start = entry >> 20 << 20;
        Block {
            cleared: vec![(table.place + index * 8, vec![0; 8])],
            place: start..start + table.block,
            guest_end: (index - index / (table.ratio + 1) + 1) * table.block,
        }
    });
    Ok(blocks.collect())
}

/// VMware Virtual Disk Format 5.0: grain directories and tables of a sparse extent in which grains are not compressed.
fn of_vmdk(image: &ImageBytes) -> Result<Vec<Block>, Unparsable> {
    let header = image.read("the header", 0, SECTOR_BYTES)?;
    if !header.starts_with(b"KDMV") || little::<2>(&header, 77) != 0 {
        return Ok(Vec::new());
    }
    let (capacity, grain) = (little::<8>(&header, 12), little::<8>(&header, 20).max(1));
    let per_table = little::<4>(&header, 44).max(1);
    let tables = capacity.div_ceil(grain).div_ceil(per_table);
    is_too_long(tables.saturating_mul(per_table))?;
    let directory = |field: usize| -> Result<Vec<u64>, Unparsable> {
        match little::<8>(&header, field) {
            0 | u64::MAX => Ok(Vec::new()),
            sector => {
                let place = sector * SECTOR_BYTES;
                let bytes = image.read("a grain directory", place, tables * 4)?;
                Ok(bytes.chunks(4).map(|entry| little::<4>(entry, 0)).collect())
            }
        }
    };
    let (redundant, own) = (directory(48)?, directory(56)?);
    let mut blocks = Vec::new();
    for (index, table) in own.iter().enumerate().filter(|(_, table)| **table > 0) {
        let bytes = image.read("a grain table", table * SECTOR_BYTES, per_table * 4)?;
        let entries = bytes.chunks(4).map(|entry| little::<4>(entry, 0));
        for (grain_index, entry) in (0_u64..).zip(entries).filter(|(_, entry)| *entry > 1) {
            let other = redundant.get(index).copied().filter(|table| *table > 0);
            let tables = std::iter::once(*table).chain(other);
            let fields = tables.map(|table| (table * SECTOR_BYTES + grain_index * 4, vec![0; 4]));
            let start = entry * SECTOR_BYTES;
            blocks.push(Block {
                cleared: fields.collect(),
                place: start..start + grain * SECTOR_BYTES,
                guest_end: (index as u64 * per_table + grain_index + 1) * grain * SECTOR_BYTES,
            });
        }
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_a_vdi_is_given_back_in_the_map_and_in_the_count() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("disk.vdi");
        let mut bytes = vec![0; 8192 + 3 * 4096];
        for (place, number) in [(340, 512_u32), (344, 8192), (376, 4096), (384, 4), (388, 3)] {
            bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
        }
        for (index, entry) in [2, u32::MAX, 0, 1].into_iter().enumerate() {
            bytes[512 + index * 4..][..4].copy_from_slice(&entry.to_le_bytes());
        }
        bytes[8192..].fill(7);
        std::fs::write(&path, bytes).unwrap();
        let found = blocks(&path, Format::Vdi).unwrap();
        assert_eq!(found.len(), 3);
        give_back(&path, Format::Vdi, &found[..1]).unwrap();
        let left = blocks(&path, Format::Vdi).unwrap();
        assert_eq!(left, found[1..]);
        let after = std::fs::read(&path).unwrap();
        assert_eq!(after[388], 2);
        assert!(after[8192..8192 + 2 * 4096].iter().all(|byte| *byte == 7));
        assert!(after[8192 + 2 * 4096..].iter().all(|byte| *byte == 0));
    }
}
