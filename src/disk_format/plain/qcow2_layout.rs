//! Lays a qcow2 out in a new file: header, data, tables, refcounts, one after the other.
//!
//! The order is our own; the fields and their meaning are those of QEMU's qcow2 specification. Every cluster that is allocated is used.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::cluster::{Cluster, compressed};
use super::qcow2_file::Qcow2File;
use crate::disk_format::qcow2::Unparsable;
use crate::disk_format::qcow2::cluster_mapping::{
    COMPRESSED, COMPRESSED_SECTOR, COPIED, compressed_offset_bits, compressed_range,
};
use crate::disk_format::qcow2::extensions::{BACKING_FORMAT, DATA_FILE};
use crate::disk_format::qcow2::header::{EXTERNAL_DATA_FILE, MAGIC};
use crate::disk_format::qcow2::refcounts::set_entry;
use crate::image::content::{BLOCK_BYTES, create_in_place, is_zero};

impl Qcow2File {
    /// Writes the image to `path`, which is replaced when all is written; its external data file likewise. `compress` compresses what is new.
    pub(super) fn store(&self, path: &Path, size: u64, compress: bool) -> Result<(), Unparsable> {
        let beside = |name: &Path| {
            let mut hidden = name.as_os_str().to_owned();
            hidden.push(".new");
            std::path::PathBuf::from(hidden)
        };
        let new = beside(path);
        let external = self
            .data_file
            .as_ref()
            .map(|name| path.with_file_name(name));
        let new_external = external.as_deref().map(beside);
        let mut layout = Layout {
            image: self,
            file: create_in_place(&new)?,
            external: new_external.as_deref().map(create_in_place).transpose()?,
            counts: vec![1],
            placed: HashMap::new(),
            room: None,
            compress,
            data: self.data_segments()?,
        };
        if let Some(external) = &layout.external {
            external.set_len(size)?;
        }
        layout.write(size)?;
        fs::rename(new, path)?;
        if let (Some(new), Some(external)) = (new_external, external) {
            fs::rename(new, external)?;
        }
        Ok(())
    }
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
    file: File,
    external: Option<File>,
    /// The refcount of each cluster so far.
    counts: Vec<u64>,
    placed: HashMap<Key, Entry>,
    /// Where the next compressed cluster may begin, within the last cluster.
    room: Option<u64>,
    compress: bool,
    /// The ranges of the present file that hold data, in bytes.
    data: Vec<Range<u64>>,
}

impl Layout<'_> {
    fn write(&mut self, size: u64) -> Result<(), Unparsable> {
        let image = self.image;
        // All data comes first, so that the refcounts are known when the tables are written.
        let active = self.place(&image.clusters)?;
        let of_snapshots: Vec<Placed> = image
            .snapshots
            .iter()
            .map(|snapshot| self.place(&snapshot.clusters))
            .collect::<Result<_, _>>()?;
        let l1 = self.tables(&active, size, true)?;
        let snapshots = self.snapshots(&of_snapshots)?;
        let refcounts = self.refcounts()?;
        let header = self.header(size, l1, snapshots, refcounts)?;
        self.file.write_all_at(&header, 0)?;
        let length = self.counts.len() as u64 * image.cluster_size();
        Ok(self.file.set_len(length)?)
    }

    /// Allocates `count` adjacent clusters. Returns their offset in bytes.
    fn allocate(&mut self, count: u64) -> u64 {
        let first = self.counts.len() as u64;
        self.counts.extend((0..count).map(|_| 1));
        first * self.image.cluster_size()
    }

    /// Finds a place for all data of a table.
    fn place(&mut self, clusters: &BTreeMap<u64, Cluster>) -> Result<Placed, Unparsable> {
        let placed = clusters.iter().map(|(guest, cluster)| {
            let key = match cluster {
                Cluster::Zero => return Ok((*guest, Entry::Zero)),
                Cluster::Reserved => return Ok((*guest, self.reserve(*guest))),
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
            None => self.allocate(1),
        })
    }

    /// Whether the file that holds a stored cluster has data there, rather than a hole.
    fn is_data(&self, cluster: &Cluster) -> bool {
        let size = self.image.cluster_size();
        match cluster {
            Cluster::Stored(offset) => {
                let is_over = |data: &Range<u64>| data.start < offset + size && data.end > *offset;
                let first = self.data.partition_point(|data| data.end <= *offset);
                self.data.get(first).is_some_and(is_over)
            }
            _ => true,
        }
    }

    /// Counts one more reference to what an entry leads to.
    fn count_again(&mut self, entry: Entry) {
        let size = self.image.cluster_size();
        match entry {
            Entry::Zero => {}
            Entry::At(offset) => self.counts[(offset / size) as usize] += 1,
            Entry::Compressed(entry) => {
                let (offset, length) = compressed_range(entry, self.image.cluster_bits);
                let clusters = offset / size..(offset + length).div_ceil(size);
                clusters.for_each(|cluster| self.counts[cluster as usize] += 1);
            }
        }
    }

    /// Writes a cluster's data.
    fn add(&mut self, guest: u64, cluster: &Cluster) -> Result<Entry, Unparsable> {
        let size = self.image.cluster_size();
        let mut stored = Vec::new();
        let bytes = match cluster {
            Cluster::New(data) => data.as_slice(),
            _ => {
                stored.resize(size as usize, 0);
                self.image.read(cluster, 0, &mut stored)?;
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
        // A tool that wrote zeros has given them space on the host.
        let is_written = !is_zero(bytes) || self.is_data(cluster);
        let entry = self.reserve(guest);
        let Entry::At(offset) = entry else {
            return Ok(entry);
        };
        if is_written {
            let file = self.external.as_ref().unwrap_or(&self.file);
            file.write_all_at(bytes, offset)?;
        }
        Ok(entry)
    }

    fn add_compressed(&mut self, stored: &[u8]) -> Result<Entry, Unparsable> {
        let (size, length) = (self.image.cluster_size(), stored.len() as u64);
        let count_max = u64::MAX >> (64 - (1_u64 << self.image.refcount_order));
        let last = self.counts.len() as u64 - 1;
        let room = self.room.filter(|offset| {
            let fits = offset % size != 0 && offset % size + length <= size;
            fits && offset / size == last && self.counts[last as usize] < count_max
        });
        let offset = match room {
            Some(offset) => {
                self.counts[last as usize] += 1;
                offset
            }
            None => self.allocate(1),
        };
        self.file.write_all_at(stored, offset)?;
        self.room = Some((offset + length).next_multiple_of(COMPRESSED_SECTOR));
        let bits = compressed_offset_bits(self.image.cluster_bits);
        let [first, last] = [offset, offset + length - 1].map(|byte| byte / COMPRESSED_SECTOR);
        Ok(Entry::Compressed(
            COMPRESSED | (last - first) << bits | offset,
        ))
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
        let offset = self.allocate((entries * 8).div_ceil(cluster_size));
        let copied = if active { COPIED } else { 0 };
        let mut left = placed.iter().peekable();
        while let Some((guest, _)) = left.peek() {
            let index = **guest / per_table;
            let mut table = vec![0; cluster_size as usize];
            while let Some((guest, entry)) = left.next_if(|(guest, _)| **guest / per_table == index)
            {
                let once = |offset: u64| {
                    let count = self.counts.get((offset / cluster_size) as usize);
                    self.external.is_some() || count == Some(&1)
                };
                let word = match *entry {
                    Entry::Zero => 1,
                    Entry::Compressed(entry) => entry,
                    Entry::At(offset) if once(offset) => offset | copied,
                    Entry::At(offset) => offset,
                };
                let place = (guest % per_table * 8) as usize;
                table[place..place + 8].copy_from_slice(&word.to_be_bytes());
            }
            let place = self.allocate(1);
            self.write_table(&table, place)?;
            let word = (place | copied).to_be_bytes();
            self.file.write_all_at(&word, offset + index * 8)?;
        }
        Ok((offset, entries))
    }

    /// Writes a table of a whole cluster, and leaves holes where it is empty.
    fn write_table(&self, table: &[u8], place: u64) -> Result<(), Unparsable> {
        for (index, block) in (0..).zip(table.chunks(BLOCK_BYTES as usize)) {
            if !is_zero(block) {
                self.file.write_all_at(block, place + index * BLOCK_BYTES)?;
            }
        }
        Ok(())
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
        let offset = self.allocate((table.len() as u64).div_ceil(self.image.cluster_size()));
        self.file.write_all_at(&table, offset)?;
        Ok(offset)
    }

    /// Writes the refcount blocks and the refcount table, which count themselves too. Returns the offset and the number of clusters of the table.
    fn refcounts(&mut self) -> Result<(u64, u64), Unparsable> {
        let size = self.image.cluster_size();
        let bits = 1 << self.image.refcount_order;
        let per_block = size * 8 / bits;
        let used = self.counts.len() as u64;
        let (mut blocks, mut clusters) = (1, 1);
        while used + blocks + clusters > blocks * per_block || blocks * 8 > clusters * size {
            blocks = (used + blocks + clusters).div_ceil(per_block);
            clusters = (blocks * 8).div_ceil(size);
        }
        let (table, first) = (self.allocate(clusters), self.allocate(blocks));
        for block in 0..blocks {
            let (from, to) = (block * per_block, (block + 1) * per_block);
            let to = to.min(self.counts.len() as u64);
            let mut bytes = vec![0; size as usize];
            for (index, count) in (0..).zip(&self.counts[from as usize..to as usize]) {
                set_entry(&mut bytes, index, bits, *count)?;
            }
            let place = first + block * size;
            self.write_table(&bytes, place)?;
            self.file
                .write_all_at(&place.to_be_bytes(), table + block * 8)?;
        }
        Ok((table, clusters))
    }

    fn header(
        &self,
        size: u64,
        l1: (u64, u64),
        snapshots: u64,
        refcounts: (u64, u64),
    ) -> Result<Vec<u8>, Unparsable> {
        let image = self.image;
        let length: u32 = if image.version == 2 { 72 } else { 104 };
        let mut extensions = Vec::new();
        let mut extend = |kind: u64, data: &[u8]| {
            extensions.extend((kind as u32).to_be_bytes());
            extensions.extend((data.len() as u32).to_be_bytes());
            extensions.extend(data);
            extensions.resize(extensions.len().next_multiple_of(8), 0);
        };
        let format = image
            .backing
            .as_ref()
            .and_then(|(_, format)| format.as_ref());
        format
            .into_iter()
            .for_each(|format| extend(BACKING_FORMAT, format.as_bytes()));
        image
            .data_file
            .iter()
            .for_each(|name| extend(DATA_FILE, name.as_bytes()));
        extend(0, &[]);
        let name = image.backing.as_ref().map_or("", |(name, _)| name);
        let name_at = match name.is_empty() {
            true => 0,
            false => u64::from(length) + extensions.len() as u64,
        };
        let mut header = MAGIC.to_vec();
        let number = |header: &mut Vec<u8>, value: u64| header.extend(value.to_be_bytes());
        let word = |header: &mut Vec<u8>, value: u64| header.extend((value as u32).to_be_bytes());
        word(&mut header, u64::from(image.version));
        number(&mut header, name_at);
        word(&mut header, name.len() as u64);
        word(&mut header, u64::from(image.cluster_bits));
        number(&mut header, size);
        word(&mut header, 0);
        word(&mut header, l1.1);
        number(&mut header, l1.0);
        number(&mut header, refcounts.0);
        word(&mut header, refcounts.1);
        word(&mut header, image.snapshots.len() as u64);
        number(&mut header, snapshots);
        if image.version > 2 {
            let external = if image.data_file.is_some() {
                EXTERNAL_DATA_FILE
            } else {
                0
            };
            number(&mut header, external);
            number(&mut header, u64::from(image.lazy_refcounts));
            number(&mut header, u64::from(image.data_file_raw) * 2);
            word(&mut header, u64::from(image.refcount_order));
            word(&mut header, u64::from(length));
        }
        header.extend(extensions);
        header.extend(name.as_bytes());
        match header.len() as u64 <= image.cluster_size() {
            true => Ok(header),
            false => Err(Unparsable::new("the header does not fit into a cluster")),
        }
    }
}
