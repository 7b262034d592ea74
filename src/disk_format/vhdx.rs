//! The on-disk format of vhdx: the structures of [MS-VHDX], with its field names.
//!
//! Mutations use the layout; no code reads images through it.

use crate::disk_format::structure::{
    ByteOrder, Checksum, FieldKind, Layout, Structure, entries_of_interest as interesting,
};

const KIB: u64 = 1024;
const MIB: u64 = 1 << 20;
const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const HEADER_BYTES: u64 = 4 * KIB;
const REGION_TABLES: [u64; 2] = [192 * KIB, 256 * KIB];
const REGION_TABLE_BYTES: u64 = 64 * KIB;
/// The offset of the checksum in a header, a region table or a log entry ([MS-VHDX] 2.2.2, 2.2.3, 2.3.1.1).
const CHECKSUM: u64 = 4;
/// How many regions, or metadata items, the layout contains.
const ENTRIES_MAX: u64 = 16;
/// The first bytes of the GUIDs of the two mandatory regions (2.2.3.2).
const BAT_REGION: [u8; 4] = [0x66, 0x77, 0xc2, 0x2d];
const METADATA_REGION: [u8; 4] = [0x06, 0xa2, 0x7c, 0x8b];

static FILE_IDENTIFIER: Structure = Structure {
    name: "file_type_identifier",
    fields: &[
        FieldKind::text("signature", 0, 8),
        FieldKind::text("creator", 8, 64),
    ],
};
static HEADER: Structure = Structure {
    name: "vhdx_header",
    fields: &[
        FieldKind::text("signature", 0, 4),
        FieldKind::number("checksum", 4, 4),
        FieldKind::number("sequence_number", 8, 8),
        FieldKind::text("file_write_guid", 16, 16),
        FieldKind::text("data_write_guid", 32, 16),
        FieldKind::text("log_guid", 48, 16),
        FieldKind::number("log_version", 64, 2),
        FieldKind::number("version", 66, 2),
        FieldKind::number("log_length", 68, 4),
        FieldKind::place("log_offset", 72, 8, 1, 0),
    ],
};
static REGION_TABLE: Structure = Structure {
    name: "region_table",
    fields: &[
        FieldKind::text("signature", 0, 4),
        FieldKind::number("checksum", 4, 4),
        FieldKind::number("entry_count", 8, 4),
        FieldKind::number("reserved", 12, 4),
    ],
};
static REGION_TABLE_ENTRY: Structure = Structure {
    name: "region_table_entry",
    fields: &[
        FieldKind::text("guid", 0, 16),
        FieldKind::place("file_offset", 16, 8, 1, 0),
        FieldKind::number("length", 24, 4),
        FieldKind::flags("required", 28, 4),
    ],
};
static METADATA_TABLE: Structure = Structure {
    name: "metadata_table",
    fields: &[
        FieldKind::text("signature", 0, 8),
        FieldKind::number("reserved", 8, 2),
        FieldKind::number("entry_count", 10, 2),
    ],
};
static METADATA_ENTRY: Structure = Structure {
    name: "metadata_table_entry",
    fields: &[
        FieldKind::text("item_id", 0, 16),
        FieldKind::number("offset", 16, 4),
        FieldKind::number("length", 20, 4),
        FieldKind::flags("flags", 24, 4),
    ],
};
static METADATA_ITEM: Structure = Structure {
    name: "metadata_item",
    fields: &[
        FieldKind::number("value", 0, 0),
        FieldKind::flags("flags", 4, 0),
    ],
};
static BAT: Structure = Structure {
    name: "bat",
    fields: &[FieldKind::place("entry", 0, 8, 1, MIB - 1)],
};
static LOG_ENTRY: Structure = Structure {
    name: "log_entry",
    fields: &[
        FieldKind::text("signature", 0, 4),
        FieldKind::number("checksum", 4, 4),
        FieldKind::number("entry_length", 8, 4),
        FieldKind::number("tail", 12, 4),
        FieldKind::number("sequence_number", 16, 8),
        FieldKind::number("descriptor_count", 24, 4),
        FieldKind::text("log_guid", 32, 16),
        FieldKind::number("flushed_file_offset", 48, 8),
        FieldKind::number("last_file_offset", 56, 8),
    ],
};

/// All structures of the format.
pub static STRUCTURES: &[&Structure] = &[
    &FILE_IDENTIFIER,
    &HEADER,
    &REGION_TABLE,
    &REGION_TABLE_ENTRY,
    &METADATA_TABLE,
    &METADATA_ENTRY,
    &METADATA_ITEM,
    &BAT,
    &LOG_ENTRY,
];

/// Returns the layout of an image with these bytes.
pub fn layout(bytes: &[u8]) -> Layout {
    let mut layout = Layout::new(ByteOrder::Little);
    layout.add(&FILE_IDENTIFIER, 0);
    for offset in HEADERS {
        layout.add(&HEADER, offset);
        layout.seal_of_a_choice(offset, HEADER_BYTES, (CHECKSUM, Checksum::Crc32c));
    }
    let log = layout.number::<8>(bytes, HEADERS[0] + 72);
    if log != 0 && log < bytes.len() as u64 {
        layout.add(&LOG_ENTRY, log);
        layout.seal(log, HEADER_BYTES, Some((CHECKSUM, Checksum::Crc32c)));
    }
    for table in REGION_TABLES {
        layout.add_fields(&REGION_TABLE, table);
        layout.region(REGION_TABLE.name, table, REGION_TABLE_BYTES);
        layout.seal(
            table,
            REGION_TABLE_BYTES,
            Some((CHECKSUM, Checksum::Crc32c)),
        );
        let count = layout.number::<4>(bytes, table + 8).min(ENTRIES_MAX);
        for entry in (0..count).map(|index| table + 16 + index * 32) {
            layout.add(&REGION_TABLE_ENTRY, entry);
            let offset = layout.number::<8>(bytes, entry + 16);
            let length = layout.number::<4>(bytes, entry + 24);
            // The second table is a copy of the first and points to the same regions.
            let is_first = table == REGION_TABLES[0] && offset < bytes.len() as u64;
            let guid = bytes.get(entry as usize..entry as usize + 4);
            if is_first && guid == Some(&BAT_REGION[..]) {
                for index in interesting(length / 8) {
                    layout.add_fields(&BAT, offset + index * 8);
                }
                layout.region(BAT.name, offset, length);
            } else if is_first && guid == Some(&METADATA_REGION[..]) {
                metadata(&mut layout, bytes, offset);
            }
        }
    }
    layout
}

/// Adds the metadata table at offset `table`, and the items that it points to.
fn metadata(layout: &mut Layout, bytes: &[u8], table: u64) {
    layout.add(&METADATA_TABLE, table);
    let count = layout.number::<2>(bytes, table + 10).min(ENTRIES_MAX);
    for entry in (1..=count).map(|index| table + index * 32) {
        layout.add(&METADATA_ENTRY, entry);
        let offset = layout.number::<4>(bytes, entry + 16);
        let length = layout.number::<4>(bytes, entry + 20);
        let item = table + offset;
        if (1..=16).contains(&length) {
            // The file parameters are a number and flags; any other item is a single value.
            let value = if length == 8 && offset == 64 * KIB {
                4
            } else {
                length
            };
            layout.add_field(&METADATA_ITEM, "value", item, value * 8, 0);
            if value < length {
                layout.add_field(&METADATA_ITEM, "flags", item + 4, 32, 0);
            }
            layout.region(METADATA_ITEM.name, item, length);
        }
    }
}
