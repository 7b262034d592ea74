//! Gives every part of a qcow2 a place, counts references, and writes the tables.

use std::collections::{BTreeMap, BTreeSet};

use super::super::space::Space;
use super::super::{Below, HostFile, WrittenLayer};
use super::header::{self, Tables};
use super::state::{Entry, State, States, Table, entries_per_table, entry_bytes};
use crate::disk_format::qcow2::Unparsable;
use crate::disk_format::qcow2::cluster_mapping::{COPIED, compressed_entry, compressed_range};
use crate::disk_format::qcow2::refcounts::set_entry;
use crate::image::unusual_feature::Unusual;

/// Bit 0 of an L2 entry: the cluster reads as zeros.
const ZERO: u64 = 1;

/// How many entries an L1 table has beyond those that the guest's size needs, where it is large.
const L1_ENTRIES_MORE: u64 = 70;

/// A part of the file, in whole clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    RefcountTable,
    RefcountBlock(u64),
    /// The L1 table of a state.
    L1(usize),
    /// An L2 table, by its number in [`Layout::tables`].
    L2(usize),
    Data(usize),
    /// All compressed clusters.
    Compressed,
    Snapshots,
}

/// A file that is being laid out.
pub(super) struct Layout<'recipe> {
    layer: &'recipe WrittenLayer,
    states: &'recipe States,
    /// The L2 tables, each once.
    tables: Vec<&'recipe Table>,
    /// The numbers of the L2 tables of each state, by their place in its L1 table.
    l2: Vec<BTreeMap<u64, usize>>,
    /// Where the compressed clusters lie in their part: offsets in bytes.
    compressed: Vec<u64>,
    compressed_bytes: u64,
    /// How many references lead to a compressed cluster at most.
    places: BTreeMap<Part, u64>,
    /// References to each cluster.
    counts: BTreeMap<u64, u64>,
}

impl<'recipe> Layout<'recipe> {
    pub(super) fn new(layer: &'recipe WrittenLayer, states: &'recipe States) -> Self {
        let mut layout = Self {
            layer,
            states,
            tables: Vec::new(),
            l2: Vec::new(),
            compressed: Vec::new(),
            compressed_bytes: 0,
            places: BTreeMap::new(),
            counts: BTreeMap::new(),
        };
        for state in &states.all {
            let numbers = state.tables.iter();
            let numbers: BTreeMap<u64, usize> = numbers
                .map(|(index, table)| (*index, layout.table(table)))
                .collect();
            layout.l2.push(numbers);
        }
        layout.place_compressed();
        layout
    }

    /// Returns the number of an L2 table; states that share have the same number for the same.
    fn table(&mut self, table: &'recipe Table) -> usize {
        let mut known = self.tables.iter();
        let found = known.position(|known| self.states.shares && *known == table);
        found.unwrap_or_else(|| {
            self.tables.push(table);
            self.tables.len() - 1
        })
    }

    /// Places the compressed clusters in their part: packed to the byte, or each in a host cluster of its own.
    fn place_compressed(&mut self) {
        let unit = self.layer.unit();
        let width = self.layer.options.refcount_width();
        let count_max = u64::MAX >> (64 - width.min(64));
        let per_cluster = count_max / self.states.all.len() as u64;
        let is_packed = self.layer.has(Unusual::Packed) && per_cluster > 1;
        let (mut next, mut in_cluster) = (0_u64, 0);
        for bytes in &self.states.compressed {
            let length = bytes.len() as u64;
            // What reaches into the next host cluster counts there as the first.
            if !is_packed || in_cluster + 1 >= per_cluster {
                next = next.next_multiple_of(unit);
                in_cluster = 0;
            }
            self.compressed.push(next);
            let before = next / unit;
            next += length;
            in_cluster = match next / unit == before {
                true => in_cluster + 1,
                false => 1,
            };
        }
        self.compressed_bytes = next.next_multiple_of(unit);
    }

    /// Writes the image, and its external data file where it has one. `name` is the image's.
    pub(super) fn files(
        mut self,
        name: &str,
        below: Option<&Below>,
    ) -> Result<Vec<HostFile>, Unparsable> {
        let (blocks, clusters) = self.place_all();
        let mut file = HostFile::new(name);
        let mut external = self.layer.options.data_file().map(HostFile::new);
        self.write_data(&mut file, external.as_mut());
        for (number, table) in self.tables.iter().enumerate() {
            let bytes = self.l2_bytes(table, number);
            file.put(self.at(Part::L2(number)), bytes);
        }
        for (index, state) in self.states.all.iter().enumerate() {
            file.put(self.at(Part::L1(index)), self.l1_bytes(index, state));
        }
        let snapshots = self.snapshots();
        if !snapshots.is_empty() {
            file.put(self.at(Part::Snapshots), snapshots);
        }
        self.write_refcounts(&mut file, &blocks, clusters)?;
        let active = self.states.all.len() - 1;
        let tables = Tables {
            l1_offset: self.at(Part::L1(active)),
            l1_entries: self.l1_entries(&self.states.all[active]),
            refcount_offset: self.at(Part::RefcountTable),
            refcount_clusters: clusters,
            snapshots: active as u64,
            snapshots_offset: if active > 0 {
                self.at(Part::Snapshots)
            } else {
                0
            },
        };
        file.put(0, header::header(self.layer, below, &tables)?);
        let used = self.counts.last_key_value().map_or(1, |(last, _)| last + 1);
        file.length = used * self.layer.unit();
        if self.layer.has(Unusual::ShortFile) {
            self.shorten(&mut file);
        }
        if let Some(external) = &mut external {
            external.length = external.length.max(self.layer.size);
        }
        Ok(std::iter::once(file).chain(external).collect())
    }

    /// The offset of a part in bytes.
    fn at(&self, part: Part) -> u64 {
        self.places.get(&part).copied().unwrap_or(0) * self.layer.unit()
    }

    fn l1_entries(&self, state: &State) -> u64 {
        let reach = entries_per_table(self.layer) * self.layer.unit();
        let more = match self.layer.has(Unusual::LargeL1) {
            true => L1_ENTRIES_MORE,
            false => 0,
        };
        state.size.div_ceil(reach).max(1) + more
    }

    /// How many clusters a part takes.
    fn clusters(&self, part: Part, refcount_table: u64) -> u64 {
        let unit = self.layer.unit();
        match part {
            Part::RefcountTable => refcount_table,
            Part::RefcountBlock(_) | Part::L2(_) | Part::Data(_) => 1,
            Part::L1(index) => (self.l1_entries(&self.states.all[index]) * 8).div_ceil(unit),
            Part::Compressed => self.compressed_bytes / unit,
            Part::Snapshots => (self.snapshots().len() as u64).div_ceil(unit),
        }
    }

    /// Places every part and counts references. Returns the numbers of the refcount blocks that are needed, and how many clusters their table
    /// takes. More blocks may move others, so it goes on until all have a place.
    fn place_all(&mut self) -> (Vec<u64>, u64) {
        let per_block = self.layer.unit() * 8 / self.layer.options.refcount_width();
        let (mut blocks, mut clusters) = (1, 1);
        loop {
            self.place(blocks, clusters);
            self.count(blocks, clusters);
            let needed: BTreeSet<u64> = self.counts.keys().map(|key| key / per_block).collect();
            let last = needed.last().copied().unwrap_or(0);
            let table = ((last + 1) * 8).div_ceil(self.layer.unit());
            let count = needed.len() as u64;
            if count <= blocks && table <= clusters {
                // What is not needed is a gap: nothing refers to it, and its refcount is 0.
                self.count(count, clusters);
                return (needed.into_iter().collect(), clusters);
            }
            (blocks, clusters) = (blocks.max(count), clusters.max(table));
        }
    }

    fn place(&mut self, blocks: u64, refcount_table: u64) {
        let mut parts: Vec<Part> = vec![Part::RefcountTable];
        parts.extend((0..blocks).map(Part::RefcountBlock));
        parts.extend((0..self.states.all.len()).map(Part::L1));
        parts.extend((0..self.tables.len()).map(Part::L2));
        if self.layer.options.data_file().is_none() {
            parts.extend((0..self.states.data.len()).map(Part::Data));
        }
        parts.extend((self.compressed_bytes > 0).then_some(Part::Compressed));
        parts.extend((self.states.all.len() > 1).then_some(Part::Snapshots));
        let mut space = Space::new(self.layer, 1);
        let parts = space.order(parts);
        let lengths: Vec<u64> = parts
            .iter()
            .map(|part| self.clusters(*part, refcount_table))
            .collect();
        let places = space.places(1, self.layer.unit(), &lengths);
        self.places = parts.into_iter().zip(places).collect();
    }

    /// Counts the references to every cluster, with this many refcount blocks.
    fn count(&mut self, blocks: u64, refcount_table: u64) {
        let unit = self.layer.unit();
        self.counts = BTreeMap::from([(0, 1)]);
        let mut add = |first: u64, clusters: u64| {
            for cluster in first..first + clusters {
                *self.counts.entry(cluster).or_default() += 1;
            }
        };
        for (part, place) in &self.places {
            match part {
                Part::RefcountBlock(number) if *number >= blocks => {}
                Part::RefcountTable => add(*place, refcount_table),
                Part::RefcountBlock(_) => add(*place, 1),
                _ => {}
            }
        }
        let at = |part: Part| self.places.get(&part).copied().unwrap_or(0);
        let snapshot_bytes = snapshots_bytes(&self.states.all, &[]).len() as u64;
        add(at(Part::Snapshots), snapshot_bytes.div_ceil(unit));
        let is_external = self.layer.options.data_file().is_some();
        for (index, state) in self.states.all.iter().enumerate() {
            let reach = entries_per_table(self.layer) * unit;
            let more = match self.layer.has(Unusual::LargeL1) {
                true => L1_ENTRIES_MORE,
                false => 0,
            };
            let entries = state.size.div_ceil(reach).max(1) + more;
            add(at(Part::L1(index)), (entries * 8).div_ceil(unit));
            for number in self.l2[index].values() {
                add(at(Part::L2(*number)), 1);
                for entry in self.tables[*number].values() {
                    match entry {
                        Entry::Data(data) | Entry::ZeroOver(data) | Entry::Parts(data, _)
                            if !is_external =>
                        {
                            add(at(Part::Data(*data)), 1);
                        }
                        Entry::Compressed(number) => {
                            let start = at(Part::Compressed) * unit + self.compressed[*number];
                            let length = self.states.compressed[*number].len() as u64;
                            // As the entry has it: in whole sectors.
                            let entry = compressed_entry(start, length, self.layer.unit_bits);
                            let (start, length) = compressed_range(entry, self.layer.unit_bits);
                            let last = (start + length - 1) / unit;
                            add(start / unit, last - start / unit + 1);
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn write_data(&self, file: &mut HostFile, external: Option<&mut HostFile>) {
        match external {
            Some(external) => {
                for (number, (_, bytes)) in self.states.data.iter().enumerate() {
                    external.put(self.external_offset(number), bytes.clone());
                }
            }
            None => {
                for (number, (_, bytes)) in self.states.data.iter().enumerate() {
                    file.put(self.at(Part::Data(number)), bytes.clone());
                }
            }
        }
        if self.compressed_bytes > 0 {
            let mut bytes = vec![0; self.compressed_bytes as usize];
            for (offset, stored) in self.compressed.iter().zip(&self.states.compressed) {
                let start = *offset as usize;
                bytes[start..start + stored.len()].copy_from_slice(stored);
            }
            file.put(self.at(Part::Compressed), bytes);
        }
    }

    /// The offset of a cluster in the external data file, which must be the guest's ("Incompatible features", bit 2).
    fn external_offset(&self, number: usize) -> u64 {
        self.states.data[number].0 * self.layer.unit()
    }

    fn l2_bytes(&self, table: &Table, number: usize) -> Vec<u8> {
        let per_table = entries_per_table(self.layer);
        let entry_bytes = entry_bytes(self.layer) as usize;
        let mut bytes = vec![0; self.layer.unit() as usize];
        // Only the active tables tell what is referred to once; a shared one does not.
        let active = self
            .l2
            .last()
            .is_some_and(|active| active.values().any(|own| *own == number));
        for (unit, entry) in table {
            let (word, bitmap) = self.words(*entry, active);
            let place = (unit % per_table) as usize * entry_bytes;
            bytes[place..place + 8].copy_from_slice(&word.to_be_bytes());
            if entry_bytes == 16 {
                bytes[place + 8..place + 16].copy_from_slice(&bitmap.to_be_bytes());
            }
        }
        bytes
    }

    /// An L2 entry, with the bitmap of an extended one.
    fn words(&self, entry: Entry, active: bool) -> (u64, u64) {
        let place = |number: usize| match self.layer.options.data_file() {
            // Of an external data file, bit 63 tells that a cluster is there.
            Some(_) => self.external_offset(number) | COPIED,
            None => self.copied(self.at(Part::Data(number)), active),
        };
        match entry {
            Entry::Zero => (ZERO, 0),
            Entry::ZeroOver(number) => (place(number) | ZERO, 0),
            Entry::Data(number) => (place(number), u64::from(u32::MAX)),
            Entry::Compressed(number) => {
                let start = self.at(Part::Compressed) + self.compressed[number];
                let length = self.states.compressed[number].len() as u64;
                (compressed_entry(start, length, self.layer.unit_bits), 0)
            }
            Entry::Parts(number, bitmap) => (place(number), bitmap),
            Entry::NoParts(bitmap) => (0, bitmap),
        }
    }

    /// An offset with bit 63 where exactly one reference leads there.
    fn copied(&self, offset: u64, active: bool) -> u64 {
        let once = self.counts.get(&(offset / self.layer.unit())) == Some(&1);
        if active && once {
            offset | COPIED
        } else {
            offset
        }
    }

    fn l1_bytes(&self, index: usize, state: &State) -> Vec<u8> {
        let mut bytes = vec![0; (self.l1_entries(state) * 8) as usize];
        let active = index + 1 == self.states.all.len();
        for (place, number) in &self.l2[index] {
            let word = self.copied(self.at(Part::L2(*number)), active);
            let start = *place as usize * 8;
            bytes[start..start + 8].copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// The snapshot table; empty without snapshots.
    fn snapshots(&self) -> Vec<u8> {
        let places: Vec<u64> = (0..self.states.all.len())
            .map(|index| self.at(Part::L1(index)))
            .collect();
        let mut bytes = snapshots_bytes(&self.states.all, &places);
        let mut start = 0;
        for state in &self.states.all[..self.states.all.len() - 1] {
            let entries = self.l1_entries(state) as u32;
            bytes[start + 8..start + 12].copy_from_slice(&entries.to_be_bytes());
            start += SNAPSHOT_BYTES;
        }
        bytes
    }

    fn write_refcounts(
        &self,
        file: &mut HostFile,
        needed: &[u64],
        clusters: u64,
    ) -> Result<(), Unparsable> {
        let unit = self.layer.unit();
        let width = self.layer.options.refcount_width();
        let per_block = unit * 8 / width;
        let mut table = vec![0; (clusters * unit) as usize];
        for (number, block) in (0..).zip(needed) {
            let mut bytes = vec![0; unit as usize];
            let range = block * per_block..(block + 1) * per_block;
            for (cluster, count) in self.counts.range(range) {
                set_entry(&mut bytes, cluster % per_block, width, *count)?;
            }
            let place = self.at(Part::RefcountBlock(number));
            file.put(place, bytes);
            let entry = *block as usize * 8;
            table[entry..entry + 8].copy_from_slice(&place.to_be_bytes());
        }
        file.put(self.at(Part::RefcountTable), table);
        Ok(())
    }

    /// Ends the file behind the last sector that is not zero, where its last cluster holds data.
    fn shorten(&self, file: &mut HostFile) {
        let last = file.length - self.layer.unit();
        let mut data = (0..self.states.data.len()).map(Part::Data);
        if self.layer.options.data_file().is_some() || !data.any(|part| self.at(part) == last) {
            return;
        }
        let piece = file.pieces.iter().find(|(offset, _)| *offset == last);
        let used = piece.and_then(|(_, bytes)| bytes.iter().rposition(|byte| *byte != 0));
        let used = used.map_or(0, |last| last as u64 + 1).next_multiple_of(512);
        file.length = last + used.max(512);
        if let Some((_, bytes)) = file.pieces.iter_mut().find(|(offset, _)| *offset == last) {
            bytes.truncate(used.max(512) as usize);
        }
    }
}

/// The length of an entry of the snapshot table in bytes: 40, 16 of extra data, an id of one byte and a name of five, padded.
const SNAPSHOT_BYTES: usize = 64;

/// The snapshot table of all states but the last, whose L1 tables lie at these offsets.
fn snapshots_bytes(states: &[State], places: &[u64]) -> Vec<u8> {
    let mut table = Vec::new();
    for (index, state) in states[..states.len() - 1].iter().enumerate() {
        let mut entry = vec![0; 40];
        let place = places.get(index).copied().unwrap_or(0);
        entry[..8].copy_from_slice(&place.to_be_bytes());
        entry[12..14].copy_from_slice(&1_u16.to_be_bytes());
        entry[14..16].copy_from_slice(&5_u16.to_be_bytes());
        // 2026-01-01, since the Epoch.
        entry[16..20].copy_from_slice(&1_767_225_600_u32.to_be_bytes());
        entry[36..40].copy_from_slice(&16_u32.to_be_bytes());
        entry.extend([0; 8]);
        entry.extend(state.size.to_be_bytes());
        entry.extend(format!("{}", index + 1).as_bytes());
        entry.extend(b"early");
        entry.resize(SNAPSHOT_BYTES, 0);
        table.extend(entry);
    }
    table
}
