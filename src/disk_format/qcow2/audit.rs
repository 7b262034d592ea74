//! Audit of an image's metadata: reads header facts and bitmaps, and compares the number of references to each host cluster with its refcount
//! ("Refcount table", "Cluster mapping", "Snapshots", "Bitmaps" in QEMU's qcow2 specification).
//!
//! An implementation independent of `qemu-img check`. The differential runner calls it as one of a chain's final checks. The audit reads no guest
//! data and repairs nothing. It reports only what the specification forbids.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cluster_mapping::{COMPRESSED, COPIED, OFFSET, compressed_range};
use super::extensions::{Extensions, FoundBitmap};
use super::header::{EXTERNAL_DATA_FILE, Header};
use super::refcounts::RefcountTable;
use super::table::Table;
use super::{ImageBytes, Unparsable, number, snapshot_table};

/// How many problems are reported for one image.
const PROBLEMS_MAX: usize = 8;
/// How many bytes of L1 and L2 tables are read of one image. Without a limit, many entries that point to one table would take for ever.
pub(in crate::disk_format) const TABLE_BYTES_MAX: u64 = 256 << 20;

/// The most bytes that any other structure may occupy: QEMU's limit for a snapshot table (QCOW_MAX_SNAPSHOTS_SIZE).
const STRUCTURE_BYTES_MAX: u64 = 64 << 20;
/// Bit 0 of `incompatible_features`: refcounts may be stale.
const DIRTY: u64 = 1;

/// The result of an audit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Facts of the header by name, as text: those that two images of the same recipe must share.
    pub facts: BTreeMap<String, String>,
    /// Violations of the specification.
    pub problems: Vec<String>,
    /// How many of them are leaked clusters. Only for the code that makes the audit: not part of its JSON.
    #[serde(skip)]
    pub leaks: usize,
    /// The bitmaps, sorted by name.
    pub bitmaps: Vec<FoundBitmap>,
    /// The length of all files of the image, in bytes.
    pub file_bytes: u64,
    /// The space that the file system allocated for these files, in bytes.
    pub allocated_bytes: u64,
    /// The length of these files without their holes, in bytes. More than `allocated_bytes` where the file system compresses or delays allocation.
    pub data_bytes: u64,
}

impl Audit {
    /// The granules that are dirty in a bitmap, as `START..END`, or why nothing can be said of them.
    pub fn dirty_in_words(&self, bitmap: &str) -> String {
        match self.bitmaps.iter().find(|found| found.name == bitmap) {
            Some(FoundBitmap { in_use: true, .. }) => "not stored cleanly".to_owned(),
            Some(found) => ranges_in_words(&found.dirty),
            None => "no such bitmap".to_owned(),
        }
    }

    /// Audits a qcow2 image. The caller fills in the three numbers of bytes. An image whose dirty bit is set has no problems, because its refcounts
    /// may be stale. Fails if the metadata cannot be parsed.
    pub fn of_qcow2(image: &ImageBytes) -> Result<Self, Unparsable> {
        let header = Header::read(image)?;
        let extensions = Extensions::read(image, &header)?;
        let bitmaps = extensions.bitmaps(image, &header)?;
        let mut audit = Self {
            facts: extensions.facts(image, &header)?,
            ..Self::default()
        };
        if header.incompatible_features & DIRTY == 0 {
            let mut walk = Walk {
                image,
                header: &header,
                references: BTreeMap::new(),
                copied: Vec::new(),
                table_bytes: 0,
                problems: Vec::new(),
            };
            walk.metadata(&extensions)?;
            for bitmap in &bitmaps {
                bitmap
                    .clusters
                    .iter()
                    .for_each(|place| walk.refer(*place, header.cluster_size()));
            }
            walk.tables()?;
            (audit.problems, audit.leaks) = walk.compare_with_refcounts()?;
        }
        audit.bitmaps = bitmaps.into_iter().map(|bitmap| bitmap.found).collect();
        audit
            .bitmaps
            .sort_by(|one, other| one.name.cmp(&other.name));
        Ok(audit)
    }
}

/// Ranges as `START..END`.
pub fn ranges_in_words(ranges: &[(u64, u64)]) -> String {
    let ranges: Vec<String> = ranges
        .iter()
        .map(|(start, end)| format!("{start}..{end}"))
        .collect();
    match ranges.is_empty() {
        true => "none".to_owned(),
        false => ranges.join(" "),
    }
}

/// The state of a walk through all structures that refer to host clusters.
struct Walk<'image> {
    image: &'image ImageBytes,
    header: &'image Header,
    /// The number of references, by host cluster.
    references: BTreeMap<u64, u64>,
    /// For each entry of the active tables: the host cluster it points to, its bit 63, and its kind.
    copied: Vec<(u64, bool, &'static str)>,
    table_bytes: u64,
    problems: Vec<String>,
}

impl Walk<'_> {
    /// Adds one reference to each cluster of a structure. `what` names the structure in errors. Fails if it is longer than [`STRUCTURE_BYTES_MAX`].
    fn refer_to_all(&mut self, what: &str, offset: u64, length: u64) -> Result<(), Unparsable> {
        if length > STRUCTURE_BYTES_MAX {
            return Err(Unparsable::new(format!("{what} has {length} bytes")));
        }
        self.refer(offset, length);
        Ok(())
    }

    /// Adds one reference to each cluster that overlaps [`offset`, `offset + length`). The caller has checked that the range is short.
    fn refer(&mut self, offset: u64, length: u64) {
        let size = self.header.cluster_size();
        for cluster in offset / size..(offset.saturating_add(length)).div_ceil(size) {
            *self.references.entry(cluster).or_default() += 1;
        }
    }

    /// Adds a problem, unless there are too many.
    fn add_problem(&mut self, what: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(what);
        }
    }

    /// Adds the references to the header, the refcount structures, the snapshot table, and the structures that header extensions point to.
    fn metadata(&mut self, extensions: &Extensions) -> Result<(), Unparsable> {
        let (header, size) = (self.header, self.header.cluster_size());
        self.refer(0, size);
        let table = u64::from(header.refcount_table_clusters) * size;
        self.refer_to_all("the refcount table", header.refcount_table_offset, table)?;
        let refcounts = RefcountTable::read(self.image, header)?;
        for offset in refcounts.blocks() {
            self.refer(offset, size);
        }
        let entries = snapshot_table::entries(self.image, header)?;
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            let length = last.offset + last.length - first.offset;
            self.refer_to_all("the snapshot table", first.offset, length)?;
        }
        for (offset, length) in extensions.regions() {
            self.refer_to_all("what a header extension leads to", offset, length)?;
        }
        Ok(())
    }

    /// Walks the active L1 table and those of the snapshots.
    fn tables(&mut self) -> Result<(), Unparsable> {
        let header = self.header;
        let covered = header.cluster_size() / header.l2_entry_bytes() * header.cluster_size();
        let needed = header.size.div_ceil(covered);
        if u64::from(header.l1_size) < needed {
            let size = header.l1_size;
            self.add_problem(format!(
                "the L1 table has {size} entries, {needed} are needed"
            ));
        }
        self.table(header.l1_table_offset, header.l1_size, true)?;
        for entry in snapshot_table::entries(self.image, header)? {
            let fixed = self.image.read("a snapshot", entry.offset, 12)?;
            let (offset, size) = (number::<8>(&fixed, 0), number::<4>(&fixed, 8) as u32);
            self.table(offset, size, false)?;
        }
        Ok(())
    }

    /// Walks an L1 table and its L2 tables.
    fn table(&mut self, offset: u64, entries: u32, active: bool) -> Result<(), Unparsable> {
        let size = self.header.cluster_size();
        let length = u64::from(entries) * 8;
        if length == 0 {
            return Ok(());
        }
        self.count_table(length)?;
        let table = Table::read(self.image, "an L1 table", offset, length)?;
        self.refer(offset, length);
        for (_, entry) in table.entries_in_use() {
            let place = entry & OFFSET;
            if place == 0 {
                continue;
            }
            if !place.is_multiple_of(size) {
                self.add_problem(format!("the L1 entry {entry:#x} is not aligned"));
                continue;
            }
            self.refer(place, size);
            if active {
                self.copied.push((place / size, entry & COPIED != 0, "L1"));
            }
            self.l2_table(place, active)?;
        }
        Ok(())
    }

    fn count_table(&mut self, bytes: u64) -> Result<(), Unparsable> {
        self.table_bytes += bytes;
        if self.table_bytes > TABLE_BYTES_MAX {
            return Err(Unparsable::new(
                "there are more L1 and L2 tables than an audit reads",
            ));
        }
        Ok(())
    }

    fn l2_table(&mut self, place: u64, active: bool) -> Result<(), Unparsable> {
        let size = self.header.cluster_size();
        self.count_table(size)?;
        if self.header.l2_entry_bytes() == 8 {
            let table = Table::read(self.image, "an L2 table", place, size)?;
            let entries = table.entries_in_use();
            entries.for_each(|(_, entry)| self.l2_entry(entry, active));
            return Ok(());
        }
        let table = self.image.read("an L2 table", place, size)?;
        for bytes in table.chunks_exact(16) {
            let (entry, bitmap) = (number::<8>(bytes, 0), number::<8>(bytes, 8));
            if (bitmap >> 32) & bitmap & 0xffff_ffff != 0 && entry & COMPRESSED == 0 {
                self.add_problem(format!("subclusters of {entry:#x} are both data and zeros"));
            }
            self.l2_entry(entry, active);
        }
        Ok(())
    }

    fn l2_entry(&mut self, entry: u64, active: bool) {
        let size = self.header.cluster_size();
        if entry & COMPRESSED != 0 {
            let (offset, length) = compressed_range(entry, self.header.cluster_bits);
            self.refer(offset, length);
            if entry & COPIED != 0 {
                self.add_problem(format!("the compressed entry {entry:#x} has bit 63"));
            }
            return;
        }
        let place = entry & OFFSET;
        if self.header.incompatible_features & EXTERNAL_DATA_FILE != 0 || place == 0 {
            return;
        }
        if !place.is_multiple_of(size) {
            self.add_problem(format!("the L2 entry {entry:#x} is not aligned"));
            return;
        }
        self.refer(place, size);
        if active {
            self.copied.push((place / size, entry & COPIED != 0, "L2"));
        }
    }

    /// Compares references with refcounts, and checks bit 63 of every active entry. Returns all problems of the walk, and how many of
    /// them are leaks.
    fn compare_with_refcounts(mut self) -> Result<(Vec<String>, usize), Unparsable> {
        let table = RefcountTable::read(self.image, self.header)?;
        let mut counted = BTreeMap::new();
        table.each_counted(self.image, |cluster, refcount| {
            counted.insert(cluster, refcount);
            Ok(())
        })?;
        let references = std::mem::take(&mut self.references);
        for (cluster, references) in &references {
            let refcount = counted.get(cluster).copied().unwrap_or(0);
            if refcount < *references {
                self.add_problem(format!(
                    "host cluster {cluster} has refcount {refcount} and {references} references"
                ));
            }
        }
        let others = self.problems.len();
        for (cluster, refcount) in &counted {
            let references = references.get(cluster).copied().unwrap_or(0);
            if *refcount > references {
                self.add_problem(format!(
                    "host cluster {cluster} is leaked: refcount {refcount}, {references} references"
                ));
            }
        }
        let leaks = self.problems.len() - others;
        for (cluster, copied, kind) in std::mem::take(&mut self.copied) {
            let refcount = counted.get(&cluster).copied().unwrap_or(0);
            if copied != (refcount == 1) {
                let bit = if copied { "has" } else { "lacks" };
                self.add_problem(format!(
                    "an {kind} entry of host cluster {cluster} {bit} bit 63 at refcount {refcount}"
                ));
            }
        }
        Ok((self.problems, leaks))
    }
}

#[cfg(test)]
mod tests;
