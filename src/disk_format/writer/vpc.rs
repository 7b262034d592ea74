//! vpc: Microsoft's Virtual Hard Disk Image Format Specification 1.0, fixed and dynamic. Numbers are big-endian.

use std::collections::{BTreeMap, BTreeSet};

use super::space::{self, Space};
use super::{Below, Guest, HostFile, WrittenLayer, guest};
use crate::disk_format::plain::block_file::vpc::checksum;
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::{SECTOR_BYTES, vpc_geometry};
use crate::image::options::Subformat;
use crate::image::unusual_feature::Unusual;

const FOOTER_BYTES: u64 = 512;
const HEADER_BYTES: u64 = 1024;
/// Disk types.
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;
/// The identifiers of images: of one that lies on another, and of any other.
const CHILD_ID: [u8; 16] = [0x3f; 16];
const ID: [u8; 16] = [0x3e; 16];
/// The room for each of the two names of the image below, in sectors.
const LOCATOR_SECTORS: u64 = 2;
/// What stands under a clear bit of a sector bitmap.
const STALE: u8 = 0xd8;

/// A part of a dynamic image behind the copy of the footer, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Header,
    Table,
    /// The names of the image below.
    Locators,
    /// A block, with its sector bitmap.
    Block(u64),
}

/// Returns the image.
pub(super) fn files(
    layer: &WrittenLayer,
    name: &str,
    below: Option<&Below>,
) -> Result<Vec<HostFile>, Unparsable> {
    let guest = layer.guest(below.map(|below| &below.guest), &layer.writes);
    match (layer.options.subformat(), below) {
        (Some(Subformat::Fixed), Some(_)) => Err(Unparsable::new("a fixed vpc has no image below")),
        (Some(Subformat::Fixed), None) => {
            let mut file = guest.flat(name);
            file.put(guest.size, footer(layer, FIXED, u64::MAX));
            Ok(vec![file])
        }
        _ => Ok(vec![sparse(layer, &guest, name, below)]),
    }
}

/// The footer. `header` is the offset of the header of a dynamic image.
fn footer(layer: &WrittenLayer, kind: u32, header: u64) -> Vec<u8> {
    let mut footer = vec![0; FOOTER_BYTES as usize];
    let mut put = |offset: usize, bytes: &[u8]| {
        footer[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    put(0, b"conectix");
    put(8, &2_u32.to_be_bytes());
    put(12, &0x0001_0000_u32.to_be_bytes());
    put(16, &header.to_be_bytes());
    // Seconds since 2000-01-01: the beginning of 2026.
    put(24, &820_454_400_u32.to_be_bytes());
    let creator = layer.creator.as_deref().unwrap_or("win ");
    let mut bytes = [0; 4];
    let length = creator.len().min(4);
    bytes[..length].copy_from_slice(&creator.as_bytes()[..length]);
    put(28, &bytes);
    put(32, &0x0006_0001_u32.to_be_bytes());
    put(36, b"Wi2k");
    let original = match layer.has(Unusual::ResizedDisk) {
        true => (layer.size / 2).next_multiple_of(SECTOR_BYTES),
        false => layer.size,
    };
    put(40, &original.to_be_bytes());
    put(48, &layer.size.to_be_bytes());
    let (cylinders, heads, track) = vpc_geometry(layer.size / SECTOR_BYTES);
    put(56, &(cylinders as u16).to_be_bytes());
    put(58, &[heads as u8, track as u8]);
    put(60, &kind.to_be_bytes());
    let id = if kind == DIFFERENCING { CHILD_ID } else { ID };
    put(68, &id);
    let sum = checksum(&footer);
    footer[64..68].copy_from_slice(&sum.to_be_bytes());
    footer
}

/// The sectors of a block's bitmap.
fn bitmap_bytes(layer: &WrittenLayer) -> u64 {
    (layer.unit() / SECTOR_BYTES / 8).next_multiple_of(SECTOR_BYTES)
}

fn sparse(layer: &WrittenLayer, guest: &Guest, name: &str, below: Option<&Below>) -> HostFile {
    let blocks = layer.size.div_ceil(layer.unit());
    let touched = layer.touched();
    let table_bytes = (blocks * 4).next_multiple_of(SECTOR_BYTES);
    let places = places(layer, &touched, table_bytes, below.is_some());
    let at = |part: Part| places.get(&part).copied().unwrap_or(0) * SECTOR_BYTES;
    let mut file = HostFile::new(name);
    let mut table = vec![0xff; table_bytes as usize];
    for block in &touched {
        let place = at(Part::Block(*block));
        let sector = (place / SECTOR_BYTES) as u32;
        let entry = *block as usize * 4;
        table[entry..entry + 4].copy_from_slice(&sector.to_be_bytes());
        file.put(place, bitmap(layer, *block, below.is_some()));
        let data = data(layer, guest, *block, below.is_some());
        file.put(place + bitmap_bytes(layer), data);
    }
    file.put(at(Part::Table), table);
    let mut header = header(layer, at(Part::Table), blocks);
    if let Some(below) = below {
        let locators = at(Part::Locators);
        file.put(locators, locate(&mut header, below, locators));
    }
    let sum = checksum(&header);
    header[36..40].copy_from_slice(&sum.to_be_bytes());
    file.put(at(Part::Header), header);
    let kind = if below.is_some() {
        DIFFERENCING
    } else {
        DYNAMIC
    };
    let footer = footer(layer, kind, at(Part::Header));
    let ends = places
        .keys()
        .map(|part| at(*part) + length(layer, *part, table_bytes));
    let end = ends.max().unwrap_or(FOOTER_BYTES);
    file.put(0, footer.clone());
    file.put(end, footer);
    file
}

fn length(layer: &WrittenLayer, part: Part, table_bytes: u64) -> u64 {
    match part {
        Part::Header => HEADER_BYTES,
        Part::Table => table_bytes,
        Part::Locators => 2 * LOCATOR_SECTORS * SECTOR_BYTES,
        Part::Block(_) => bitmap_bytes(layer) + layer.unit(),
    }
}

fn places(
    layer: &WrittenLayer,
    touched: &BTreeSet<u64>,
    table_bytes: u64,
    is_child: bool,
) -> BTreeMap<Part, u64> {
    let blocks: Vec<Part> = touched.iter().copied().map(Part::Block).collect();
    let mut space = Space::new(layer, 1);
    let blocks = space.order(blocks);
    let mut tables = vec![Part::Header, Part::Table];
    tables.extend(is_child.then_some(Part::Locators));
    let parts = match layer.has(Unusual::HeaderBehind) {
        true => [blocks, tables].concat(),
        false => [tables, blocks].concat(),
    };
    let lengths: Vec<u64> = parts
        .iter()
        .map(|part| length(layer, *part, table_bytes) / SECTOR_BYTES)
        .collect();
    let places = space.places(FOOTER_BYTES / SECTOR_BYTES, SECTOR_BYTES, &lengths);
    parts.into_iter().zip(places).collect()
}

fn header(layer: &WrittenLayer, table: u64, blocks: u64) -> Vec<u8> {
    let mut header = vec![0; HEADER_BYTES as usize];
    let mut put = |offset: usize, bytes: &[u8]| {
        header[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    put(0, b"cxsparse");
    put(8, &u64::MAX.to_be_bytes());
    put(16, &table.to_be_bytes());
    put(24, &0x0001_0000_u32.to_be_bytes());
    put(28, &(blocks as u32).to_be_bytes());
    put(32, &(layer.unit() as u32).to_be_bytes());
    header
}

/// Puts what is known of the image below into the header: its identifier, its name, and where its two names for Windows lie. Returns those,
/// which lie at `place`.
fn locate(header: &mut [u8], below: &Below, place: u64) -> Vec<u8> {
    let (_, name) = below.name.rsplit_once('/').unwrap_or(("", &below.name));
    let wide = name.encode_utf16().take(256);
    let wide: Vec<u8> = wide.flat_map(u16::to_be_bytes).collect();
    header[40..56].copy_from_slice(&ID);
    header[64..64 + wide.len()].copy_from_slice(&wide);
    let relative = format!(".\\{}", below.name.replace('/', "\\"));
    let absolute = format!("C:\\{}", below.name.replace('/', "\\"));
    let mut names = Vec::new();
    for (index, (code, name)) in [(b"W2ru", relative), (b"W2ku", absolute)]
        .into_iter()
        .enumerate()
    {
        let bytes: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let entry = &mut header[576 + index * 24..600 + index * 24];
        entry[..4].copy_from_slice(code);
        entry[4..8].copy_from_slice(&(LOCATOR_SECTORS as u32).to_be_bytes());
        entry[8..12].copy_from_slice(&(bytes.len() as u32).to_be_bytes());
        let offset = place + names.len() as u64;
        entry[16..24].copy_from_slice(&offset.to_be_bytes());
        names.extend(bytes);
        names.resize((index + 1) * (LOCATOR_SECTORS * SECTOR_BYTES) as usize, 0);
    }
    names
}

/// Whether a sector's bit is clear: of those that no write touches, in a child all, otherwise some that are drawn.
fn is_clear(layer: &WrittenLayer, written: &BTreeSet<u64>, sector: u64, is_child: bool) -> bool {
    let has = layer.has(Unusual::ClearBits) || layer.has(Unusual::StaleBits);
    let is_drawn = has && space::mixed(layer.seed ^ 7, sector / 8) % 4 < 3;
    !written.contains(&sector) && (is_drawn || is_child)
}

/// The bitmap of a block's sectors, the first in the highest bit of the first byte.
fn bitmap(layer: &WrittenLayer, block: u64, is_child: bool) -> Vec<u8> {
    let mut bitmap = vec![0; bitmap_bytes(layer) as usize];
    let written = guest::touched(&layer.writes, SECTOR_BYTES, layer.size);
    let sectors = layer.unit() / SECTOR_BYTES;
    for index in 0..sectors {
        if !is_clear(layer, &written, block * sectors + index, is_child) {
            bitmap[(index / 8) as usize] |= 0x80 >> (index % 8);
        }
    }
    bitmap
}

/// A block's data. What lies under clear bits a guest does not see.
fn data(layer: &WrittenLayer, guest: &Guest, block: u64, is_child: bool) -> Vec<u8> {
    let start = block * layer.unit();
    let mut bytes = guest.bytes(start..start + layer.unit());
    if layer.has(Unusual::StaleBits) || is_child {
        let stale = if layer.has(Unusual::StaleBits) {
            STALE
        } else {
            0
        };
        let written = guest::touched(&layer.writes, SECTOR_BYTES, layer.size);
        let sectors = bytes.chunks_mut(SECTOR_BYTES as usize);
        for (sector, bytes) in (start / SECTOR_BYTES..).zip(sectors) {
            if is_clear(layer, &written, sector, is_child) {
                bytes.fill(stale);
            }
        }
    }
    bytes
}
