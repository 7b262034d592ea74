//! The on-disk format of vdi: the structures of VirtualBox's format, with the field names of QEMU's block/vdi.c.
//!
//! Mutations use the layout; no code reads images through it.

use crate::disk_format::structure::{
    ByteOrder, FieldKind, Layout, Structure, entries_of_interest as interesting,
};

static HEADER: Structure = Structure {
    name: "vdi_header",
    fields: &[
        FieldKind::text("text", 0, 64),
        FieldKind::number("signature", 64, 4),
        FieldKind::number("version", 68, 4),
        FieldKind::number("header_size", 72, 4),
        FieldKind::number("image_type", 76, 4),
        FieldKind::flags("image_flags", 80, 4),
        FieldKind::place("offset_bmap", 340, 4, 1, 0),
        FieldKind::place("offset_data", 344, 4, 1, 0),
        FieldKind::number("sector_size", 360, 4),
        FieldKind::number("disk_size", 368, 8),
        FieldKind::number("block_size", 376, 4),
        FieldKind::number("block_extra", 380, 4),
        FieldKind::number("blocks_in_image", 384, 4),
        FieldKind::number("blocks_allocated", 388, 4),
        FieldKind::text("uuid_link", 424, 16),
        FieldKind::text("uuid_parent", 440, 16),
    ],
};
static BLOCK_MAP: Structure = Structure {
    name: "block_map",
    fields: &[FieldKind::number("entry", 0, 4)],
};

/// All structures of the format.
pub static STRUCTURES: &[&Structure] = &[&HEADER, &BLOCK_MAP];

/// Returns the layout of an image with these bytes.
pub fn layout(bytes: &[u8]) -> Layout {
    let mut layout = Layout::new(ByteOrder::Little);
    layout.add(&HEADER, 0);
    let map = layout.number::<4>(bytes, 340);
    let blocks = layout.number::<4>(bytes, 384);
    for index in interesting(blocks) {
        layout.add_fields(&BLOCK_MAP, map + index * 4);
    }
    layout.region(BLOCK_MAP.name, map, blocks * 4);
    layout
}
