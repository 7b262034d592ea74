//! L1 and L2 tables: "Cluster mapping" in QEMU's qcow2 specification.
//!
//! Reads and writes single entries of the active tables, for [`corruption`](super::corruption). It ignores the tables of snapshots, and
//! subclusters.

use super::header::Header;
use super::{ImageBytes, Unparsable, number};

/// Bits 9-55 of an L1 entry, and of the standard cluster descriptor of an L2 entry: the offset.
pub(in crate::disk_format) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// Bit 63: the refcount is exactly one.
pub(in crate::disk_format) const COPIED: u64 = 1 << 63;

/// Bit 62 of an L2 entry: a compressed cluster.
pub(in crate::disk_format) const COMPRESSED: u64 = 1 << 62;

/// The unit of a compressed cluster's length: 512 bytes.
pub(in crate::disk_format) const COMPRESSED_SECTOR: u64 = 512;

/// The number of bits of the offset in an entry of a compressed cluster: "Compressed Clusters Descriptor", x = 62 - (cluster_bits - 8).
pub(in crate::disk_format) fn compressed_offset_bits(cluster_bits: u32) -> u32 {
    62 - (cluster_bits - 8)
}

/// The offset of a compressed cluster and the most bytes that it takes there, from its entry.
pub(in crate::disk_format) fn compressed_range(entry: u64, cluster_bits: u32) -> (u64, u64) {
    let bits = compressed_offset_bits(cluster_bits);
    let offset = entry & ((1 << bits) - 1);
    let sectors = (entry & (COMPRESSED - 1)) >> bits;
    let length = (sectors + 1) * COMPRESSED_SECTOR - offset % COMPRESSED_SECTOR;
    (offset, length)
}

/// The entry of a compressed cluster that lies at `offset` and takes `length` bytes there.
pub(in crate::disk_format) fn compressed_entry(offset: u64, length: u64, cluster_bits: u32) -> u64 {
    let [first, last] = [offset, offset + length - 1].map(|byte| byte / COMPRESSED_SECTOR);
    COMPRESSED | (last - first) << compressed_offset_bits(cluster_bits) | offset
}

/// An L2 table entry, without the subcluster bitmap of an extended entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L2Entry(pub u64);

impl L2Entry {
    /// The entry of an unallocated cluster.
    pub const UNALLOCATED: Self = Self(0);

    /// The offset of the host cluster in bytes; `None` if the cluster is unallocated or compressed.
    pub fn host_cluster_offset(self) -> Option<u64> {
        let offset = self.0 & OFFSET;
        (self.0 & COMPRESSED == 0 && offset != 0).then_some(offset)
    }

    /// This entry with bit 63 set or cleared.
    pub fn with_copied(self, copied: bool) -> Self {
        Self(if copied {
            self.0 | COPIED
        } else {
            self.0 & !COPIED
        })
    }

    /// Whether bit 63 says that the refcount is exactly one.
    pub fn is_copied(self) -> bool {
        self.0 & COPIED != 0
    }
}

/// The location of an L2 table in the file.
#[derive(Clone, Copy, Debug)]
pub struct L2Table {
    offset: u64,
    entry_bytes: u64,
    entries: u64,
}

impl L2Table {
    /// Locates the L2 table that entry `l1_index` of the active L1 table points to. Fails if there is no such entry, or if it points to no table.
    pub fn behind(image: &ImageBytes, header: &Header, l1_index: u32) -> Result<Self, Unparsable> {
        if l1_index >= header.l1_size {
            return Err(Unparsable::new(format!(
                "the L1 table has {} entries",
                header.l1_size
            )));
        }
        let place = header
            .l1_table_offset
            .checked_add(u64::from(l1_index) * 8)
            .ok_or_else(|| Unparsable::new("l1_table_offset is beyond any file"))?;
        let entry = number::<8>(&image.read("the L1 table", place, 8)?, 0);
        let offset = entry & OFFSET;
        if offset == 0 || !offset.is_multiple_of(header.cluster_size()) {
            return Err(Unparsable::new(format!(
                "L1 entry {l1_index} ({entry:#018x}) leads to no L2 table"
            )));
        }
        let entry_bytes = header.l2_entry_bytes();
        Ok(Self {
            offset,
            entry_bytes,
            entries: header.cluster_size() / entry_bytes,
        })
    }

    /// Reads the entry `l2_index`.
    pub fn entry(&self, image: &ImageBytes, l2_index: u64) -> Result<L2Entry, Unparsable> {
        let bytes = image.read("an L2 table", self.place(l2_index)?, 8)?;
        Ok(L2Entry(number::<8>(&bytes, 0)))
    }

    /// Writes the entry `l2_index`.
    pub fn set_entry(
        &self,
        image: &ImageBytes,
        l2_index: u64,
        entry: L2Entry,
    ) -> Result<(), Unparsable> {
        let place = self.place(l2_index)?;
        image.write("an L2 table", place, &entry.0.to_be_bytes())
    }

    fn place(&self, l2_index: u64) -> Result<u64, Unparsable> {
        if l2_index >= self.entries {
            return Err(Unparsable::new(format!(
                "an L2 table has {} entries",
                self.entries
            )));
        }
        Ok(self.offset + l2_index * self.entry_bytes)
    }
}

#[cfg(test)]
mod tests;
