//! vhdx: [MS-VHDX], fixed and dynamic, with sectors of 512 bytes and an empty log. Numbers are little-endian.

use std::collections::BTreeSet;
use std::fs::File;

use super::{Kind, Plan, Table, put, read, word};
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::SECTOR_BYTES;
use crate::image::options::{CreateOptions, Subformat};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
pub(in crate::disk_format) const HEADER_BYTES: u64 = 4 * KIB;
const REGION_TABLE_BYTES: u64 = 64 * KIB;
pub(in crate::disk_format) const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
pub(in crate::disk_format) const REGION_TABLES: [u64; 2] = [192 * KIB, 256 * KIB];
/// Where the checksum of a header and of a region table stands (2.2.2, 2.2.3).
const CHECKSUM: usize = 4;
/// How many sectors a sector bitmap block describes, which decides where their entries stand between those of payload blocks (2.5).
pub(in crate::disk_format) const BITMAP_SECTORS: u64 = 1 << 23;
/// GUIDs of the two regions (2.2.3.2) and of the metadata items (2.6.2), as they are stored.
pub(in crate::disk_format) const BAT_REGION: u128 = 0x2dc2_7766_f623_4200_9d64_115e_9bfd_4a08;
pub(in crate::disk_format) const METADATA_REGION: u128 = 0x8b7c_a206_4790_4b9a_b8fe_575f_050f_886e;
pub(in crate::disk_format) const FILE_PARAMETERS: u128 = 0xcaa1_6737_fa36_4d43_b3b6_33f0_aa44_e76b;
pub(in crate::disk_format) const VIRTUAL_DISK_SIZE: u128 =
    0x2fa5_4224_cd1b_4876_b211_5dbe_d83b_f4b8;
pub(in crate::disk_format) const VIRTUAL_DISK_ID: u128 = 0xbeca_12ab_b2e6_4523_93ef_c309_e000_c746;
pub(in crate::disk_format) const LOGICAL_SECTOR_SIZE: u128 =
    0x8141_bf1d_a96f_4709_ba47_f233_a8fa_ab5f;
pub(in crate::disk_format) const PHYSICAL_SECTOR_SIZE: u128 =
    0xcda3_48c7_445d_4471_9cc9_e988_5251_c556;
/// States of a payload block (2.5.1.1).
pub(in crate::disk_format) const ZERO: u64 = 2;
pub(in crate::disk_format) const UNMAPPED: u64 = 3;
pub(in crate::disk_format) const FULLY_PRESENT: u64 = 6;
/// Where the items of the metadata begin, behind its table.
pub(in crate::disk_format) const FIRST_ITEM: u64 = 64 * KIB;

/// What the options of a vhdx say.
#[derive(Clone, Debug)]
pub(super) struct Vhdx {
    /// The size of a payload block in bytes.
    pub(super) block_bytes: u64,
    /// Whether it has its full length from the start.
    pub(super) is_fixed: bool,
    log_bytes: u64,
}

impl Vhdx {
    pub(super) fn with_options(options: &CreateOptions, size: u64) -> Self {
        // The sizes that QEMU chooses (block/vhdx.c, vhdx_co_create).
        let usual = match size {
            size if size > 32 << 40 => 64 * MIB,
            size if size > 100 * GIB => 32 * MIB,
            size if size > GIB => 16 * MIB,
            _ => 8 * MIB,
        };
        let asked = options.block_size().map(|size| size.bytes());
        let log = options.log_size().map(|size| size.bytes());
        Self {
            block_bytes: asked.filter(|size| *size > 0).unwrap_or(usual),
            is_fixed: options.subformat() == Some(Subformat::Fixed),
            log_bytes: log.unwrap_or(MIB).next_multiple_of(MIB),
        }
    }

    /// How many payload blocks stand between two sector bitmap blocks.
    fn chunk_ratio(&self) -> u64 {
        BITMAP_SECTORS * SECTOR_BYTES / self.block_bytes
    }

    /// The number of a payload block's entry.
    fn entry(&self, block: u64) -> u64 {
        block + block / self.chunk_ratio()
    }

    pub(super) fn plan(
        &self,
        size: u64,
        present: &BTreeSet<u64>,
        zeros: &BTreeSet<u64>,
    ) -> Result<Plan, Unparsable> {
        let blocks = size.div_ceil(self.block_bytes).max(1);
        let entries = self.entry(blocks - 1) + 1;
        let metadata = MIB + self.log_bytes;
        let bat = metadata + MIB;
        let bat_bytes = (entries * 8).next_multiple_of(MIB);
        let mut table = vec![0; (entries * 8) as usize];
        let mut plan = Plan::default();
        let mut end = bat + bat_bytes;
        for block in present {
            let word = end | FULLY_PRESENT;
            put(
                &mut table,
                self.entry(*block) as usize * 8,
                &word.to_le_bytes(),
            );
            plan.offsets.insert(*block, end);
            end += self.block_bytes;
        }
        for block in zeros {
            put(
                &mut table,
                self.entry(*block) as usize * 8,
                &ZERO.to_le_bytes(),
            );
        }
        let mut identifier = vec![0; 8 + 512];
        put(&mut identifier, 0, b"vhdxfile");
        for (index, letter) in "imgduel".encode_utf16().enumerate() {
            put(&mut identifier, 8 + index * 2, &letter.to_le_bytes());
        }
        plan.written.push((0, identifier));
        for (sequence, offset) in (1_u64..).zip(HEADERS) {
            plan.written.push((offset, self.header(sequence)));
        }
        let regions = [
            (BAT_REGION, bat, bat_bytes, 1),
            (METADATA_REGION, metadata, MIB, 1),
        ];
        for offset in REGION_TABLES {
            plan.written.push((offset, region_table(&regions)));
        }
        plan.written.extend(self.metadata(size, metadata));
        plan.written.push((bat, table));
        plan.length = end;
        Ok(plan)
    }

    fn header(&self, sequence: u64) -> Vec<u8> {
        let mut header = vec![0; HEADER_BYTES as usize];
        put(&mut header, 0, b"head");
        put(&mut header, 8, &sequence.to_le_bytes());
        // The file's and the data's identifiers; the log's is zero, since the log is empty.
        put(&mut header, 16, &[0x4d; 16]);
        put(&mut header, 32, &[0x5d; 16]);
        put(&mut header, 66, &1_u16.to_le_bytes());
        put(&mut header, 68, &(self.log_bytes as u32).to_le_bytes());
        put(&mut header, 72, &MIB.to_le_bytes());
        seal(&mut header);
        header
    }

    /// The metadata table at `offset`, and its items.
    fn metadata(&self, size: u64, offset: u64) -> Vec<(u64, Vec<u8>)> {
        let mut parameters = (self.block_bytes as u32).to_le_bytes().to_vec();
        parameters.extend(u32::from(self.is_fixed).to_le_bytes());
        let sector = (SECTOR_BYTES as u32).to_le_bytes();
        // Flags: 2 for what belongs to the virtual disk, 4 for what a reader must know.
        let items: [(u128, Vec<u8>, u32); 5] = [
            (FILE_PARAMETERS, parameters, 4),
            (VIRTUAL_DISK_SIZE, size.to_le_bytes().into(), 6),
            (VIRTUAL_DISK_ID, vec![0x6d; 16], 6),
            (LOGICAL_SECTOR_SIZE, sector.into(), 6),
            (PHYSICAL_SECTOR_SIZE, sector.into(), 6),
        ];
        let mut table = vec![0; 32 * (items.len() + 1)];
        put(&mut table, 0, b"metadata");
        put(&mut table, 10, &(items.len() as u16).to_le_bytes());
        let mut values = Vec::new();
        for (index, (name, value, flags)) in items.into_iter().enumerate() {
            let entry = (index + 1) * 32;
            let place = FIRST_ITEM as u32 + values.len() as u32;
            put(&mut table, entry, &stored_guid(name));
            put(&mut table, entry + 16, &place.to_le_bytes());
            put(&mut table, entry + 20, &(value.len() as u32).to_le_bytes());
            put(&mut table, entry + 24, &flags.to_le_bytes());
            values.extend(value);
        }
        vec![(offset, table), (offset + FIRST_ITEM, values)]
    }
}

/// A GUID as it is stored: its first three groups are little-endian.
pub(in crate::disk_format) fn stored_guid(guid: u128) -> [u8; 16] {
    let mut bytes = guid.to_be_bytes();
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

/// Computes a structure's checksum, which stands at byte 4, anew.
pub(in crate::disk_format) fn seal(structure: &mut [u8]) {
    put(structure, CHECKSUM, &[0; 4]);
    let sum = crc32c::crc32c(structure);
    put(structure, CHECKSUM, &sum.to_le_bytes());
}

/// Returns a region table. Each region has its name, its offset and length in bytes, and 1 if a reader must know it.
pub(in crate::disk_format) fn region_table(regions: &[(u128, u64, u64, u32)]) -> Vec<u8> {
    let mut table = vec![0; REGION_TABLE_BYTES as usize];
    put(&mut table, 0, b"regi");
    put(&mut table, 8, &(regions.len() as u32).to_le_bytes());
    for (index, (name, offset, length, required)) in regions.iter().enumerate() {
        let entry = 16 + index * 32;
        put(&mut table, entry, &stored_guid(*name));
        put(&mut table, entry + 16, &offset.to_le_bytes());
        put(&mut table, entry + 24, &(*length as u32).to_le_bytes());
        put(&mut table, entry + 28, &required.to_le_bytes());
    }
    seal(&mut table);
    table
}

/// Reads the newer header, the regions, the metadata and the block allocation table. Fails for a log that is not empty, a differencing image, and sectors
/// of another size.
pub(super) fn table(file: &File) -> Result<Table, Unparsable> {
    if !read(file, 0, 8)?.starts_with(b"vhdxfile") {
        return Err(Unparsable::new("the file is no vhdx"));
    }
    let headers = HEADERS.map(|offset| read(file, offset, HEADER_BYTES));
    let sound = headers.into_iter().flatten().filter(|header| {
        let mut sealed = header.clone();
        seal(&mut sealed);
        header.starts_with(b"head") && sealed == *header
    });
    let header = sound.max_by_key(|header| word::<8>(header, 8));
    let header = header.ok_or_else(|| Unparsable::new("a vhdx without a sound header"))?;
    if header[48..64] != [0; 16] {
        return Err(Unparsable::new("a vhdx whose log is to be replayed"));
    }
    let regions = read(file, REGION_TABLES[0], REGION_TABLE_BYTES)?;
    let region = |name: u128| {
        let mut entries = (0..word::<4>(&regions, 8).min(2047)).map(|index| 16 + index * 32);
        let entry = entries.find(|entry| regions[*entry as usize..][..16] == stored_guid(name));
        let entry = entry.ok_or_else(|| Unparsable::new("a vhdx without one of its regions"))?;
        Ok::<_, Unparsable>((
            word::<8>(&regions, entry + 16),
            word::<4>(&regions, entry + 24),
        ))
    };
    let (metadata, _) = region(METADATA_REGION)?;
    let names = read(file, metadata, FIRST_ITEM)?;
    let item = |name: u128, length: u64| {
        let mut entries = (1..=word::<2>(&names, 10).min(2047)).map(|index| index * 32);
        let entry = entries.find(|entry| names[*entry as usize..][..16] == stored_guid(name));
        let entry = entry.ok_or_else(|| Unparsable::new("a vhdx without one of its items"))?;
        let place = metadata.saturating_add(word::<4>(&names, entry + 16));
        read(file, place, length)
    };
    let parameters = item(FILE_PARAMETERS, 8)?;
    let flags = word::<4>(&parameters, 4);
    if flags & 2 != 0 {
        return Err(Unparsable::new("a differencing vhdx"));
    }
    if word::<4>(&item(LOGICAL_SECTOR_SIZE, 4)?, 0) != SECTOR_BYTES {
        return Err(Unparsable::new("a vhdx with sectors of another size"));
    }
    let image = Vhdx {
        block_bytes: word::<4>(&parameters, 0),
        is_fixed: flags & 1 != 0,
        log_bytes: word::<4>(&header, 68),
    };
    if image.block_bytes < MIB || !image.block_bytes.is_power_of_two() {
        return Err(Unparsable::new("a vhdx with blocks of a wrong size"));
    }
    let size = word::<8>(&item(VIRTUAL_DISK_SIZE, 8)?, 0);
    let (bat, bat_bytes) = region(BAT_REGION)?;
    let table = read(file, bat, bat_bytes)?;
    // What the table has no entry for is not there, however large the image says that it is.
    let described = size.div_ceil(image.block_bytes).min(bat_bytes / 8);
    let blocks = (0..described).filter_map(|block| {
        let entry = word::<8>(&table, image.entry(block) * 8);
        match entry & 7 {
            FULLY_PRESENT => Some((block, Some(entry & !(MIB - 1)))),
            ZERO | UNMAPPED => Some((block, None)),
            _ => None,
        }
    });
    let blocks = blocks.collect();
    let kind = Kind::Vhdx(image);
    Ok(Table { kind, size, blocks })
}
