//! The layout of a qcow2 image: the structures and fields of all sections of QEMU's specification (docs/interop/qcow2), under its names.
//!
//! Mutations use the layout of an image that the reference has just created. Offsets that point outside the file are ignored.

use crate::disk_format::structure::{
    ByteOrder, FieldKind, Layout, Structure, entries_of_interest as interesting,
};

/// The bits of an L1 or L2 entry that do not belong to the offset.
const ENTRY_FLAGS: u64 = !0x00ff_ffff_ffff_fe00;
/// The bits of a refcount table entry that do not belong to the offset.
const REFCOUNT_TABLE_FLAGS: u64 = 0x1ff;
/// How many L2 tables, and how many refcount blocks, the layout contains.
const TABLES_MAX: usize = 8;
/// How many header extensions, snapshots and bitmaps the layout contains.
const PARTS_MAX: u64 = 16;

static HEADER: Structure = Structure {
    name: "header",
    fields: &[
        FieldKind::text("magic", 0, 4),
        FieldKind::number("version", 4, 4),
        FieldKind::place("backing_file_offset", 8, 8, 1, 0),
        FieldKind::number("backing_file_size", 16, 4),
        FieldKind::number("cluster_bits", 20, 4),
        FieldKind::number("size", 24, 8),
        FieldKind::number("crypt_method", 32, 4),
        FieldKind::number("l1_size", 36, 4),
        FieldKind::place("l1_table_offset", 40, 8, 1, 0),
        FieldKind::place("refcount_table_offset", 48, 8, 1, 0),
        FieldKind::number("refcount_table_clusters", 56, 4),
        FieldKind::number("nb_snapshots", 60, 4),
        FieldKind::place("snapshots_offset", 64, 8, 1, 0),
    ],
};
static HEADER_V3: Structure = Structure {
    name: "header",
    fields: &[
        FieldKind::flags("incompatible_features", 72, 8),
        FieldKind::flags("compatible_features", 80, 8),
        FieldKind::flags("autoclear_features", 88, 8),
        FieldKind::number("refcount_order", 96, 4),
        FieldKind::number("header_length", 100, 4),
        FieldKind::number("compression_type", 104, 1),
    ],
};
static EXTENSION: Structure = Structure {
    name: "header_extension",
    fields: &[
        FieldKind::number("type", 0, 4),
        FieldKind::number("length", 4, 4),
        FieldKind::text("data", 8, 0),
    ],
};
static BITMAPS_EXTENSION: Structure = Structure {
    name: "bitmaps_extension",
    fields: &[
        FieldKind::number("nb_bitmaps", 0, 4),
        FieldKind::number("reserved", 4, 4),
        FieldKind::number("bitmap_directory_size", 8, 8),
        FieldKind::place("bitmap_directory_offset", 16, 8, 1, 0),
    ],
};
static ENCRYPTION_EXTENSION: Structure = Structure {
    name: "encryption_extension",
    fields: &[
        FieldKind::place("offset", 0, 8, 1, 0),
        FieldKind::number("length", 8, 8),
    ],
};
/// LUKS1 On-Disk Format Specification 1.2.3, figure 1.
static LUKS_HEADER: Structure = Structure {
    name: "luks_header",
    fields: &[
        FieldKind::text("magic", 0, 6),
        FieldKind::number("version", 6, 2),
        FieldKind::text("cipher_name", 8, 32),
        FieldKind::text("cipher_mode", 40, 32),
        FieldKind::text("hash_spec", 72, 32),
        FieldKind::number("payload_offset", 104, 4),
        FieldKind::number("key_bytes", 108, 4),
        FieldKind::number("mk_digest_iterations", 164, 4),
        FieldKind::number("key_slot_active", 208, 4),
        FieldKind::number("key_slot_iterations", 212, 4),
        FieldKind::number("key_slot_material_offset", 248, 4),
        FieldKind::number("key_slot_stripes", 252, 4),
    ],
};
static NAME: Structure = Structure {
    name: "backing_file_name",
    fields: &[FieldKind::text("name", 0, 0)],
};
static L1_TABLE: Structure = Structure {
    name: "l1_table",
    fields: &[FieldKind::place("entry", 0, 8, 1, ENTRY_FLAGS)],
};
static L2_TABLE: Structure = Structure {
    name: "l2_table",
    fields: &[FieldKind::place("entry", 0, 8, 1, ENTRY_FLAGS)],
};
static SUBCLUSTERS: Structure = Structure {
    name: "l2_table",
    fields: &[FieldKind::flags("subcluster_bitmap", 8, 8)],
};
static REFCOUNT_TABLE: Structure = Structure {
    name: "refcount_table",
    fields: &[FieldKind::place("entry", 0, 8, 1, REFCOUNT_TABLE_FLAGS)],
};
static REFCOUNT_BLOCK: Structure = Structure {
    name: "refcount_block",
    fields: &[FieldKind::number("refcount", 0, 0)],
};
static SNAPSHOT: Structure = Structure {
    name: "snapshot_table",
    fields: &[
        FieldKind::place("l1_table_offset", 0, 8, 1, 0),
        FieldKind::number("l1_size", 8, 4),
        FieldKind::number("id_str_size", 12, 2),
        FieldKind::number("name_size", 14, 2),
        FieldKind::number("date_sec", 16, 4),
        FieldKind::number("date_nsec", 20, 4),
        FieldKind::number("vm_clock_nsec", 24, 8),
        FieldKind::number("vm_state_size", 32, 4),
        FieldKind::number("extra_data_size", 36, 4),
        FieldKind::number("vm_state_size_large", 40, 8),
        FieldKind::number("virtual_disk_size", 48, 8),
    ],
};
static SNAPSHOT_L1_TABLE: Structure = Structure {
    name: "snapshot_l1_table",
    fields: &[FieldKind::place("entry", 0, 8, 1, ENTRY_FLAGS)],
};
static BITMAP_DIRECTORY: Structure = Structure {
    name: "bitmap_directory",
    fields: &[
        FieldKind::place("bitmap_table_offset", 0, 8, 1, 0),
        FieldKind::number("bitmap_table_size", 8, 4),
        FieldKind::flags("flags", 12, 4),
        FieldKind::number("type", 16, 1),
        FieldKind::number("granularity_bits", 17, 1),
        FieldKind::number("name_size", 18, 2),
        FieldKind::number("extra_data_size", 20, 4),
    ],
};
static BITMAP_TABLE: Structure = Structure {
    name: "bitmap_table",
    fields: &[FieldKind::place("entry", 0, 8, 1, ENTRY_FLAGS)],
};

/// All structures of the format.
pub static STRUCTURES: &[&Structure] = &[
    &HEADER,
    &HEADER_V3,
    &EXTENSION,
    &BITMAPS_EXTENSION,
    &ENCRYPTION_EXTENSION,
    &LUKS_HEADER,
    &NAME,
    &L1_TABLE,
    &L2_TABLE,
    &SUBCLUSTERS,
    &REFCOUNT_TABLE,
    &REFCOUNT_BLOCK,
    &SNAPSHOT,
    &SNAPSHOT_L1_TABLE,
    &BITMAP_DIRECTORY,
    &BITMAP_TABLE,
];

/// The types of header extensions that point to further structures.
const BITMAPS_TYPE: u64 = 0x2385_2875;
const ENCRYPTION_TYPE: u64 = 0x0537_be77;

/// Returns the layout of an image with these bytes.
pub fn layout(bytes: &[u8]) -> Layout {
    let mut plan = Plan {
        layout: Layout::new(ByteOrder::Big),
        bytes,
    };
    plan.header();
    plan.mapping();
    plan.refcounts();
    plan.snapshots();
    plan.layout
}

/// A layout under construction, and the bytes of the image.
struct Plan<'bytes> {
    layout: Layout,
    bytes: &'bytes [u8],
}

impl Plan<'_> {
    fn at<const LENGTH: usize>(&self, offset: u64) -> u64 {
        self.layout.number::<LENGTH>(self.bytes, offset)
    }

    fn is_inside(&self, offset: u64) -> bool {
        offset != 0 && offset < self.bytes.len() as u64
    }

    fn cluster_size(&self) -> u64 {
        1 << self.at::<4>(20).min(21)
    }

    fn is_version_3(&self) -> bool {
        self.at::<4>(4) >= 3
    }

    fn header(&mut self) {
        self.layout.add(&HEADER, 0);
        if self.is_version_3() {
            self.layout.add_fields(&HEADER_V3, 0);
        }
        let (name, length) = (self.at::<8>(8), self.at::<4>(16));
        if self.is_inside(name) && length > 0 {
            self.layout.add_field(&NAME, "name", name, length * 8, 0);
            self.layout.region(NAME.name, name, length);
        }
        let mut offset = if self.is_version_3() {
            self.at::<4>(100)
        } else {
            72
        };
        for _ in 0..PARTS_MAX {
            let (kind, length) = (self.at::<4>(offset), self.at::<4>(offset + 4));
            self.layout.add_fields(&EXTENSION, offset);
            self.layout.region(EXTENSION.name, offset, 8 + length);
            let data = offset + 8;
            match kind {
                // The type 0 ends the list of extensions.
                0 => break,
                BITMAPS_TYPE => {
                    self.layout.add(&BITMAPS_EXTENSION, data);
                    self.bitmaps(self.at::<4>(data), self.at::<8>(data + 16));
                }
                ENCRYPTION_TYPE => {
                    self.layout.add(&ENCRYPTION_EXTENSION, data);
                    let luks = self.at::<8>(data);
                    if self.is_inside(luks) {
                        self.layout.add(&LUKS_HEADER, luks);
                    }
                }
                _ if length > 0 => {
                    self.layout
                        .add_field(&EXTENSION, "data", data, length * 8, 0);
                }
                _ => {}
            }
            offset = data + length.next_multiple_of(8);
        }
    }

    fn bitmaps(&mut self, count: u64, directory: u64) {
        let mut offset = directory;
        for _ in 0..count.min(PARTS_MAX) {
            if !self.is_inside(offset) {
                break;
            }
            let (table, size) = (self.at::<8>(offset), self.at::<4>(offset + 8));
            let rest = self.at::<4>(offset + 20) + self.at::<2>(offset + 18);
            self.layout.add(&BITMAP_DIRECTORY, offset);
            self.table(&BITMAP_TABLE, table, size, 8);
            offset += (24 + rest).next_multiple_of(8);
        }
    }

    /// Adds a table of `count` entries of `bytes` bytes each, if its offset lies inside the file.
    fn table(&mut self, structure: &'static Structure, offset: u64, count: u64, bytes: u64) {
        if self.is_inside(offset) {
            for index in interesting(count) {
                self.layout.add_fields(structure, offset + index * bytes);
            }
            self.layout.region(structure.name, offset, count * bytes);
        }
    }

    /// The offsets inside the file that the entries of a table point to.
    fn targets(&self, offset: u64, count: u64, flags: u64) -> Vec<u64> {
        let count = if self.is_inside(offset) { count } else { 0 };
        let entries = interesting(count).map(|index| self.at::<8>(offset + index * 8) & !flags);
        let mut targets: Vec<u64> = entries.filter(|target| self.is_inside(*target)).collect();
        targets.dedup();
        targets.truncate(TABLES_MAX);
        targets
    }

    fn mapping(&mut self) {
        let (count, offset) = (self.at::<4>(36), self.at::<8>(40));
        self.table(&L1_TABLE, offset, count, 8);
        let is_extended = self.is_version_3() && self.at::<8>(72) & 1 << 4 != 0;
        let entry_bytes = if is_extended { 16 } else { 8 };
        let entries = self.cluster_size() / entry_bytes;
        for table in self.targets(offset, count, ENTRY_FLAGS) {
            self.table(&L2_TABLE, table, entries, entry_bytes);
            if is_extended {
                for index in interesting(entries) {
                    self.layout
                        .add_fields(&SUBCLUSTERS, table + index * entry_bytes);
                }
            }
        }
    }

    fn refcounts(&mut self) {
        let offset = self.at::<8>(48);
        let count = self.at::<4>(56) * self.cluster_size() / 8;
        self.table(&REFCOUNT_TABLE, offset, count, 8);
        let order = if self.is_version_3() {
            self.at::<4>(96)
        } else {
            4
        };
        let bits = 1 << order.min(6);
        for block in self.targets(offset, count, REFCOUNT_TABLE_FLAGS) {
            for index in interesting(self.cluster_size() * 8 / bits) {
                let place = index * bits;
                let shift = if bits < 8 { place % 8 } else { 0 };
                let field = block + place / 8;
                self.layout
                    .add_field(&REFCOUNT_BLOCK, "refcount", field, bits, shift as u32);
            }
            let length = self.cluster_size();
            self.layout.region(REFCOUNT_BLOCK.name, block, length);
        }
    }

    fn snapshots(&mut self) {
        let mut offset = self.at::<8>(64);
        for _ in 0..self.at::<4>(60).min(PARTS_MAX) {
            if !self.is_inside(offset) {
                break;
            }
            let (table, count) = (self.at::<8>(offset), self.at::<4>(offset + 8));
            let rest = self.at::<2>(offset + 12) + self.at::<2>(offset + 14);
            self.layout.add(&SNAPSHOT, offset);
            self.table(&SNAPSHOT_L1_TABLE, table, count, 8);
            offset += (40 + self.at::<4>(offset + 36) + rest).next_multiple_of(8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_beyond_the_end_of_the_file_is_ignored() {
        // The header's offsets of l1_size and l1_table_offset, and of refcount_table_clusters and refcount_table_offset.
        for (count, place) in [(36, 40), (56, 48)] {
            let mut bytes = vec![0; 512];
            bytes[count + 3] = 2;
            bytes[place..place + 8].fill(0xff);
            let found = layout(&bytes);
            assert!(found.regions.iter().all(|region| region.offset < 512));
        }
    }
}
