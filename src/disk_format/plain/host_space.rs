//! The host clusters of a qcow2 that is being laid out, each with its refcount.
//!
//! [`qcow2_layout`](super::qcow2_layout) allocates from it. In a file that stays, the clusters that hold guest data keep their places; everything else is free.

use std::fs::File;
use std::ops::Range;

use rustix::fs::{FallocateFlags, fallocate};

use super::cluster::Cluster;
use super::qcow2_file::Qcow2File;
use crate::disk_format::qcow2::Unparsable;

/// How many host clusters a file that stays may have for each one that holds data, and how many more: a file that is nearly empty is written anew.
const SPARSE_TIMES: u64 = 4;
const SPARSE_MORE: u64 = 1024;

/// Host clusters and their refcounts.
pub(super) struct HostSpace {
    counts: Vec<u64>,
    cluster_size: u64,
    /// No cluster before it is free.
    searched: usize,
}

impl HostSpace {
    /// That of an empty file: the header alone.
    pub(super) fn new(cluster_size: u64) -> Self {
        Self {
            counts: vec![1],
            cluster_size,
            searched: 1,
        }
    }

    /// That of a file of `length` bytes in which the guest data of `image` stays where it is; `None` if the file should be written anew. Fails if a refcount
    /// does not fit.
    pub(super) fn keeping(image: &Qcow2File, length: u64) -> Result<Option<Self>, Unparsable> {
        let size = image.cluster_size();
        let mut space = Self::new(size);
        let of_snapshots = image.snapshots.iter().map(|snapshot| &snapshot.clusters);
        let tables = of_snapshots.chain([&image.map.clusters]);
        let ranges = tables.flat_map(|clusters| {
            clusters.values().filter_map(|cluster| match cluster {
                Cluster::Stored(offset) if image.data_file.is_none() => {
                    Some(*offset..offset + size)
                }
                Cluster::Compressed { offset, length } => Some(*offset..offset + length),
                _ => None,
            })
        });
        let ranges: Vec<Range<u64>> = ranges.collect();
        let clusters = length.div_ceil(size);
        let has_header = ranges.iter().any(|range| range.start < size);
        let is_beyond = ranges
            .iter()
            .any(|range| range.end.div_ceil(size) > clusters);
        let is_sparse = clusters > ranges.len() as u64 * SPARSE_TIMES + SPARSE_MORE;
        if has_header || is_beyond || is_sparse {
            return Ok(None);
        }
        space.counts.resize(clusters.max(1) as usize, 0);
        for range in ranges {
            space.count(range);
        }
        let highest = space.counts.iter().max().copied().unwrap_or(0);
        if highest > image.refcount_max() {
            return Err(Unparsable::new(format!(
                "refcount {highest} does not fit into {} bits",
                1 << image.refcount_order
            )));
        }
        Ok(Some(space))
    }

    /// How many clusters there are.
    pub(super) fn clusters(&self) -> u64 {
        self.counts.len() as u64
    }

    /// The refcounts of a range of clusters.
    pub(super) fn counts(&self, clusters: Range<u64>) -> &[u64] {
        let end = clusters.end.min(self.clusters());
        &self.counts[clusters.start as usize..end as usize]
    }

    /// The refcount of the cluster at an offset in bytes.
    pub(super) fn count_at(&self, offset: u64) -> u64 {
        let count = self.counts.get((offset / self.cluster_size) as usize);
        count.copied().unwrap_or(0)
    }

    /// Counts one more reference to every cluster of a range in bytes.
    pub(super) fn count(&mut self, bytes: Range<u64>) {
        let size = self.cluster_size;
        let clusters = bytes.start / size..bytes.end.div_ceil(size);
        let counts = &mut self.counts[clusters.start as usize..clusters.end as usize];
        counts.iter_mut().for_each(|count| *count += 1);
    }

    /// Allocates `wanted` adjacent clusters, the first that are free. Returns their offset in bytes.
    pub(super) fn allocate(&mut self, wanted: u64) -> u64 {
        let is_free = |count: &u64| *count == 0;
        let mut first = self.searched;
        loop {
            let free = self.counts[first..].iter().take(wanted as usize);
            let free = free.take_while(|count| is_free(count)).count();
            let end = first + free;
            if free as u64 == wanted || end == self.counts.len() {
                break;
            }
            let used = self.counts[end..].iter().position(is_free);
            first = used.map_or(self.counts.len(), |used| end + used);
        }
        let end = first + wanted as usize;
        self.counts.resize(self.counts.len().max(end), 0);
        self.counts[first..end].fill(1);
        if wanted == 1 {
            self.searched = end;
        }
        first as u64 * self.cluster_size
    }

    /// Forgets free clusters at the end.
    pub(super) fn trim(&mut self) {
        let used = self.counts.iter().rposition(|count| *count > 0);
        self.counts.truncate(used.map_or(1, |last| last + 1));
    }

    /// Makes holes of the clusters that are free, so that whatever is allocated there reads as zeros.
    pub(super) fn clear(&self, file: &File) -> Result<(), Unparsable> {
        let used = self.counts.iter().enumerate();
        let used = used.filter(|(_, count)| **count > 0);
        let starts = used.map(|(index, _)| index as u64 * self.cluster_size);
        let end = self.clusters() * self.cluster_size;
        punch_between(
            file,
            starts.map(|start| start..start + self.cluster_size),
            end,
        )
    }
}

/// Makes holes between `kept` ranges of a file, which ascend, up to `end`; all in bytes.
pub(super) fn punch_between(
    file: &File,
    kept: impl Iterator<Item = Range<u64>>,
    end: u64,
) -> Result<(), Unparsable> {
    let mut reached = 0;
    for range in kept.chain(std::iter::once(end..end)) {
        if reached < range.start {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(file, flags, reached, range.start - reached).map_err(std::io::Error::from)?;
        }
        reached = reached.max(range.end);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(counts: &[u64]) -> HostSpace {
        HostSpace {
            counts: counts.to_vec(),
            cluster_size: 512,
            searched: 1,
        }
    }

    #[test]
    fn the_first_gap_that_is_wide_enough_is_taken() {
        let mut space = space(&[1, 0, 2, 0, 0, 1, 0]);
        assert_eq!(space.allocate(2), 3 * 512);
        assert_eq!(space.allocate(1), 512);
        // The free cluster at the end of the file counts.
        assert_eq!(space.allocate(3), 6 * 512);
        assert_eq!(space.counts, [1, 1, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(space.allocate(1), 9 * 512);
    }

    #[test]
    fn free_clusters_become_holes_and_used_ones_keep_their_bytes() {
        use std::os::unix::fs::FileExt;
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 4 * 4096], 0).unwrap();
        let mut space = HostSpace::new(4096);
        space.counts = vec![1, 0, 1, 0];
        space.clear(&file).unwrap();
        let mut bytes = [0; 4 * 4096];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let firsts = [0, 1, 2, 3].map(|cluster| bytes[cluster * 4096]);
        assert_eq!(firsts, [7, 0, 7, 0]);
    }
}
