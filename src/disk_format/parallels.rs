//! The on-disk format of parallels: the structures of docs/interop/parallels in QEMU, with its field names.
//!
//! Mutations use the layout; no code reads images through it.

use crate::disk_format::structure::{
    ByteOrder, FieldKind, Layout, Structure, entries_of_interest as interesting,
};

const SECTOR: u64 = 512;
const HEADER_BYTES: u64 = 64;

static HEADER: Structure = Structure {
    name: "parallels_header",
    fields: &[
        FieldKind::text("magic", 0, 16),
        FieldKind::number("version", 16, 4),
        FieldKind::number("heads", 20, 4),
        FieldKind::number("cylinders", 24, 4),
        FieldKind::number("tracks", 28, 4),
        FieldKind::number("bat_entries", 32, 4),
        FieldKind::number("nb_sectors", 36, 8),
        FieldKind::number("in_use", 44, 4),
        FieldKind::place("data_off", 48, 4, SECTOR, 0),
        FieldKind::flags("flags", 52, 4),
        FieldKind::place("ext_off", 56, 8, SECTOR, 0),
    ],
};
static BAT: Structure = Structure {
    name: "parallels_bat",
    fields: &[FieldKind::number("entry", 0, 4)],
};

/// All structures of the format.
pub static STRUCTURES: &[&Structure] = &[&HEADER, &BAT];

/// Returns the layout of an image with these bytes.
pub fn layout(bytes: &[u8]) -> Layout {
    let mut layout = Layout::new(ByteOrder::Little);
    layout.add(&HEADER, 0);
    let entries = layout.number::<4>(bytes, 32);
    for index in interesting(entries) {
        layout.add_fields(&BAT, HEADER_BYTES + index * 4);
    }
    layout.region(BAT.name, HEADER_BYTES, entries * 4);
    layout
}
