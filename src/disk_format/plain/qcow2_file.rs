//! A qcow2 as its tables describe it: read whole, changed in memory, and its tables written anew.
//!
//! [`qcow2_layout`](super::qcow2_layout) writes it; [`Volume`](super::Volume) puts it onto the image below. "Header", "Cluster mapping" and "Snapshots" in
//! QEMU's qcow2 specification.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::cluster::{Cluster, StoredSnapshot};
use super::cluster_map::ClusterMap;
use crate::disk_format::qcow2::audit::TABLE_BYTES_MAX;
use crate::disk_format::qcow2::cluster_mapping::{COMPRESSED, OFFSET, compressed_range};
use crate::disk_format::qcow2::header::{EXTERNAL_DATA_FILE, Header};
use crate::disk_format::qcow2::table::Table;
use crate::disk_format::qcow2::{ImageBytes, Unparsable, extensions, number, snapshot_table};
use crate::image::content::open_regular_to_change;
use crate::image::options::CreateOptions;

/// Bit 0 of an L2 entry, from version 3 on: the cluster reads as zeros.
const ZERO: u64 = 1;
/// Bits of `incompatible_features` that are known here: refcounts may be stale, and an external data file.
const KNOWN_FEATURES: u64 = 1 | EXTERNAL_DATA_FILE;

/// A qcow2.
#[derive(Clone, Debug)]
pub struct Qcow2File {
    /// 2 or 3.
    pub version: u32,
    /// The cluster size as a power of two, in bytes.
    pub cluster_bits: u32,
    /// The width of a refcount as a power of two, in bits.
    pub refcount_order: u32,
    /// Whether updates of refcounts may be postponed.
    pub lazy_refcounts: bool,
    /// The name of the image below, as it is stored, and that of its format.
    pub backing: Option<(String, Option<String>)>,
    /// The name of the external data file.
    pub data_file: Option<String>,
    /// Whether the external data file must remain a valid raw image.
    pub data_file_raw: bool,
    /// What the active tables describe.
    pub map: ClusterMap,
    /// The internal snapshots, in the table's order.
    pub snapshots: Vec<StoredSnapshot>,
    /// The file that its tables were read from.
    pub(super) image: Option<Arc<File>>,
}

impl Qcow2File {
    /// An empty image with these options.
    pub fn with_options(options: &CreateOptions) -> Self {
        let backing_format = options.backing_format().map(|format| format.to_string());
        let cluster_bits = options.cluster_size().unwrap_or(65536).ilog2();
        Self {
            version: if options.is_version_2() { 2 } else { 3 },
            cluster_bits,
            refcount_order: options.refcount_width().ilog2(),
            lazy_refcounts: options.lazy_refcounts() == Some(true),
            backing: options
                .backing_file()
                .map(|name| (name.clone(), backing_format)),
            data_file: options.data_file().cloned(),
            data_file_raw: options.data_file_raw() == Some(true),
            map: ClusterMap::new(1 << cluster_bits),
            snapshots: Vec::new(),
            image: None,
        }
    }

    /// Reads an image's tables. Returns it with its size in bytes. Fails by name for a feature that is not known here.
    pub fn open(path: &Path) -> Result<(Self, u64), Unparsable> {
        let image = ImageBytes::open(path)?;
        let header = Header::read(&image)?;
        let unknown = header.incompatible_features & !KNOWN_FEATURES;
        if unknown != 0 {
            return Err(Unparsable::new(format!(
                "incompatible_features {unknown:#x}"
            )));
        }
        let parts = extensions::Extensions::read(&image, &header)?;
        if parts.is_encrypted() {
            return Err(Unparsable::new("an encrypted image"));
        }
        let has_data_file = header.incompatible_features & EXTERNAL_DATA_FILE != 0;
        let data_file = has_data_file.then(|| parts.data_file());
        let mut tables = Tables {
            image: &image,
            header: &header,
            bytes: 0,
        };
        let clusters = tables.clusters(header.l1_table_offset, header.l1_size)?;
        let snapshots = tables.snapshots()?;
        let source = match &data_file {
            Some(name) if name.contains('/') => {
                return Err(Unparsable::new("the data file lies in another directory"));
            }
            Some(name) => open_regular_to_change(&path.with_file_name(name))?,
            None => image.file().try_clone()?,
        };
        let found = Self {
            version: header.version,
            cluster_bits: header.cluster_bits,
            refcount_order: header.refcount_order,
            lazy_refcounts: parts.has_lazy_refcounts(),
            backing: parts.backing(),
            data_file,
            data_file_raw: parts.is_data_file_raw(),
            map: ClusterMap {
                cluster_size: header.cluster_size(),
                clusters,
                source: Some(Arc::new(source)),
            },
            snapshots,
            image: Some(Arc::new(image.file().try_clone()?)),
        };
        Ok((found, header.size))
    }

    /// A cluster that reads as zeros, whatever lies below: version 2 has no such entry, and holds zeros instead.
    pub(super) fn zeros(&self) -> Cluster {
        match self.version {
            2 => Cluster::New(Arc::new(vec![0; self.cluster_size() as usize])),
            _ => Cluster::Zero,
        }
    }

    /// The highest refcount that its refcount blocks can hold.
    pub(super) fn refcount_max(&self) -> u64 {
        u64::MAX >> (64 - (1_u64 << self.refcount_order))
    }

    /// In bytes.
    pub fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// The snapshot that has this id or, where none has it, this name.
    pub fn snapshot(&self, named: &str) -> Option<&StoredSnapshot> {
        let mut all = self.snapshots.iter();
        let by_name = || {
            self.snapshots
                .iter()
                .find(|snapshot| snapshot.name == named)
        };
        all.find(|snapshot| snapshot.id == named).or_else(by_name)
    }
}

/// The tables of an image that is being read.
struct Tables<'image> {
    image: &'image ImageBytes,
    header: &'image Header,
    /// How many bytes of tables were read.
    bytes: u64,
}

impl Tables<'_> {
    fn read(&mut self, what: &str, offset: u64, length: u64) -> Result<Table, Unparsable> {
        self.bytes += length;
        if self.bytes > TABLE_BYTES_MAX {
            return Err(Unparsable::new(
                "there are more L1 and L2 tables than are read",
            ));
        }
        Table::read(self.image, what, offset, length)
    }

    /// What an L1 table and its L2 tables describe.
    fn clusters(
        &mut self,
        offset: u64,
        entries: u32,
    ) -> Result<BTreeMap<u64, Cluster>, Unparsable> {
        let mut found = BTreeMap::new();
        let size = self.header.cluster_size();
        let table = self.read("an L1 table", offset, u64::from(entries) * 8)?;
        for (index, entry) in table.entries_in_use() {
            let place = entry & OFFSET;
            if place == 0 {
                continue;
            }
            if !place.is_multiple_of(size) {
                return Err(Unparsable::new(format!(
                    "the L2 table at {place:#x} is not aligned"
                )));
            }
            let table = self.read("an L2 table", place, size)?;
            for (within, entry) in table.entries_in_use() {
                let guest = index * (size / 8) + within;
                let cluster = self.cluster(entry, guest)?;
                found.extend(cluster.map(|cluster| (guest, cluster)));
            }
        }
        Ok(found)
    }

    /// What an L2 entry describes.
    fn cluster(&self, entry: u64, guest: u64) -> Result<Option<Cluster>, Unparsable> {
        if entry & COMPRESSED != 0 {
            let (offset, length) = compressed_range(entry, self.header.cluster_bits);
            return Ok(Some(Cluster::Compressed { offset, length }));
        }
        if entry & ZERO != 0 && self.header.version >= 3 {
            return Ok(Some(Cluster::Zero));
        }
        let place = entry & OFFSET;
        let is_external = self.header.incompatible_features & EXTERNAL_DATA_FILE != 0;
        // In an external data file, 0 is an offset like any other: bit 63 tells that the cluster is there.
        let is_there = place != 0 || (is_external && entry >> 63 != 0);
        if is_there && !place.is_multiple_of(self.header.cluster_size()) {
            return Err(Unparsable::new(format!(
                "guest cluster {guest} is not aligned"
            )));
        }
        Ok(is_there.then_some(Cluster::Stored(place)))
    }

    fn snapshots(&mut self) -> Result<Vec<StoredSnapshot>, Unparsable> {
        let entries = snapshot_table::entries(self.image, self.header)?;
        let mut found = Vec::new();
        for entry in entries {
            let bytes = self.image.read("a snapshot", entry.offset, entry.length)?;
            let extra = number::<4>(&bytes, 36) as usize;
            let size = match extra >= 16 {
                true => number::<8>(&bytes, 48),
                false => self.header.size,
            };
            let name = bytes
                .get(40 + extra + entry.id_str.len()..)
                .unwrap_or_default();
            let clusters = self.clusters(number::<8>(&bytes, 0), number::<4>(&bytes, 8) as u32)?;
            found.push(StoredSnapshot {
                id: String::from_utf8_lossy(&entry.id_str).into_owned(),
                name: String::from_utf8_lossy(name).into_owned(),
                size,
                date: (entry.date_sec, entry.date_nsec),
                clusters,
            });
        }
        Ok(found)
    }
}
