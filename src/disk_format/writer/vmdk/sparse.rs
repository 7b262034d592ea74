//! A hosted sparse extent: a header, grain directories and tables, grains in any order. Numbers are little-endian, places are in sectors.

use std::ops::Range;

use super::super::space::Space;
use super::super::{Guest, HostFile, WrittenLayer};
use super::{grain, grains};
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::SECTOR_BYTES;
use crate::image::unusual_feature::Unusual;

pub(super) const TABLE_ENTRIES: u64 = 512;
const TABLE_SECTORS: u64 = TABLE_ENTRIES * 4 / SECTOR_BYTES;
pub(super) const DESCRIPTOR_SECTORS: u64 = 20;
/// Bits of `flags`: the characters of line ends are there to be checked, there is a redundant directory, grains can be marked as zero.
pub(super) const CHECKED: u32 = 1;
const REDUNDANT: u32 = 2;
const ZEROED: u32 = 4;
/// The entry of a grain that reads as zeros.
const ZERO: u32 = 1;

/// The numbers of a header.
#[derive(Default)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) flags: u32,
    pub(super) sectors: u64,
    pub(super) grain: u64,
    pub(super) has_descriptor: bool,
    pub(super) redundant: u64,
    pub(super) directory: u64,
    pub(super) overhead: u64,
    pub(super) compression: u16,
}

impl Header {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut header = vec![0; SECTOR_BYTES as usize];
        let mut put = |offset: usize, bytes: &[u8]| {
            header[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        put(0, b"KDMV");
        put(4, &self.version.to_le_bytes());
        put(8, &self.flags.to_le_bytes());
        let (text, sectors) = match self.has_descriptor {
            true => (1, DESCRIPTOR_SECTORS),
            false => (0, 0),
        };
        let numbers = [
            (12, self.sectors),
            (20, self.grain),
            (28, text),
            (36, sectors),
            (48, self.redundant),
            (56, self.directory),
            (64, self.overhead),
        ];
        for (offset, number) in numbers {
            put(offset, &number.to_le_bytes());
        }
        put(44, &(TABLE_ENTRIES as u32).to_le_bytes());
        put(73, b"\n \r\n");
        put(77, &self.compression.to_le_bytes());
        header
    }
}

/// Returns the extent of a range of the guest's addresses; `text` is the descriptor, if it lies inside.
pub(super) fn file(
    layer: &WrittenLayer,
    guest: &Guest,
    range: Range<u64>,
    name: &str,
    text: Option<Vec<u8>>,
) -> Result<HostFile, Unparsable> {
    let unit = layer.unit();
    let length = range.end - range.start;
    let tables = length.div_ceil(unit * TABLE_ENTRIES);
    let directory_sectors = (tables * 4).div_ceil(SECTOR_BYTES);
    let copies: u64 = if layer.has(Unusual::OneDirectory) {
        1
    } else {
        2
    };
    let first = 1 + text.as_ref().map_or(0, |_| DESCRIPTOR_SECTORS);
    let per_copy = directory_sectors + tables * TABLE_SECTORS;
    let overhead = (first + copies * per_copy).next_multiple_of(unit / SECTOR_BYTES);
    let mut space = Space::new(layer, range.start);
    let numbers = space.order(grains(layer, &range));
    let start = overhead * SECTOR_BYTES / unit;
    let places = space.places(start, unit, &vec![1; numbers.len()]);
    let mut entries = zeros(layer, &range, tables);
    let mut file = HostFile::new(name);
    for (number, place) in numbers.iter().zip(places) {
        let sector = u32::try_from(place * unit / SECTOR_BYTES);
        let sector = sector.map_err(|_| Unparsable::new("an extent has no more than 2 TiB"))?;
        entries[*number as usize] = sector;
        file.put(place * unit, grain(layer, guest, &range, *number));
    }
    let mut directories = Vec::new();
    for copy in 0..copies {
        let directory = first + copy * per_copy;
        directories.push(directory);
        // Which table lies where may be drawn as well.
        let order = Space::new(layer, 8 + copy).order((0..tables).collect());
        let mut places = vec![0; (directory_sectors * SECTOR_BYTES) as usize];
        for (slot, table) in (0..).zip(order) {
            let place = directory + directory_sectors + slot * TABLE_SECTORS;
            let entry = table as usize * 4;
            places[entry..entry + 4].copy_from_slice(&(place as u32).to_le_bytes());
            let own = &entries[(table * TABLE_ENTRIES) as usize..][..TABLE_ENTRIES as usize];
            let bytes = own.iter().flat_map(|entry| entry.to_le_bytes()).collect();
            file.put(place * SECTOR_BYTES, bytes);
        }
        file.put(directory * SECTOR_BYTES, places);
    }
    let zeroed = layer.options.zeroed_grain() == Some(true);
    let has_descriptor = text.is_some();
    if let Some(text) = text {
        file.put(SECTOR_BYTES, text);
    }
    let header = Header {
        version: if zeroed { 2 } else { 1 },
        flags: CHECKED | if copies > 1 { REDUNDANT } else { 0 } | if zeroed { ZEROED } else { 0 },
        sectors: length.div_ceil(SECTOR_BYTES),
        grain: unit / SECTOR_BYTES,
        has_descriptor,
        redundant: if copies > 1 { directories[0] } else { 0 },
        directory: directories[directories.len() - 1],
        overhead,
        compression: 0,
    };
    file.put(0, header.bytes());
    file.length = file.length.max(overhead * SECTOR_BYTES);
    Ok(file)
}

/// Returns the entries of all tables before any grain has a place: some grains read as zeros.
fn zeros(layer: &WrittenLayer, range: &Range<u64>, tables: u64) -> Vec<u32> {
    let mut entries = vec![0; (tables * TABLE_ENTRIES) as usize];
    if layer.options.zeroed_grain() == Some(true) {
        let unit = layer.unit();
        let zeros = layer.zero_units().into_iter();
        let own = zeros.filter(|grain| range.contains(&(grain * unit)));
        own.for_each(|grain| entries[(grain - range.start / unit) as usize] = ZERO);
    }
    entries
}
