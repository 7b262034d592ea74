//! A sparse extent of ESX (COWD, "ESX Server Sparse Extents"): a header of four sectors, a directory, tables of 4096 entries. Numbers are
//! little-endian, places are in sectors.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::space::Space;
use super::super::{Guest, HostFile, WrittenLayer};
use super::{grain, grains};
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::SECTOR_BYTES;

const TABLE_ENTRIES: u64 = 4096;
const TABLE_SECTORS: u64 = TABLE_ENTRIES * 4 / SECTOR_BYTES;
/// The length of the header, behind which the directory lies.
const HEADER_SECTORS: u64 = 4;

pub(super) fn file(
    layer: &WrittenLayer,
    guest: &Guest,
    range: Range<u64>,
    name: &str,
) -> Result<HostFile, Unparsable> {
    let unit = layer.unit();
    let sectors = (range.end - range.start).div_ceil(SECTOR_BYTES);
    let tables = sectors.div_ceil(TABLE_ENTRIES * unit / SECTOR_BYTES);
    let directory_sectors = (tables * 4).div_ceil(SECTOR_BYTES);
    let mut space = Space::new(layer, range.start);
    let numbers = space.order(grains(layer, &range));
    let first_table = HEADER_SECTORS + directory_sectors;
    let data = (first_table + tables * TABLE_SECTORS).next_multiple_of(unit / SECTOR_BYTES);
    let start = data * SECTOR_BYTES / unit;
    let places = space.places(start, unit, &vec![1; numbers.len()]);
    let mut file = HostFile::new(name);
    let mut entries: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for (number, place) in numbers.iter().zip(places) {
        let sector = u32::try_from(place * unit / SECTOR_BYTES);
        let sector = sector.map_err(|_| Unparsable::new("an extent has no more than 2 TiB"))?;
        let table = entries.entry(number / TABLE_ENTRIES).or_default();
        table.resize(TABLE_ENTRIES as usize * 4, 0);
        let entry = (number % TABLE_ENTRIES) as usize * 4;
        table[entry..entry + 4].copy_from_slice(&sector.to_le_bytes());
        file.put(place * unit, grain(layer, guest, &range, *number));
    }
    let mut directory = vec![0; (directory_sectors * SECTOR_BYTES) as usize];
    for (index, table) in entries {
        let place = first_table + index * TABLE_SECTORS;
        let entry = index as usize * 4;
        directory[entry..entry + 4].copy_from_slice(&(place as u32).to_le_bytes());
        file.put(place * SECTOR_BYTES, table);
    }
    file.put(HEADER_SECTORS * SECTOR_BYTES, directory);
    let free = file.length.div_ceil(SECTOR_BYTES).max(data);
    let mut header = b"COWD".to_vec();
    let words = [
        1,
        3,
        sectors as u32,
        (unit / SECTOR_BYTES) as u32,
        HEADER_SECTORS as u32,
        tables as u32,
        free as u32,
        (sectors / 16 / 63) as u32,
        16,
        63,
    ];
    header.extend(words.into_iter().flat_map(u32::to_le_bytes));
    header.resize((HEADER_SECTORS * SECTOR_BYTES) as usize, 0);
    file.put(0, header);
    file.length = file.length.max(data * SECTOR_BYTES);
    Ok(file)
}
