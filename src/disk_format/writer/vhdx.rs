//! vhdx: [MS-VHDX], dynamic, with its regions in any order, a log that is to be replayed, and blocks in every state that says what a guest sees.

mod log;

use std::collections::{BTreeMap, BTreeSet};

use super::space::{self, Space};
use super::{Below, Guest, HostFile, WrittenLayer, guest};
use crate::disk_format::plain::block_file::vhdx::{
    BAT_REGION, BITMAP_SECTORS, FILE_PARAMETERS, FIRST_ITEM, FULLY_PRESENT, HEADER_BYTES, HEADERS,
    LOGICAL_SECTOR_SIZE, METADATA_REGION, PHYSICAL_SECTOR_SIZE, REGION_TABLES, UNMAPPED,
    VIRTUAL_DISK_ID, VIRTUAL_DISK_SIZE, ZERO, region_table, seal, stored_guid,
};
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::SECTOR_BYTES;
use crate::image::unusual::Unusual;

const MIB: u64 = 1 << 20;
/// The size of the log's space in bytes.
const LOG_BYTES: u64 = MIB;
/// The piece of a block that is written where a guest wrote to it, in bytes.
const PIECE_BYTES: u64 = 64 << 10;
/// A region and a metadata item that nobody knows.
const UNKNOWN_REGION: u128 = 0x696d_6764_7565_6c00_0000_0000_0000_0001;
const UNKNOWN_ITEM: u128 = 0x696d_6764_7565_6c00_0000_0000_0000_0002;
/// The log's identifier, which the current header has while the log is to be replayed.
const LOG_GUID: [u8; 16] = [0x7d; 16];
/// What stands where a guest never sees it.
const STALE: u8 = 0xd7;

/// A part of the file, in whole MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Log,
    Bat,
    Metadata,
    Unknown,
    /// A payload block.
    Block(u64),
    /// A block that no entry of the table leads to, or none that counts.
    Stale,
}

/// Returns the image.
pub(super) fn files(
    layer: &WrittenLayer,
    name: &str,
    below: Option<&Below>,
) -> Result<Vec<HostFile>, Unparsable> {
    if below.is_some() {
        return Err(Unparsable::new("a differencing vhdx is not written yet"));
    }
    if !layer.size.is_multiple_of(sector_bytes(layer)) {
        return Err(Unparsable::new("the size is no multiple of the sector's"));
    }
    let guest = layer.guest(None, &layer.writes);
    let layout = Layout::new(layer);
    Ok(vec![layout.file(name, &guest)])
}

fn sector_bytes(layer: &WrittenLayer) -> u64 {
    match layer.has(Unusual::LargeSectors) {
        true => 4096,
        false => SECTOR_BYTES,
    }
}

/// Whether the log is to be replayed.
fn is_pending(layer: &WrittenLayer) -> bool {
    let features = [
        Unusual::PendingLog,
        Unusual::LogOfSeveral,
        Unusual::WrappedLog,
    ];
    features.iter().any(|feature| layer.has(*feature))
}

struct Layout<'recipe> {
    layer: &'recipe WrittenLayer,
    touched: BTreeSet<u64>,
    /// The offset of each part in bytes.
    places: BTreeMap<Part, u64>,
    /// The end of the last part.
    end: u64,
}

impl<'recipe> Layout<'recipe> {
    fn new(layer: &'recipe WrittenLayer) -> Self {
        let touched = layer.touched();
        let mut layout = Self {
            layer,
            touched,
            places: BTreeMap::new(),
            end: 0,
        };
        let mut parts = vec![Part::Log, Part::Metadata, Part::Bat];
        parts.extend(layer.has(Unusual::UnknownItems).then_some(Part::Unknown));
        let needs_stale = is_pending(layer) || layer.has(Unusual::BlockStates);
        parts.extend(needs_stale.then_some(Part::Stale));
        parts.extend(layout.touched.iter().copied().map(Part::Block));
        let mut space = Space::new(layer, 1);
        let parts = space.order(parts);
        let lengths: Vec<u64> = parts
            .iter()
            .map(|part| layout.length(*part) / MIB)
            .collect();
        let places = space.places(1, MIB, &lengths);
        let ends = places
            .iter()
            .zip(&lengths)
            .map(|(place, length)| place + length);
        layout.end = ends.max().unwrap_or(1) * MIB;
        let offsets = places.iter().map(|place| place * MIB);
        layout.places = parts.into_iter().zip(offsets).collect();
        layout
    }

    fn length(&self, part: Part) -> u64 {
        match part {
            Part::Log => LOG_BYTES,
            Part::Bat => (self.entries() * 8).next_multiple_of(MIB),
            Part::Metadata | Part::Unknown => MIB,
            Part::Block(_) | Part::Stale => self.layer.unit(),
        }
    }

    fn at(&self, part: Part) -> u64 {
        self.places.get(&part).copied().unwrap_or(0)
    }

    /// The place of a block's entry in the table: after each chunk of blocks there is one of a sector bitmap (2.5).
    fn entry(&self, block: u64) -> u64 {
        let ratio = BITMAP_SECTORS * sector_bytes(self.layer) / self.layer.unit();
        block + block / ratio.max(1)
    }

    fn entries(&self) -> u64 {
        let blocks = self.layer.size.div_ceil(self.layer.unit()).max(1);
        self.entry(blocks - 1) + 1
    }

    /// The block allocation table as it is, and as it was before the log was written.
    fn tables(&self) -> [Vec<u8>; 2] {
        let length = (self.entries() * 8).next_multiple_of(log::PAGE_BYTES) as usize;
        let (mut table, mut before) = (vec![0; length], vec![0; length]);
        let mut set = |block: u64, now: u64, then: u64| {
            let place = self.entry(block) as usize * 8;
            table[place..place + 8].copy_from_slice(&now.to_le_bytes());
            before[place..place + 8].copy_from_slice(&then.to_le_bytes());
        };
        let stale = self.at(Part::Stale) | FULLY_PRESENT;
        for (index, block) in self.touched.iter().enumerate() {
            let now = self.at(Part::Block(*block)) | FULLY_PRESENT;
            let then = match space::mixed(self.layer.seed ^ 5, *block) % 3 {
                0 => 0,
                1 if index > 0 => now,
                _ => stale,
            };
            set(*block, now, then);
        }
        for block in self.layer.zero_units() {
            let now = match space::mixed(self.layer.seed ^ 6, block) % 3 {
                0 => ZERO,
                1 => ZERO | self.at(Part::Stale),
                _ => UNMAPPED,
            };
            set(block, now, stale);
        }
        [table, before]
    }

    fn file(&self, name: &str, guest: &Guest) -> HostFile {
        let mut file = HostFile::new(name);
        let mut identifier = vec![0; 8 + 512];
        identifier[..8].copy_from_slice(b"vhdxfile");
        for (index, letter) in "imgduel".encode_utf16().enumerate() {
            identifier[8 + index * 2..10 + index * 2].copy_from_slice(&letter.to_le_bytes());
        }
        file.put(0, identifier);
        self.put_headers(&mut file);
        let mut regions = vec![
            (BAT_REGION, self.at(Part::Bat), self.length(Part::Bat), 1),
            (METADATA_REGION, self.at(Part::Metadata), MIB, 1),
        ];
        if self.layer.has(Unusual::UnknownItems) {
            regions.insert(0, (UNKNOWN_REGION, self.at(Part::Unknown), MIB, 0));
        }
        let regions = Space::new(self.layer, 2).order(regions);
        for offset in REGION_TABLES {
            file.put(offset, region_table(&regions));
        }
        self.put_metadata(&mut file);
        let [table, before] = self.tables();
        match is_pending(self.layer) {
            true => {
                let log = log::entries(self.layer, self.at(Part::Bat), &table, &before, self.end);
                for (offset, bytes) in log {
                    file.put(self.at(Part::Log) + offset, bytes);
                }
                file.put(self.at(Part::Bat), before);
            }
            false => file.put(self.at(Part::Bat), table),
        }
        if self.places.contains_key(&Part::Stale) {
            let length = self.layer.unit().min(PIECE_BYTES) as usize;
            file.put(self.at(Part::Stale), vec![STALE; length]);
        }
        for piece in guest::touched(&self.layer.writes, PIECE_BYTES, self.layer.size) {
            let start = piece * PIECE_BYTES;
            let block = self.at(Part::Block(start / self.layer.unit()));
            let offset = block + start % self.layer.unit();
            file.put(offset, guest.bytes(start..start + PIECE_BYTES));
        }
        file.length = self.end;
        file
    }

    /// Both headers: the current one has the higher number, and the log's identifier if that is to be replayed.
    fn put_headers(&self, file: &mut HostFile) {
        let second = self.layer.has(Unusual::SecondHeader);
        for (index, offset) in HEADERS.into_iter().enumerate() {
            let is_current = (index == 1) == second;
            let mut header = vec![0; HEADER_BYTES as usize];
            header[..4].copy_from_slice(b"head");
            let sequence: u64 = if is_current { 8 } else { 7 };
            header[8..16].copy_from_slice(&sequence.to_le_bytes());
            header[16..32].fill(0x4d);
            header[32..48].fill(0x5d);
            if is_current && is_pending(self.layer) {
                header[48..64].copy_from_slice(&LOG_GUID);
            }
            header[66..68].copy_from_slice(&1_u16.to_le_bytes());
            header[68..72].copy_from_slice(&(LOG_BYTES as u32).to_le_bytes());
            header[72..80].copy_from_slice(&self.at(Part::Log).to_le_bytes());
            seal(&mut header);
            if !is_current && self.layer.has(Unusual::OneHeader) {
                // As a write that never came to its end leaves it.
                header[4..8].fill(0);
            }
            file.put(offset, header);
        }
    }

    fn put_metadata(&self, file: &mut HostFile) {
        let sector = (sector_bytes(self.layer) as u32).to_le_bytes();
        let parameters = u64::from(self.layer.unit() as u32).to_le_bytes();
        // Flags: 1 for an item of a user, 2 for one of the virtual disk, 4 for one that a reader must know.
        let mut items: Vec<(u128, Vec<u8>, u32)> = vec![
            (FILE_PARAMETERS, parameters.into(), 4),
            (VIRTUAL_DISK_SIZE, self.layer.size.to_le_bytes().into(), 6),
            (VIRTUAL_DISK_ID, vec![0x6d; 16], 6),
            (LOGICAL_SECTOR_SIZE, sector.into(), 6),
            (PHYSICAL_SECTOR_SIZE, sector.into(), 6),
        ];
        if self.layer.has(Unusual::UnknownItems) {
            items.push((UNKNOWN_ITEM, b"of nobody".to_vec(), 1));
        }
        let items = Space::new(self.layer, 3).order(items);
        let mut table = vec![0; 32 * (items.len() + 1)];
        table[..8].copy_from_slice(b"metadata");
        table[10..12].copy_from_slice(&(items.len() as u16).to_le_bytes());
        let mut values = Vec::new();
        for (index, (name, value, flags)) in items.into_iter().enumerate() {
            let entry = &mut table[(index + 1) * 32..(index + 2) * 32];
            let place = FIRST_ITEM as u32 + values.len() as u32;
            entry[..16].copy_from_slice(&stored_guid(name));
            entry[16..20].copy_from_slice(&place.to_le_bytes());
            entry[20..24].copy_from_slice(&(value.len() as u32).to_le_bytes());
            entry[24..28].copy_from_slice(&flags.to_le_bytes());
            values.extend(value);
        }
        file.put(self.at(Part::Metadata), table);
        file.put(self.at(Part::Metadata) + FIRST_ITEM, values);
    }
}
