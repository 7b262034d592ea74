//! Lays a qcow2 out: header, data, tables, refcounts, one after the other. Data that is in the file already stays where it is.
//!
//! The order is our own; the fields and their meaning are those of QEMU's qcow2 specification. Every cluster that is allocated is used.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use super::cluster::{Cluster, compressed};
use super::host_space::{HostSpace, punch_between};
use super::new_file::{beside, write_entries, write_sparse};
use super::qcow2_file::Qcow2File;
use crate::disk_format::qcow2::Unparsable;
use crate::disk_format::qcow2::cluster_mapping::{COPIED, compressed_entry, compressed_range};
use crate::disk_format::qcow2::refcounts::set_entry;
use crate::image::content::create_in_place;

impl Qcow2File {
    /// Writes the image to `path`. If it was read from there, guest data stays where it is; otherwise the file is replaced when all is written. `compress`
    /// compresses what is new.
    pub(super) fn store(&self, path: &Path, size: u64, compress: bool) -> Result<(), Unparsable> {
        // What cannot be written fails before anything is.
        self.header(size, (0, 0), 0, (0, 0))?;
        if let Some(image) = self.image.as_deref().filter(|image| is_at(image, path)) {
            let length = image.metadata()?.len();
            if let Some(space) = HostSpace::keeping(self, length)? {
                return self.store_in_place(image, space, size, compress);
            }
        }
        self.store_anew(path, size, compress)
    }

    fn store_in_place(
        &self,
        image: &File,
        space: HostSpace,
        size: u64,
        compress: bool,
    ) -> Result<(), Unparsable> {
        space.clear(image)?;
        // The header is as long as its cluster: what is not written of it is zeros.
        punch_between(image, std::iter::empty(), self.cluster_size())?;
        let external = self
            .data_file
            .is_some()
            .then_some(self.map.source.as_deref());
        let layout = Layout {
            image: self,
            file: image,
            external: external.flatten(),
            keeps: true,
            space,
            placed: HashMap::new(),
            room: None,
            compress,
            data: Vec::new(),
        };
        layout.write(size)
    }

    fn store_anew(&self, path: &Path, size: u64, compress: bool) -> Result<(), Unparsable> {
        let new = beside(path);
        let external = self
            .data_file
            .as_ref()
            .map(|name| path.with_file_name(name));
        let new_external = external.as_deref().map(beside);
        let file = create_in_place(&new)?;
        let external_file = new_external.as_deref().map(create_in_place).transpose()?;
        let layout = Layout {
            image: self,
            file: &file,
            external: external_file.as_ref(),
            keeps: false,
            space: HostSpace::new(self.cluster_size()),
            placed: HashMap::new(),
            room: None,
            compress,
            data: self.map.data_segments()?,
        };
        layout.write(size)?;
        fs::rename(new, path)?;
        if let (Some(new), Some(external)) = (new_external, external) {
            fs::rename(new, external)?;
        }
        Ok(())
    }
}

/// Whether `path` leads to this very file.
fn is_at(file: &File, path: &Path) -> bool {
    let same = || {
        let (one, other) = (file.metadata()?, fs::symlink_metadata(path)?);
        std::io::Result::Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
    };
    same().unwrap_or(false)
}

/// What a table entry will say.
#[derive(Clone, Copy)]
enum Entry {
    Zero,
    /// The offset of the cluster in bytes.
    At(u64),
    /// A compressed cluster: the whole entry.
    Compressed(u64),
}

/// By what the active tables and those of the snapshots recognize a guest cluster that they share: its number, and its data.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Stored(u64, u64),
    New(u64, *const u8),
}

type Placed = BTreeMap<u64, Entry>;

/// A file that is being laid out.
struct Layout<'image> {
    image: &'image Qcow2File,
    file: &'image File,
    external: Option<&'image File>,
    /// Whether stored clusters stay where they are, and are counted already.
    keeps: bool,
    space: HostSpace,
    placed: HashMap<Key, Entry>,
    /// Where the next compressed cluster may begin, within the last cluster.
    room: Option<u64>,
    compress: bool,
    /// The ranges of the present file that hold data, in bytes.
    data: Vec<Range<u64>>,
}

impl Layout<'_> {
    fn write(mut self, size: u64) -> Result<(), Unparsable> {
        let image = self.image;
        if let Some(external) = self.external {
            external.set_len(size)?;
        }
        // All data comes first, so that the refcounts are known when the tables are written.
        let active = self.place(&image.map.clusters)?;
        let of_snapshots: Vec<Placed> = image
            .snapshots
            .iter()
            .map(|snapshot| self.place(&snapshot.clusters))
            .collect::<Result<_, _>>()?;
        if let Some(external) = self.external.filter(|_| self.keeps) {
            let kept = active.values().filter_map(|entry| match entry {
                Entry::At(offset) => Some(*offset..offset + image.cluster_size()),
                _ => None,
            });
            punch_between(external, kept, size)?;
        }
        let l1 = self.tables(&active, size, true)?;
        let snapshots = self.snapshots(&of_snapshots)?;
        let refcounts = self.refcounts()?;
        let header = image.header(size, l1, snapshots, refcounts)?;
        self.file.write_all_at(&header, 0)?;
        let length = self.space.clusters() * image.cluster_size();
        Ok(self.file.set_len(length)?)
    }

    /// Finds a place for all data of a table.
    fn place(&mut self, clusters: &BTreeMap<u64, Cluster>) -> Result<Placed, Unparsable> {
        let placed = clusters.iter().map(|(guest, cluster)| {
            let key = match cluster {
                Cluster::Zero => return Ok((*guest, Entry::Zero)),
                Cluster::Reserved => return Ok((*guest, self.reserve(*guest))),
                Cluster::Stored(offset) if self.keeps => return Ok((*guest, Entry::At(*offset))),
                Cluster::Compressed { offset, length } if self.keeps => {
                    let entry = compressed_entry(*offset, *length, self.image.cluster_bits);
                    return Ok((*guest, Entry::Compressed(entry)));
                }
                Cluster::Stored(offset) | Cluster::Compressed { offset, .. } => {
                    Key::Stored(*guest, *offset)
                }
                Cluster::New(data) => Key::New(*guest, Arc::as_ptr(data).cast()),
            };
            let shared = self.placed.get(&key).copied();
            let entry = match shared.filter(|_| self.external.is_none()) {
                Some(entry) => {
                    self.count_again(entry);
                    entry
                }
                None => self.add(*guest, cluster)?,
            };
            self.placed.insert(key, entry);
            Ok((*guest, entry))
        });
        placed.collect()
    }

    /// Gives a cluster a place without writing to it.
    fn reserve(&mut self, guest: u64) -> Entry {
        Entry::At(match self.external {
            Some(_) => guest * self.image.cluster_size(),
            None => self.space.allocate(1),
        })
    }

    /// Counts one more reference to what an entry leads to.
    fn count_again(&mut self, entry: Entry) {
        let size = self.image.cluster_size();
        match entry {
            Entry::Zero => {}
            Entry::At(offset) => self.space.count(offset..offset + size),
            Entry::Compressed(entry) => {
                let (offset, length) = compressed_range(entry, self.image.cluster_bits);
                self.space.count(offset..offset + length);
            }
        }
    }

    /// Writes a cluster's data.
    fn add(&mut self, guest: u64, cluster: &Cluster) -> Result<Entry, Unparsable> {
        let size = self.image.cluster_size();
        // A tool that wrote zeros has given them space on the host, and they keep it.
        if !cluster.has_data(size, &self.data) {
            return Ok(self.reserve(guest));
        }
        let stored;
        let bytes = match cluster {
            Cluster::New(data) => data.as_slice(),
            _ => {
                stored = self.image.map.read_whole(cluster, &self.data)?;
                stored.as_slice()
            }
        };
        let is_compressed = match cluster {
            Cluster::Compressed { .. } => true,
            Cluster::New(_) => self.compress,
            _ => false,
        };
        if let Some(stored) = is_compressed.then(|| compressed(bytes)).flatten() {
            return self.add_compressed(&stored);
        }
        let entry = self.reserve(guest);
        let Entry::At(offset) = entry else {
            return Ok(entry);
        };
        match self.external {
            // There may be other data.
            Some(external) => external.write_all_at(bytes, offset)?,
            None => write_sparse(self.file, bytes, offset)?,
        }
        Ok(entry)
    }

    fn add_compressed(&mut self, stored: &[u8]) -> Result<Entry, Unparsable> {
        let (size, length) = (self.image.cluster_size(), stored.len() as u64);
        let room = self.room.filter(|offset| {
            let fits = offset % size != 0 && offset % size + length <= size;
            fits && self.space.count_at(*offset) < self.image.refcount_max()
        });
        let offset = match room {
            Some(offset) => {
                self.space.count(offset..offset + length);
                offset
            }
            None => self.space.allocate(1),
        };
        self.file.write_all_at(stored, offset)?;
        // The next one begins at the next byte, as QEMU packs them (qcow2_alloc_bytes).
        self.room = Some(offset + length);
        let entry = compressed_entry(offset, length, self.image.cluster_bits);
        Ok(Entry::Compressed(entry))
    }

    /// Writes the L2 tables and the L1 table. Returns the offset and the number of entries of the L1 table.
    fn tables(
        &mut self,
        placed: &Placed,
        size: u64,
        active: bool,
    ) -> Result<(u64, u64), Unparsable> {
        let cluster_size = self.image.cluster_size();
        let per_table = cluster_size / 8;
        let entries = size.div_ceil(per_table * cluster_size).max(1);
        let offset = self.space.allocate((entries * 8).div_ceil(cluster_size));
        let copied = if active { COPIED } else { 0 };
        let mut left = placed.iter().peekable();
        while let Some((guest, _)) = left.peek() {
            let index = **guest / per_table;
            let place = self.space.allocate(1);
            let once = |offset: u64| self.external.is_some() || self.space.count_at(offset) == 1;
            let of_table = std::iter::from_fn(|| {
                let (guest, entry) = left.next_if(|(guest, _)| **guest / per_table == index)?;
                let word = match *entry {
                    Entry::Zero => 1,
                    Entry::Compressed(entry) => entry,
                    Entry::At(offset) if once(offset) => offset | copied,
                    Entry::At(offset) => offset,
                };
                Some((guest % per_table, word))
            });
            write_entries(self.file, of_table, place)?;
            let word = (place | copied).to_be_bytes();
            self.file.write_all_at(&word, offset + index * 8)?;
        }
        Ok((offset, entries))
    }

    /// Writes the tables of the snapshots and the snapshot table. Returns its offset.
    fn snapshots(&mut self, placed: &[Placed]) -> Result<u64, Unparsable> {
        let mut table: Vec<u8> = Vec::new();
        for (snapshot, placed) in self.image.snapshots.iter().zip(placed) {
            let (offset, entries) = self.tables(placed, snapshot.size, false)?;
            table.extend(offset.to_be_bytes());
            table.extend((entries as u32).to_be_bytes());
            table.extend((snapshot.id.len() as u16).to_be_bytes());
            table.extend((snapshot.name.len() as u16).to_be_bytes());
            table.extend(snapshot.date.0.to_be_bytes());
            table.extend(snapshot.date.1.to_be_bytes());
            table.extend([0; 8 + 4]);
            table.extend(16_u32.to_be_bytes());
            table.extend([0; 8]);
            table.extend(snapshot.size.to_be_bytes());
            table.extend(snapshot.id.as_bytes());
            table.extend(snapshot.name.as_bytes());
            table.resize(table.len().next_multiple_of(8), 0);
        }
        if table.is_empty() {
            return Ok(0);
        }
        let offset = self
            .space
            .allocate((table.len() as u64).div_ceil(self.image.cluster_size()));
        self.file.write_all_at(&table, offset)?;
        Ok(offset)
    }

    /// Writes the refcount blocks and the refcount table, which count themselves too. Returns the offset and the number of clusters of the table.
    fn refcounts(&mut self) -> Result<(u64, u64), Unparsable> {
        let size = self.image.cluster_size();
        let bits = 1 << self.image.refcount_order;
        let per_block = size * 8 / bits;
        self.space.trim();
        let used = self.space.clusters();
        let (mut blocks, mut clusters) = (1, 1);
        while used + blocks + clusters > blocks * per_block || blocks * 8 > clusters * size {
            blocks = (used + blocks + clusters).div_ceil(per_block);
            clusters = (blocks * 8).div_ceil(size);
        }
        let (table, first) = (self.space.allocate(clusters), self.space.allocate(blocks));
        for block in 0..blocks {
            let counted = block * per_block..(block + 1) * per_block;
            let counts = self.space.counts(counted);
            let mut bytes = vec![0; (counts.len() as u64 * bits).div_ceil(8) as usize];
            for (index, count) in (0..).zip(counts) {
                set_entry(&mut bytes, index, bits, *count)?;
            }
            let place = first + block * size;
            write_sparse(self.file, &bytes, place)?;
            self.file
                .write_all_at(&place.to_be_bytes(), table + block * 8)?;
        }
        Ok((table, clusters))
    }
}

#[cfg(test)]
mod tests;
