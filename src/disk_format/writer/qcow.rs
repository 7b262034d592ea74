//! qcow version 1: QEMU's block/qcow.c, with compressed clusters. Numbers are big-endian.

use std::collections::BTreeMap;

use super::space::{self, Space};
use super::{Below, Guest, HostFile, WrittenLayer};
use crate::disk_format::plain::compressed as deflated;
use crate::disk_format::qcow2::Unparsable;
use crate::image::unusual_feature::Unusual;

const HEADER_BYTES: u64 = 48;
/// An L2 table has a cluster's length, in entries of 8 bytes.
const ENTRY_BITS: u32 = 3;
/// Bit 63 of an entry: a compressed cluster.
const COMPRESSED: u64 = 1 << 63;

/// A part of the file, in clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    L2(u64),
    Data(u64),
    Compressed,
}

/// Returns the image.
pub(super) fn files(
    layer: &WrittenLayer,
    name: &str,
    below: Option<&Below>,
) -> Result<Vec<HostFile>, Unparsable> {
    let guest = layer.guest(below.map(|below| &below.guest), &layer.writes);
    let unit = layer.unit();
    let l2_bits = layer.unit_bits - ENTRY_BITS;
    let stored = compressed(layer, &guest);
    let (offsets, compressed_bytes) = packed(layer, &stored);
    let mut parts: Vec<Part> = Vec::new();
    let touched = layer.touched();
    let mut tables: Vec<u64> = touched.iter().map(|cluster| cluster >> l2_bits).collect();
    tables.dedup();
    parts.extend(tables.iter().copied().map(Part::L2));
    let plain = touched
        .iter()
        .filter(|cluster| !stored.contains_key(cluster));
    parts.extend(plain.copied().map(Part::Data));
    parts.extend((compressed_bytes > 0).then_some(Part::Compressed));
    let l1_entries = layer.size.div_ceil(unit << l2_bits);
    let name_bytes = below.map_or(0, |below| below.name.len() as u64);
    let l1_offset = (HEADER_BYTES + name_bytes).next_multiple_of(8);
    let first = (l1_offset + l1_entries * 8).div_ceil(unit);
    let mut space = Space::new(layer, 1);
    let parts = space.order(parts);
    let lengths: Vec<u64> = parts
        .iter()
        .map(|part| match part {
            Part::Compressed => compressed_bytes.div_ceil(unit),
            _ => 1,
        })
        .collect();
    let places = space.places(first, unit, &lengths);
    let places: BTreeMap<Part, u64> = parts.into_iter().zip(places).collect();
    let at = |part: Part| places.get(&part).copied().unwrap_or(0) * unit;
    let mut file = HostFile::new(name);
    let mut l1 = vec![0; l1_entries as usize * 8];
    let mut l2: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for cluster in &touched {
        let word = match stored.get(cluster) {
            Some(bytes) => {
                let offset = at(Part::Compressed) + offsets[cluster];
                COMPRESSED | (bytes.len() as u64) << (63 - layer.unit_bits) | offset
            }
            None => at(Part::Data(*cluster)),
        };
        let table = l2.entry(cluster >> l2_bits);
        let table = table.or_insert_with(|| vec![0; unit as usize]);
        let entry = (cluster & ((1 << l2_bits) - 1)) as usize * 8;
        table[entry..entry + 8].copy_from_slice(&word.to_be_bytes());
        match stored.get(cluster) {
            Some(bytes) => file.put(at(Part::Compressed) + offsets[cluster], bytes.clone()),
            None => file.put(word, guest.bytes(cluster * unit..(cluster + 1) * unit)),
        }
    }
    for (index, table) in l2 {
        let entry = index as usize * 8;
        l1[entry..entry + 8].copy_from_slice(&at(Part::L2(index)).to_be_bytes());
        file.put(at(Part::L2(index)), table);
    }
    let mut start = header(layer, below, l2_bits, l1_offset);
    start.resize(l1_offset as usize, 0);
    start.extend(l1);
    file.put(0, start);
    file.length = file.length.next_multiple_of(unit);
    Ok(vec![file])
}

/// The bytes of the clusters that are compressed.
fn compressed(layer: &WrittenLayer, guest: &Guest) -> BTreeMap<u64, Vec<u8>> {
    let is_wanted = layer.has(Unusual::Deflated) || layer.has(Unusual::Packed);
    let clusters = layer.touched().into_iter().filter(|_| is_wanted);
    let drawn = clusters.filter(|cluster| space::mixed(layer.seed ^ 3, *cluster) % 4 < 3);
    let stored = drawn.filter_map(|cluster| {
        let start = cluster * layer.unit();
        let bytes = deflated(&guest.bytes(start..start + layer.unit()))?;
        Some((cluster, bytes))
    });
    stored.collect()
}

/// Where compressed clusters lie in their part, and its length: one after the other, or each at a sector of its own.
fn packed(layer: &WrittenLayer, stored: &BTreeMap<u64, Vec<u8>>) -> (BTreeMap<u64, u64>, u64) {
    let step = if layer.has(Unusual::Packed) { 1 } else { 512 };
    let mut next = 0_u64;
    let offsets = stored.iter().map(|(cluster, bytes)| {
        let offset = next.next_multiple_of(step);
        next = offset + bytes.len() as u64;
        (*cluster, offset)
    });
    let offsets = offsets.collect();
    (offsets, next)
}

fn header(layer: &WrittenLayer, below: Option<&Below>, l2_bits: u32, l1_offset: u64) -> Vec<u8> {
    let name = below.map_or("", |below| below.name.as_str());
    let name_offset = if name.is_empty() { 0 } else { HEADER_BYTES };
    let mut header = b"QFI\xfb".to_vec();
    header.extend(1_u32.to_be_bytes());
    header.extend(name_offset.to_be_bytes());
    header.extend((name.len() as u32).to_be_bytes());
    header.extend(0_u32.to_be_bytes());
    header.extend(layer.size.to_be_bytes());
    header.extend([layer.unit_bits as u8, l2_bits as u8, 0, 0]);
    header.extend(0_u32.to_be_bytes());
    header.extend(l1_offset.to_be_bytes());
    header.extend(name.as_bytes());
    header
}
