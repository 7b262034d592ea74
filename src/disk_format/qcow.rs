//! The on-disk format of qcow version 1: the structures of QEMU's block/qcow.c, with its field names.
//!
//! Mutations use the layout; no code reads images through it.

use crate::disk_format::structure::{
    ByteOrder, FieldKind, Layout, Structure, entries_of_interest as interesting,
};

/// Bit 63 of an entry: a compressed cluster.
const COMPRESSED: u64 = 1 << 63;
/// How many L2 tables the layout contains.
const TABLES_MAX: usize = 4;

static HEADER: Structure = Structure {
    name: "qcow_header",
    fields: &[
        FieldKind::text("magic", 0, 4),
        FieldKind::number("version", 4, 4),
        FieldKind::place("backing_file_offset", 8, 8, 1, 0),
        FieldKind::number("backing_file_size", 16, 4),
        FieldKind::number("mtime", 20, 4),
        FieldKind::number("size", 24, 8),
        FieldKind::number("cluster_bits", 32, 1),
        FieldKind::number("l2_bits", 33, 1),
        FieldKind::number("crypt_method", 36, 4),
        FieldKind::place("l1_table_offset", 40, 8, 1, 0),
    ],
};
static L1_TABLE: Structure = Structure {
    name: "qcow_l1_table",
    fields: &[FieldKind::place("entry", 0, 8, 1, 0)],
};
static L2_TABLE: Structure = Structure {
    name: "qcow_l2_table",
    fields: &[FieldKind::place("entry", 0, 8, 1, COMPRESSED)],
};

/// All structures of the format.
pub static STRUCTURES: &[&Structure] = &[&HEADER, &L1_TABLE, &L2_TABLE];

/// Returns the layout of an image with these bytes.
pub fn layout(bytes: &[u8]) -> Layout {
    let mut layout = Layout::new(ByteOrder::Big);
    layout.add(&HEADER, 0);
    let bits = |layout: &Layout, offset| layout.number::<1>(bytes, offset).min(20);
    let (cluster_bits, l2_bits) = (bits(&layout, 32), bits(&layout, 33));
    let table = layout.number::<8>(bytes, 40);
    let covered = 1_u64 << (cluster_bits + l2_bits);
    let count = layout.number::<8>(bytes, 24).div_ceil(covered);
    for index in interesting(count) {
        layout.add_fields(&L1_TABLE, entry(table, index));
    }
    layout.region(L1_TABLE.name, table, count.saturating_mul(8));
    let entries = interesting(count).map(|index| layout.number::<8>(bytes, entry(table, index)));
    let is_there = |target: &u64| *target != 0 && *target < bytes.len() as u64;
    let targets: Vec<u64> = entries.filter(is_there).take(TABLES_MAX).collect();
    for target in targets {
        for index in interesting(1 << l2_bits) {
            layout.add_fields(&L2_TABLE, entry(target, index));
        }
        layout.region(L2_TABLE.name, target, 8 << l2_bits);
    }
    layout
}

/// The offset of an 8-byte entry of a table, in bytes; `u64::MAX` on overflow, which is beyond any file.
fn entry(table: u64, index: u64) -> u64 {
    table.saturating_add(index.saturating_mul(8))
}
