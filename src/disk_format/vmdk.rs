//! The on-disk format of vmdk: sparse extents (monolithicSparse, streamOptimized) and descriptor files of VMware's Virtual Disk Format 5.0, with
//! its field names.
//!
//! Mutations use the layout; no code reads images through it.

use crate::disk_format::structure::{
    ByteOrder, FieldKind, Layout, Structure, entries_of_interest as interesting,
};

const SECTOR: u64 = 512;
/// How many entries of a grain directory are followed to their grain tables.
const TABLES_MAX: usize = 4;
/// How many entries of a grain table are followed to their grain markers.
const MARKERS_MAX: u64 = 8;

static SPARSE_HEADER: Structure = Structure {
    name: "sparse_extent_header",
    fields: &[
        FieldKind::text("magicNumber", 0, 4),
        FieldKind::number("version", 4, 4),
        FieldKind::flags("flags", 8, 4),
        FieldKind::number("capacity", 12, 8),
        FieldKind::number("grainSize", 20, 8),
        FieldKind::place("descriptorOffset", 28, 8, SECTOR, 0),
        FieldKind::number("descriptorSize", 36, 8),
        FieldKind::number("numGTEsPerGT", 44, 4),
        FieldKind::place("rgdOffset", 48, 8, SECTOR, 0),
        FieldKind::place("gdOffset", 56, 8, SECTOR, 0),
        FieldKind::number("overHead", 64, 8),
        FieldKind::number("uncleanShutdown", 72, 1),
        FieldKind::text("newLineCharacters", 73, 4),
        FieldKind::number("compressAlgorithm", 77, 2),
    ],
};
static GRAIN_DIRECTORY: Structure = Structure {
    name: "grain_directory",
    fields: &[FieldKind::place("entry", 0, 4, SECTOR, 0)],
};
static REDUNDANT_GRAIN_DIRECTORY: Structure = Structure {
    name: "redundant_grain_directory",
    fields: &[FieldKind::place("entry", 0, 4, SECTOR, 0)],
};
static GRAIN_TABLE: Structure = Structure {
    name: "grain_table",
    fields: &[FieldKind::place("entry", 0, 4, SECTOR, 0)],
};
static GRAIN_MARKER: Structure = Structure {
    name: "grain_marker",
    fields: &[
        FieldKind::number("lba", 0, 8),
        FieldKind::number("size", 8, 4),
        FieldKind::text("data", 12, 8),
    ],
};
static DESCRIPTOR: Structure = Structure {
    name: "descriptor",
    fields: &[
        FieldKind::text("signature", 0, 0),
        FieldKind::text("version", 0, 0),
        FieldKind::hexadecimal("CID", 0, 0),
        FieldKind::hexadecimal("parentCID", 0, 0),
        FieldKind::text("createType", 0, 0),
        FieldKind::text("extent_access", 0, 0),
        FieldKind::text("extent_size", 0, 0),
        FieldKind::text("extent_type", 0, 0),
        FieldKind::text("extent_filename", 0, 0),
        FieldKind::text("extent_offset", 0, 0),
        FieldKind::text("ddb", 0, 0),
    ],
};

/// All structures of the format.
pub static STRUCTURES: &[&Structure] = &[
    &SPARSE_HEADER,
    &GRAIN_DIRECTORY,
    &REDUNDANT_GRAIN_DIRECTORY,
    &GRAIN_TABLE,
    &GRAIN_MARKER,
    &DESCRIPTOR,
];

/// Returns the layout of an image with these bytes.
pub fn layout(bytes: &[u8]) -> Layout {
    let mut layout = Layout::new(ByteOrder::Little);
    if !bytes.starts_with(b"KDMV") {
        descriptor(&mut layout, bytes, 0, bytes.len() as u64);
        return layout;
    }
    layout.add(&SPARSE_HEADER, 0);
    let at = |layout: &Layout, offset| layout.number::<8>(bytes, offset);
    let table_entries = layout.number::<4>(bytes, 44);
    let table_grains = table_entries.saturating_mul(at(&layout, 20)).max(1);
    let tables = at(&layout, 12).div_ceil(table_grains);
    let is_marked = layout.number::<4>(bytes, 8) & 1 << 17 != 0;
    for (structure, place) in [(&REDUNDANT_GRAIN_DIRECTORY, 48), (&GRAIN_DIRECTORY, 56)] {
        let directory = at(&layout, place).saturating_mul(SECTOR);
        if directory == 0 || directory >= bytes.len() as u64 {
            continue;
        }
        table(&mut layout, structure, directory, tables);
        let entries = interesting(tables).take(TABLES_MAX);
        for index in entries.collect::<Vec<_>>() {
            let grains = layout
                .number::<4>(bytes, directory.saturating_add(index.saturating_mul(4)))
                * SECTOR;
            if grains != 0 && grains < bytes.len() as u64 {
                table(&mut layout, &GRAIN_TABLE, grains, table_entries);
                if is_marked && structure.name == GRAIN_DIRECTORY.name {
                    markers(&mut layout, bytes, grains);
                }
            }
        }
    }
    let sectors = |offset| at(&layout, offset).saturating_mul(SECTOR);
    let (start, length) = (sectors(28), sectors(36));
    if start > 0 {
        descriptor(&mut layout, bytes, start, start.saturating_add(length));
    }
    layout
}

/// Adds a table of `count` 4-byte entries at `offset`.
fn table(layout: &mut Layout, structure: &'static Structure, offset: u64, count: u64) {
    for index in interesting(count) {
        let place = offset.saturating_add(index.saturating_mul(4));
        layout.add_fields(structure, place);
    }
    layout.region(structure.name, offset, count.saturating_mul(4));
}

/// Adds the markers of the grains that the grain table at offset `table` points to.
fn markers(layout: &mut Layout, bytes: &[u8], table: u64) {
    let grains = (0..MARKERS_MAX).map(|index| layout.number::<4>(bytes, table + index * 4));
    let grains: Vec<u64> = grains.filter(|grain| *grain > 1).collect();
    for grain in grains {
        layout.add(&GRAIN_MARKER, grain * SECTOR);
    }
}

/// Adds a descriptor, with the value of each key as a field. A mutation rewrites the whole descriptor, because its identifiers differ in every
/// image.
fn descriptor(layout: &mut Layout, bytes: &[u8], start: u64, end: u64) {
    let end = end.min(bytes.len() as u64);
    let Some(text) = bytes.get(start as usize..end as usize) else {
        return;
    };
    let text_bytes = text
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(text.len()) as u64;
    let mut offset = start;
    for line in text[..text_bytes as usize].split(|byte| *byte == b'\n') {
        let words = String::from_utf8_lossy(line).into_owned();
        let mut add = |name: &str, from: usize, length: usize| {
            if length > 0 {
                let place = offset + from as u64;
                layout.add_field(&DESCRIPTOR, name, place, length as u64 * 8, 0);
            }
        };
        if words.starts_with("# Disk DescriptorFile") {
            add("signature", 0, line.len());
        } else if words.starts_with("RW ") {
            let names = ["access", "size", "type", "filename", "offset"];
            let mut from = 0;
            for (name, word) in names.iter().zip(words.split(' ')) {
                add(&format!("extent_{name}"), from, word.len());
                from += word.len() + 1;
            }
        } else if let Some((key, value)) = words.split_once('=') {
            let name = if key.starts_with("ddb") { "ddb" } else { key };
            add(name, key.len() + 1, value.len());
        }
        offset += line.len() as u64 + 1;
    }
    layout.region(DESCRIPTOR.name, start, text_bytes);
    layout.seal(start, text_bytes, None);
}
