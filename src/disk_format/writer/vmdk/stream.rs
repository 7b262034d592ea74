//! A compressed stream (streamOptimized): grains with markers, then tables and the directory, found by the header or by a footer.

use std::collections::BTreeMap;

use miniz_oxide::deflate::compress_to_vec_zlib;

use super::super::space::Space;
use super::super::{Guest, HostFile, WrittenLayer};
use super::sparse::{CHECKED, DESCRIPTOR_SECTORS, Header, TABLE_ENTRIES};
use super::{grain, grains};
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::SECTOR_BYTES;
use crate::image::unusual_feature::Unusual;

/// Bits of `flags`: grains are compressed, and there are markers.
const COMPRESSED: u32 = 3 << 16;
/// The directory lies behind the grains, and a footer tells where.
const AT_END: u64 = u64::MAX;
/// Kinds of markers.
const TABLE: u32 = 1;
const DIRECTORY: u32 = 2;
const FOOTER: u32 = 3;
const DEFLATE_LEVEL: u8 = 6;

pub(super) fn file(
    layer: &WrittenLayer,
    guest: &Guest,
    name: &str,
    text: &[u8],
) -> Result<HostFile, Unparsable> {
    let range = 0..layer.size;
    let unit = layer.unit();
    let mut bytes = vec![0; SECTOR_BYTES as usize];
    bytes.extend(text);
    let overhead = (1 + DESCRIPTOR_SECTORS).next_multiple_of(unit / SECTOR_BYTES);
    bytes.resize((overhead * SECTOR_BYTES) as usize, 0);
    let order = Space::new(layer, 1).order(grains(layer, &range));
    let mut tables: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for number in order {
        let sector = (bytes.len() as u64 / SECTOR_BYTES) as u32;
        let stored = compress_to_vec_zlib(&grain(layer, guest, &range, number), DEFLATE_LEVEL);
        bytes.extend((number * unit / SECTOR_BYTES).to_le_bytes());
        bytes.extend((stored.len() as u32).to_le_bytes());
        bytes.extend(stored);
        pad(&mut bytes);
        let table = tables.entry(number / TABLE_ENTRIES).or_default();
        table.resize(TABLE_ENTRIES as usize * 4, 0);
        let entry = (number % TABLE_ENTRIES) as usize * 4;
        table[entry..entry + 4].copy_from_slice(&sector.to_le_bytes());
    }
    let count = layer.size.div_ceil(unit * TABLE_ENTRIES);
    let mut directory = vec![0; count as usize * 4];
    for (index, table) in tables {
        marker(&mut bytes, table.len(), TABLE);
        let sector = (bytes.len() as u64 / SECTOR_BYTES) as u32;
        let entry = index as usize * 4;
        directory[entry..entry + 4].copy_from_slice(&sector.to_le_bytes());
        bytes.extend(table);
    }
    marker(&mut bytes, directory.len(), DIRECTORY);
    let place = bytes.len() as u64 / SECTOR_BYTES;
    bytes.extend(directory);
    pad(&mut bytes);
    let has_footer = layer.has(Unusual::Footer);
    let mut header = Header {
        version: 3,
        flags: CHECKED | COMPRESSED,
        sectors: layer.size.div_ceil(SECTOR_BYTES),
        grain: unit / SECTOR_BYTES,
        has_descriptor: true,
        redundant: 0,
        directory: place,
        overhead,
        compression: 1,
    };
    if has_footer {
        marker(&mut bytes, SECTOR_BYTES as usize, FOOTER);
        bytes.extend(header.bytes());
        header.directory = AT_END;
    }
    // The end of the stream.
    bytes.extend([0; SECTOR_BYTES as usize]);
    bytes[..SECTOR_BYTES as usize].copy_from_slice(&header.bytes());
    let mut file = HostFile::new(name);
    file.put(0, bytes);
    Ok(file)
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(SECTOR_BYTES as usize), 0);
}

/// Adds the marker of what follows, which has this many bytes.
fn marker(bytes: &mut Vec<u8>, length: usize, kind: u32) {
    bytes.extend((length as u64).div_ceil(SECTOR_BYTES).to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    pad(bytes);
}
