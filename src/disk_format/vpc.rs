//! The on-disk format of vpc: the structures of Microsoft's Virtual Hard Disk Image Format Specification 1.0, with its field names.
//!
//! Mutations use the layout; no code reads images through it.

use crate::disk_format::structure::{
    ByteOrder, Checksum, FieldKind, Layout, Structure, entries_of_interest as interesting,
};

const SECTOR: u64 = 512;
const FOOTER_BYTES: u64 = 512;
const DYNAMIC_HEADER_BYTES: u64 = 1024;

macro_rules! footer {
    ($name:literal) => {
        Structure {
            name: $name,
            fields: &[
                FieldKind::text("cookie", 0, 8),
                FieldKind::flags("features", 8, 4),
                FieldKind::number("file_format_version", 12, 4),
                FieldKind::place("data_offset", 16, 8, 1, 0),
                FieldKind::number("time_stamp", 24, 4),
                FieldKind::text("creator_application", 28, 4),
                FieldKind::number("creator_version", 32, 4),
                FieldKind::text("creator_host_os", 36, 4),
                FieldKind::number("original_size", 40, 8),
                FieldKind::number("current_size", 48, 8),
                FieldKind::number("cylinders", 56, 2),
                FieldKind::number("heads", 58, 1),
                FieldKind::number("sectors_per_track", 59, 1),
                FieldKind::number("disk_type", 60, 4),
                FieldKind::number("checksum", 64, 4),
                FieldKind::text("unique_id", 68, 16),
                FieldKind::number("saved_state", 84, 1),
            ],
        }
    };
}

static FOOTER: Structure = footer!("footer");
static FOOTER_COPY: Structure = footer!("footer_copy");
static DYNAMIC_HEADER: Structure = Structure {
    name: "dynamic_disk_header",
    fields: &[
        FieldKind::text("cookie", 0, 8),
        FieldKind::place("data_offset", 8, 8, 1, 0),
        FieldKind::place("table_offset", 16, 8, 1, 0),
        FieldKind::number("header_version", 24, 4),
        FieldKind::number("max_table_entries", 28, 4),
        FieldKind::number("block_size", 32, 4),
        FieldKind::number("checksum", 36, 4),
        FieldKind::text("parent_unique_id", 40, 16),
        FieldKind::number("parent_time_stamp", 56, 4),
        FieldKind::text("parent_unicode_name", 64, 512),
        FieldKind::number("parent_locator_platform_code", 576, 4),
        FieldKind::place("parent_locator_data_offset", 592, 8, 1, 0),
    ],
};
static BLOCK_ALLOCATION_TABLE: Structure = Structure {
    name: "block_allocation_table",
    fields: &[FieldKind::place("entry", 0, 4, SECTOR, 0)],
};

/// All structures of the format.
pub static STRUCTURES: &[&Structure] = &[
    &FOOTER,
    &FOOTER_COPY,
    &DYNAMIC_HEADER,
    &BLOCK_ALLOCATION_TABLE,
];

/// Returns the layout of an image with these bytes.
pub fn layout(bytes: &[u8]) -> Layout {
    let mut layout = Layout::new(ByteOrder::Big);
    let length = bytes.len() as u64;
    if bytes.starts_with(b"conectix") && length > FOOTER_BYTES {
        layout.add(&FOOTER_COPY, 0);
        layout.seal_of_a_choice(0, FOOTER_BYTES, (64, Checksum::ByteSum));
        let header = layout.number::<8>(bytes, 16);
        let is_dynamic = header
            .checked_add(DYNAMIC_HEADER_BYTES)
            .is_some_and(|end| end <= length);
        if is_dynamic {
            layout.add(&DYNAMIC_HEADER, header);
            layout.seal(header, DYNAMIC_HEADER_BYTES, Some((36, Checksum::ByteSum)));
            let table = layout.number::<8>(bytes, header + 16);
            let entries = layout.number::<4>(bytes, header + 28);
            if table < length {
                for index in interesting(entries) {
                    layout.add_fields(&BLOCK_ALLOCATION_TABLE, table + index * 4);
                }
                layout.region(BLOCK_ALLOCATION_TABLE.name, table, entries * 4);
            }
        }
    }
    if let Some(footer) = length.checked_sub(FOOTER_BYTES) {
        layout.add(&FOOTER, footer);
        layout.seal_of_a_choice(footer, FOOTER_BYTES, (64, Checksum::ByteSum));
    }
    layout
}
