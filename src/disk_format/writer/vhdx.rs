//! vhdx: [MS-VHDX], dynamic, with its regions in any order, a log that is to be replayed, and blocks in every state that says what a guest sees.

mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::space::{self, Space};
use super::{Below, Guest, HostFile, WrittenLayer, guest};
use crate::disk_format::plain::block_file::vhdx::{
    BAT_REGION, BITMAP_SECTORS, FILE_PARAMETERS, FIRST_ITEM, FULLY_PRESENT, HEADER_BYTES, HEADERS,
    LOGICAL_SECTOR_SIZE, METADATA_REGION, PHYSICAL_SECTOR_SIZE, REGION_TABLES, UNMAPPED,
    VIRTUAL_DISK_ID, VIRTUAL_DISK_SIZE, ZERO, region_table, seal, stored_guid,
};
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::SECTOR_BYTES;
use crate::image::unusual_feature::Unusual;

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
/// The metadata item that tells the image below, and its type (2.6.2.6).
const PARENT_LOCATOR: u128 = 0xa8d3_5f2d_b30b_454d_abf7_d3d8_4834_ab0c;
const LOCATOR_TYPE: u128 = 0xb04a_efb7_d19e_4a81_b789_25b8_e944_5913;
/// A byte of the identifier of the data of an image that lies on another, and of any other.
const CHILD_ID: u8 = 0x5e;
const ID: u8 = 0x5d;
/// The state of a payload block of which only some sectors are there, and that of a sector bitmap block that is there (2.5.1).
const PARTIALLY_PRESENT: u64 = 7;
const BITMAP_PRESENT: u64 = 6;
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
    /// The bitmap of the sectors of a chunk of blocks.
    Sectors(u64),
    /// A block that no entry of the table leads to, or none that counts.
    Stale,
}

/// Returns the image.
pub(super) fn files(
    layer: &WrittenLayer,
    name: &str,
    below: Option<&Below>,
) -> Result<Vec<HostFile>, Unparsable> {
    if !layer.size.is_multiple_of(sector_bytes(layer)) {
        return Err(Unparsable::new("the size is no multiple of the sector's"));
    }
    let guest = layer.guest(below.map(|below| &below.guest), &layer.writes);
    let layout = Layout::new(layer, below);
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
    below: Option<&'recipe Below>,
    touched: BTreeSet<u64>,
    /// The offset of each part in bytes.
    places: BTreeMap<Part, u64>,
    /// The end of the last part.
    end: u64,
}

impl<'recipe> Layout<'recipe> {
    fn new(layer: &'recipe WrittenLayer, below: Option<&'recipe Below>) -> Self {
        let touched = layer.touched();
        let mut layout = Self {
            layer,
            below,
            touched,
            places: BTreeMap::new(),
            end: 0,
        };
        let mut parts = vec![Part::Log, Part::Metadata, Part::Bat];
        parts.extend(layer.has(Unusual::UnknownItems).then_some(Part::Unknown));
        let needs_stale = is_pending(layer) || layer.has(Unusual::BlockStates);
        parts.extend(needs_stale.then_some(Part::Stale));
        parts.extend(layout.touched.iter().copied().map(Part::Block));
        parts.extend(layout.chunks().into_iter().map(Part::Sectors));
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
            Part::Metadata | Part::Unknown | Part::Sectors(_) => MIB,
            Part::Block(_) | Part::Stale => self.layer.unit(),
        }
    }

    fn at(&self, part: Part) -> u64 {
        self.places.get(&part).copied().unwrap_or(0)
    }

    /// The place of a block's entry in the table: after each chunk of blocks there is one of a sector bitmap (2.5).
    fn entry(&self, block: u64) -> u64 {
        block + block / self.chunk_ratio()
    }

    /// How many payload blocks stand between two sector bitmap blocks.
    fn chunk_ratio(&self) -> u64 {
        (BITMAP_SECTORS * sector_bytes(self.layer) / self.layer.unit()).max(1)
    }

    fn entries(&self) -> u64 {
        let blocks = self.layer.size.div_ceil(self.layer.unit()).max(1);
        match self.below {
            // Of a differencing image, every chunk has the entry of its sector bitmap (2.5.1).
            Some(_) => blocks.div_ceil(self.chunk_ratio()) * (self.chunk_ratio() + 1),
            None => self.entry(blocks - 1) + 1,
        }
    }

    /// Whether only the sectors of a block that a guest wrote to are there: in half of the blocks of a differencing image.
    fn is_partial(&self, block: u64) -> bool {
        self.below.is_some() && space::mixed(self.layer.seed ^ 9, block).is_multiple_of(2)
    }

    /// The chunks that have a block of which only some sectors are there.
    fn chunks(&self) -> BTreeSet<u64> {
        let partial = self.touched.iter().filter(|block| self.is_partial(**block));
        partial.map(|block| block / self.chunk_ratio()).collect()
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
            let state = match self.is_partial(*block) {
                true => PARTIALLY_PRESENT,
                false => FULLY_PRESENT,
            };
            let now = self.at(Part::Block(*block)) | state;
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
                // Over an image below, the specification leaves open what an unmapped block shows.
                _ if self.below.is_some() => ZERO,
                _ => UNMAPPED,
            };
            set(block, now, stale);
        }
        for chunk in self.chunks() {
            let place = (chunk * (self.chunk_ratio() + 1) + self.chunk_ratio()) as usize * 8;
            let entry = self.at(Part::Sectors(chunk)) | BITMAP_PRESENT;
            table[place..place + 8].copy_from_slice(&entry.to_le_bytes());
            before[place..place + 8].copy_from_slice(&entry.to_le_bytes());
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
        self.put_blocks(&mut file, guest);
        file.length = self.end;
        file
    }

    /// The payload blocks, and the bitmaps of their sectors where not all are there. A block that is there as a whole has what is below as well.
    fn put_blocks(&self, file: &mut HostFile, guest: &Guest) {
        let unit = self.layer.unit();
        for block in &self.touched {
            let end = ((block + 1) * unit).min(self.layer.size);
            for start in (block * unit..end).step_by(PIECE_BYTES as usize) {
                let range = start..(start + PIECE_BYTES).min((block + 1) * unit);
                if !guest.is_zero(range.clone()) {
                    let offset = self.at(Part::Block(*block)) + start % unit;
                    file.put(offset, self.block_bytes(*block, guest, range));
                }
            }
        }
        let sector = sector_bytes(self.layer);
        let written = guest::touched(&self.layer.writes, sector, self.layer.size);
        let per_chunk = self.chunk_ratio() * unit / sector;
        for chunk in self.chunks() {
            let mut bitmap = vec![0; MIB as usize];
            for number in written.range(chunk * per_chunk..(chunk + 1) * per_chunk) {
                let index = number % per_chunk;
                bitmap[(index / 8) as usize] |= 1 << (index % 8);
            }
            file.put(self.at(Part::Sectors(chunk)), bitmap);
        }
    }

    /// Bytes of a block; where its sectors are those of the image below, something else stands in it.
    fn block_bytes(&self, block: u64, guest: &Guest, range: Range<u64>) -> Vec<u8> {
        let sector = sector_bytes(self.layer);
        let mut bytes = guest.bytes(range.clone());
        if self.is_partial(block) {
            let written = guest::touched(&self.layer.writes, sector, self.layer.size);
            let sectors = bytes.chunks_mut(sector as usize);
            for (number, bytes) in (range.start / sector..).zip(sectors) {
                if !written.contains(&number) {
                    bytes.fill(STALE);
                }
            }
        }
        bytes
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
            let id = if self.below.is_some() { CHILD_ID } else { ID };
            header[32..48].fill(id);
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
        // Bit 1 of the flags behind the block size: there is a parent.
        let flags: u64 = if self.below.is_some() { 2 } else { 0 };
        let parameters = (self.layer.unit() | flags << 32).to_le_bytes();
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
        if let Some(below) = self.below {
            items.push((PARENT_LOCATOR, locator(below), 4));
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

/// The parent locator: keys and values in UTF-16.
fn locator(below: &Below) -> Vec<u8> {
    let id = format!("{ID:02x}");
    let group = |count: usize| id.repeat(count);
    let linkage = format!(
        "{{{}-{}-{}-{}-{}}}",
        group(4),
        group(2),
        group(2),
        group(2),
        group(6)
    );
    let name = below.name.replace('/', "\\");
    let pairs = [
        ("parent_linkage", linkage),
        ("relative_path", format!(".\\{name}")),
        ("absolute_win32_path", format!("\\\\?\\C:\\{name}")),
    ];
    let mut locator = stored_guid(LOCATOR_TYPE).to_vec();
    locator.extend([0; 2]);
    locator.extend((pairs.len() as u16).to_le_bytes());
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let first = locator.len() + pairs.len() * 12;
    let mut texts: Vec<u8> = Vec::new();
    for (key, value) in pairs {
        let (key, value) = (wide(key), wide(&value));
        let place = (first + texts.len()) as u32;
        locator.extend(place.to_le_bytes());
        locator.extend((place + key.len() as u32).to_le_bytes());
        locator.extend((key.len() as u16).to_le_bytes());
        locator.extend((value.len() as u16).to_le_bytes());
        texts.extend(key);
        texts.extend(value);
    }
    locator.extend(texts);
    locator
}
