//! vpc: Microsoft's Virtual Hard Disk Image Format Specification 1.0, fixed and dynamic. Numbers are big-endian.

use std::collections::BTreeSet;
use std::fs::File;

use super::{Kind, Plan, Table, are_few, put, read};
use crate::disk_format::qcow2::{Unparsable, number};
use crate::image::format::{Format, SECTOR_BYTES, vpc_geometry};
use crate::image::options::{CreateOptions, Subformat};

/// The size of a block.
pub(super) const BLOCK_BYTES: u64 = 2 << 20;
/// The bitmap of the sectors of a block, which lies before its data.
const BITMAP_BYTES: u64 = BLOCK_BYTES / SECTOR_BYTES / 8;
const FOOTER_BYTES: u64 = 512;
const HEADER_BYTES: u64 = 1024;
/// The offset of the block allocation table: behind the copy of the footer, and the header.
const TABLE: u64 = FOOTER_BYTES + HEADER_BYTES;
const UNALLOCATED: u32 = u32::MAX;
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
/// Creators whose images have the size of the geometry: Virtual PC, and QEMU without force_size (QEMU, block/vpc.c). All others have the current size, as the
/// specification says.
const BY_GEOMETRY: [&[u8]; 2] = [b"vpc ", b"qemu"];

/// What the options of a vpc say.
#[derive(Clone, Debug)]
pub(super) struct Vpc {
    /// Whether it has its full length from the start.
    pub(super) is_fixed: bool,
    /// Whether its size is exact rather than that of a geometry.
    is_exact: bool,
}

impl Vpc {
    pub(super) fn with_options(options: &CreateOptions) -> Self {
        Self {
            is_fixed: options.subformat() == Some(Subformat::Fixed),
            is_exact: options.force_size() == Some(true),
        }
    }

    /// The size of an image for which `size` bytes are asked.
    pub(super) fn created_size(&self, size: u64) -> u64 {
        match self.is_exact {
            true => size,
            false => Format::Vpc.created_size(size),
        }
    }

    pub(super) fn plan(&self, size: u64, present: &BTreeSet<u64>) -> Result<Plan, Unparsable> {
        let mut plan = Plan::default();
        if self.is_fixed {
            let offsets = present.iter().map(|block| (*block, block * BLOCK_BYTES));
            plan.offsets = offsets.collect();
            plan.written = vec![(size, self.footer(size))];
            plan.length = size + FOOTER_BYTES;
            return Ok(plan);
        }
        let blocks = size.div_ceil(BLOCK_BYTES);
        let mut table = vec![0xff; ((blocks * 4).next_multiple_of(SECTOR_BYTES)) as usize];
        let mut end = TABLE + table.len() as u64;
        for block in present {
            let sector = u32::try_from(end / SECTOR_BYTES);
            let sector = sector.map_err(|_| Unparsable::new("a vpc has no more than 2 TiB"))?;
            put(&mut table, (block * 4) as usize, &sector.to_be_bytes());
            plan.written.push((end, vec![0xff; BITMAP_BYTES as usize]));
            plan.offsets.insert(*block, end + BITMAP_BYTES);
            end += BITMAP_BYTES + BLOCK_BYTES;
        }
        let mut header = vec![0; HEADER_BYTES as usize];
        put(&mut header, 0, b"cxsparse");
        put(&mut header, 8, &u64::MAX.to_be_bytes());
        put(&mut header, 16, &TABLE.to_be_bytes());
        put(&mut header, 24, &0x0001_0000_u32.to_be_bytes());
        put(&mut header, 28, &(blocks as u32).to_be_bytes());
        put(&mut header, 32, &(BLOCK_BYTES as u32).to_be_bytes());
        let sum = checksum(&header);
        put(&mut header, 36, &sum.to_be_bytes());
        let footer = self.footer(size);
        plan.written.push((0, footer.clone()));
        plan.written.push((FOOTER_BYTES, header));
        plan.written.push((TABLE, table));
        plan.written.push((end, footer));
        plan.length = end + FOOTER_BYTES;
        Ok(plan)
    }

    fn footer(&self, size: u64) -> Vec<u8> {
        let mut footer = vec![0; FOOTER_BYTES as usize];
        put(&mut footer, 0, b"conectix");
        put(&mut footer, 8, &2_u32.to_be_bytes());
        put(&mut footer, 12, &0x0001_0000_u32.to_be_bytes());
        let header = if self.is_fixed {
            u64::MAX
        } else {
            FOOTER_BYTES
        };
        put(&mut footer, 16, &header.to_be_bytes());
        let creator: &[u8] = if self.is_exact { b"qem2" } else { b"qemu" };
        put(&mut footer, 28, creator);
        put(&mut footer, 32, &0x0005_0003_u32.to_be_bytes());
        put(&mut footer, 36, b"Wi2k");
        put(&mut footer, 40, &size.to_be_bytes());
        put(&mut footer, 48, &size.to_be_bytes());
        let (cylinders, heads, track) = vpc_geometry(size / SECTOR_BYTES);
        put(&mut footer, 56, &(cylinders as u16).to_be_bytes());
        put(&mut footer, 58, &[heads as u8, track as u8]);
        let kind = if self.is_fixed { FIXED } else { DYNAMIC };
        put(&mut footer, 60, &kind.to_be_bytes());
        // The identifier of the image.
        put(&mut footer, 68, &[0x3d; 16]);
        let sum = checksum(&footer);
        put(&mut footer, 64, &sum.to_be_bytes());
        footer
    }
}

/// The one's complement of the sum of all bytes, with zeros in place of the checksum itself.
pub(in crate::disk_format) fn checksum(bytes: &[u8]) -> u32 {
    let sum = bytes.iter().map(|byte| u32::from(*byte));
    !sum.fold(0, u32::wrapping_add)
}

/// Reads the footer and, of a dynamic image, the block allocation table.
pub(super) fn table(file: &File) -> Result<Table, Unparsable> {
    let length = file.metadata()?.len();
    let end = length.saturating_sub(FOOTER_BYTES);
    let footer = read(file, end, FOOTER_BYTES.min(length))?;
    if !footer.starts_with(b"conectix") {
        return Err(Unparsable::new("the file has no footer of a vpc"));
    }
    let is_exact = !BY_GEOMETRY.contains(&&footer[28..32]);
    let size = match is_exact {
        true => number::<8>(&footer, 48),
        false => {
            let sides = number::<1>(&footer, 58) * number::<1>(&footer, 59);
            number::<2>(&footer, 56) * sides * SECTOR_BYTES
        }
    };
    let is_fixed = number::<4>(&footer, 60) == u64::from(FIXED);
    let kind = Kind::Vpc(Vpc { is_fixed, is_exact });
    let count = size.div_ceil(BLOCK_BYTES);
    if is_fixed {
        are_few(count, &kind)?;
        let blocks = (0..count).map(|block| (block, Some(block * BLOCK_BYTES)));
        let blocks = blocks.collect();
        return Ok(Table { kind, size, blocks });
    }
    if number::<4>(&footer, 60) != u64::from(DYNAMIC) {
        return Err(Unparsable::new("a vpc that is neither fixed nor dynamic"));
    }
    let header = read(file, number::<8>(&footer, 16), HEADER_BYTES)?;
    if number::<4>(&header, 32) != BLOCK_BYTES {
        return Err(Unparsable::new("a vpc with blocks of another size"));
    }
    let entries = number::<4>(&header, 28).min(count);
    let table = read(file, number::<8>(&header, 16), entries * 4)?;
    let blocks = (0..entries).filter_map(|block| {
        let entry = number::<4>(&table, block as usize * 4);
        let offset = entry * SECTOR_BYTES + BITMAP_BYTES;
        (entry != u64::from(UNALLOCATED)).then_some((block, Some(offset)))
    });
    let blocks = blocks.collect();
    Ok(Table { kind, size, blocks })
}
