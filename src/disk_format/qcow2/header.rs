//! The image header: "Header" in QEMU's qcow2 specification.
//!
//! Every reader of qcow2 begins with it. [`extensions`](super::extensions) reads header extensions and the remaining fields.

use super::{ImageBytes, Unparsable, number};

/// The magic string "QFI\xfb".
pub const MAGIC: [u8; 4] = *b"QFI\xfb";

/// The length of a version 2 header in bytes.
const VERSION_2_HEADER_BYTES: u64 = 72;

/// How many bytes of a header are read: up to and including `header_length`.
const READ_BYTES: u64 = 104;

/// The valid values of cluster_bits: the minimum of the specification (512 bytes) to the maximum of QEMU (2 MiB).
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;

/// The largest refcount_order: 64 bits.
const REFCOUNT_ORDER_MAX: u32 = 6;

/// The refcount_order of version 2: 16 bits.
const VERSION_2_REFCOUNT_ORDER: u32 = 4;

/// Bit 2 of `incompatible_features`: guest clusters lie in an external data file, and have no refcounts.
pub(in crate::disk_format) const EXTERNAL_DATA_FILE: u64 = 1 << 2;

/// Bit 4 of `incompatible_features`: L2 entries have 16 bytes.
pub(in crate::disk_format) const EXTENDED_L2_ENTRIES: u64 = 1 << 4;

/// The fields of the header. Offsets are in bytes from the start of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// The cluster size is `1 << cluster_bits` bytes.
    pub cluster_bits: u32,
    /// The virtual size in bytes.
    pub size: u64,
    /// The number of entries in the active L1 table.
    pub l1_size: u32,
    /// The offset of the active L1 table.
    pub l1_table_offset: u64,
    /// The offset of the refcount table.
    pub refcount_table_offset: u64,
    /// The number of clusters that the refcount table occupies.
    pub refcount_table_clusters: u32,
    /// The number of snapshots.
    pub nb_snapshots: u32,
    /// The offset of the snapshot table.
    pub snapshots_offset: u64,
    /// Features that a program must support to open the image; 0 in version 2.
    pub incompatible_features: u64,
    /// The width of a refcount is `1 << refcount_order` bits.
    pub refcount_order: u32,
}

impl Header {
    /// Reads the header. Fails if the file is not a qcow2 image of version 2 or 3, or if a field is invalid.
    pub fn read(image: &ImageBytes) -> Result<Self, Unparsable> {
        if image.length() < VERSION_2_HEADER_BYTES {
            return Err(Unparsable::new(format!(
                "a file of {} bytes holds no header",
                image.length()
            )));
        }
        Self::parse(&image.read("the header", 0, READ_BYTES)?)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Unparsable> {
        if !bytes.starts_with(&MAGIC) {
            return Err(Unparsable::new(
                "the file is no qcow2: it does not begin with QFI\\xfb",
            ));
        }
        let version = number::<4>(bytes, 4) as u32;
        let (incompatible_features, refcount_order) = match version {
            2 => (0, VERSION_2_REFCOUNT_ORDER),
            3 => (number::<8>(bytes, 72), number::<4>(bytes, 96) as u32),
            _ => return Err(Unparsable::new(format!("version {version}"))),
        };
        let header = Self {
            version,
            cluster_bits: number::<4>(bytes, 20) as u32,
            size: number::<8>(bytes, 24),
            l1_size: number::<4>(bytes, 36) as u32,
            l1_table_offset: number::<8>(bytes, 40),
            refcount_table_offset: number::<8>(bytes, 48),
            refcount_table_clusters: number::<4>(bytes, 56) as u32,
            nb_snapshots: number::<4>(bytes, 60) as u32,
            snapshots_offset: number::<8>(bytes, 64),
            incompatible_features,
            refcount_order,
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), Unparsable> {
        let wrong = |what: String| Err(Unparsable::new(what));
        if !CLUSTER_BITS.contains(&self.cluster_bits) {
            return wrong(format!("cluster_bits {}", self.cluster_bits));
        }
        if self.refcount_order > REFCOUNT_ORDER_MAX {
            return wrong(format!("refcount_order {}", self.refcount_order));
        }
        let aligned = [
            ("l1_table_offset", self.l1_table_offset),
            ("refcount_table_offset", self.refcount_table_offset),
            ("snapshots_offset", self.snapshots_offset),
        ];
        match aligned
            .iter()
            .find(|(_, offset)| offset % self.cluster_size() != 0)
        {
            Some((name, offset)) => wrong(format!("{name} {offset:#x} is not aligned")),
            None => Ok(()),
        }
    }

    /// The cluster size in bytes.
    pub fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// The width of a refcount in bits.
    pub fn refcount_bits(&self) -> u64 {
        1 << self.refcount_order
    }

    /// The length of an L2 entry in bytes: 16 with extended L2 entries, else 8.
    pub fn l2_entry_bytes(&self) -> u64 {
        if self.incompatible_features & EXTENDED_L2_ENTRIES == 0 {
            8
        } else {
            16
        }
    }
}

#[cfg(test)]
mod tests;
