//! The states of a qcow2: what the tables of the active image and of its snapshot say, before anything has a place.

use std::collections::{BTreeMap, HashMap};

use super::super::{Below, Guest, WrittenLayer, guest, space};
use super::zstd;
use crate::disk_format::plain::compressed as deflated;
use crate::image::content::Write;
use crate::image::options::Compression;
use crate::image::unusual_feature::Unusual;

/// How many subclusters a cluster has where L2 entries are extended.
const SUBCLUSTERS: u64 = 32;

/// The number of entries of an L2 table.
pub(super) fn entries_per_table(layer: &WrittenLayer) -> u64 {
    layer.unit() / entry_bytes(layer)
}

/// The length of an entry of an L2 table in bytes.
pub(super) fn entry_bytes(layer: &WrittenLayer) -> u64 {
    match layer.options.has_extended_l2() {
        true => 16,
        false => 8,
    }
}

/// What the L2 entry of a guest cluster says; numbers are those of [`States::data`] and [`States::compressed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Zeros, without a place.
    Zero,
    /// Zeros, although there is data at its place.
    ZeroOver(usize),
    /// A cluster of its own.
    Data(usize),
    /// A compressed cluster.
    Compressed(usize),
    /// A cluster of its own with this bitmap of subclusters.
    Parts(usize, u64),
    /// Subclusters that read as zeros, or not, without a place.
    NoParts(u64),
}

/// The entries of one L2 table, by the number of the guest cluster.
pub(super) type Table = BTreeMap<u64, Entry>;

/// One state of the image.
pub(super) struct State {
    /// The virtual size in bytes.
    pub(super) size: u64,
    /// The L2 tables, by their number in the L1 table.
    pub(super) tables: BTreeMap<u64, Table>,
}

/// The states, the active one last, and their data.
pub(super) struct States {
    pub(super) all: Vec<State>,
    /// The bytes of clusters, each a whole one.
    pub(super) data: Vec<(u64, Vec<u8>)>,
    /// The bytes of compressed clusters.
    pub(super) compressed: Vec<Vec<u8>>,
    /// Whether states share what is the same in them.
    pub(super) shares: bool,
    known: HashMap<(u64, u8, Vec<u8>), usize>,
}

impl States {
    pub(super) fn from_recipe(layer: &WrittenLayer, below: Option<&Below>) -> Self {
        let mut states = Self {
            all: Vec::new(),
            data: Vec::new(),
            compressed: Vec::new(),
            // A refcount of one bit cannot count two.
            shares: layer.options.refcount_width() > 1,
            known: HashMap::new(),
        };
        let below = below.map(|below| &below.guest);
        if has_snapshot(layer) {
            let earlier = earlier(layer);
            let guest = earlier.guest(below, &earlier.writes);
            states.add(&earlier, &guest, below.is_some());
        }
        let guest = layer.guest(below, &layer.writes);
        states.add(layer, &guest, below.is_some());
        states
    }

    /// Adds a state. `guest` is what a guest sees in it.
    fn add(&mut self, layer: &WrittenLayer, guest: &Guest, is_backed: bool) {
        let mut entries: Table = BTreeMap::new();
        for unit in layer.touched() {
            let entry = self.touched(layer, guest, unit, is_backed);
            entries.insert(unit, entry);
        }
        for unit in layer.zero_units() {
            let over = layer.has(Unusual::ZeroesOverData)
                && (!layer.has(Unusual::ZeroClusters)
                    || space::mixed(layer.seed ^ 2, unit).is_multiple_of(2));
            let is_raw = layer.options.data_file_raw() == Some(true);
            let stale = if is_raw { 0 } else { 0xd5 };
            let entry = match (over, layer.options.has_extended_l2()) {
                (true, false) => {
                    let stale = vec![stale; layer.unit() as usize];
                    Entry::ZeroOver(self.data(unit, stale))
                }
                (true, true) => {
                    let stale = vec![stale; layer.unit() as usize];
                    Entry::Parts(self.data(unit, stale), u64::from(u32::MAX) << 32)
                }
                (false, false) => Entry::Zero,
                (false, true) => Entry::NoParts(u64::from(u32::MAX) << 32),
            };
            entries.insert(unit, entry);
        }
        let per_table = entries_per_table(layer);
        let mut tables: BTreeMap<u64, Table> = BTreeMap::new();
        for (unit, entry) in entries {
            tables
                .entry(unit / per_table)
                .or_default()
                .insert(unit, entry);
        }
        let size = layer.size;
        self.all.push(State { size, tables });
    }

    /// Returns the entry of a cluster that was written to.
    fn touched(
        &mut self,
        layer: &WrittenLayer,
        guest: &Guest,
        unit: u64,
        is_backed: bool,
    ) -> Entry {
        let range = unit * layer.unit()..(unit + 1) * layer.unit();
        let bytes = guest.bytes(range);
        let can_compress = layer.options.data_file().is_none()
            && (layer.has(Unusual::Deflated) || layer.has(Unusual::Packed));
        let is_drawn = space::mixed(layer.seed ^ 3, unit) % 4 < 3;
        if can_compress && is_drawn {
            let stored = match layer.options.compression_type() {
                Some(Compression::Zstd) => zstd::compressed(&bytes),
                _ => deflated(&bytes),
            };
            if let Some(stored) = stored {
                return Entry::Compressed(self.stored(unit, stored));
            }
        }
        match layer.options.has_extended_l2() {
            true => self.parts(layer, unit, bytes, is_backed),
            false => Entry::Data(self.data(unit, bytes)),
        }
    }

    /// Returns an extended entry: subclusters that a write touches are there; of the others, some are there too, some read as zeros if they
    /// are, and others show the image below.
    fn parts(&mut self, layer: &WrittenLayer, unit: u64, bytes: Vec<u8>, is_backed: bool) -> Entry {
        let part = layer.unit() / SUBCLUSTERS;
        let written = guest::touched(&layer.writes, part, layer.size);
        let mut bitmap = 0_u64;
        let mut stored = bytes.clone();
        for index in 0..SUBCLUSTERS {
            let start = (index * part) as usize;
            let own = &bytes[start..start + part as usize];
            let is_zero = own.iter().all(|byte| *byte == 0);
            let kind = space::mixed(layer.seed ^ 4, unit * SUBCLUSTERS + index) % 3;
            if written.contains(&(unit * SUBCLUSTERS + index)) || kind == 0 {
                bitmap |= 1 << index;
                continue;
            }
            // What is neither there nor zero shows the image below, or zeros where there is none.
            if is_zero && (is_backed || kind == 1) {
                bitmap |= 1 << (32 + index);
            }
            let is_raw = layer.options.data_file_raw() == Some(true);
            if !is_raw {
                stored[start..start + part as usize].fill(0xd6);
            }
        }
        Entry::Parts(self.data(unit, stored), bitmap)
    }

    fn data(&mut self, unit: u64, bytes: Vec<u8>) -> usize {
        self.numbered(unit, 0, bytes)
    }

    fn stored(&mut self, unit: u64, bytes: Vec<u8>) -> usize {
        self.numbered(unit, 1, bytes)
    }

    /// Returns the number of a cluster's data; states that share have the same number for the same.
    fn numbered(&mut self, unit: u64, kind: u8, bytes: Vec<u8>) -> usize {
        let key = (unit, kind, bytes);
        if let Some(number) = self.known.get(&key).filter(|_| self.shares) {
            return *number;
        }
        let number = match kind {
            0 => {
                self.data.push((unit, key.2.clone()));
                self.data.len() - 1
            }
            _ => {
                self.compressed.push(key.2.clone());
                self.compressed.len() - 1
            }
        };
        self.known.insert(key, number);
        number
    }
}

/// Whether the image has an internal snapshot. One with an external data file cannot.
pub(super) fn has_snapshot(layer: &WrittenLayer) -> bool {
    let is_wanted = layer.has(Unusual::Shared) || layer.has(Unusual::ResizedSnapshot);
    is_wanted && layer.options.data_file().is_none()
}

/// Returns the layer as it was when the snapshot was made: the first half of its writes, and perhaps another size.
pub(super) fn earlier(layer: &WrittenLayer) -> WrittenLayer {
    let half = layer.writes.len().div_ceil(2);
    let size = match layer.has(Unusual::ResizedSnapshot) {
        true => (layer.size / 2).next_multiple_of(512).max(512),
        false => layer.size,
    };
    let writes = layer.writes[..half].iter();
    let writes: Vec<Write> = writes.filter_map(|write| write.within(0, size)).collect();
    WrittenLayer {
        size,
        writes,
        ..layer.clone()
    }
}
