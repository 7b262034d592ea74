//! What a guest sees in an open image: how its address space is mapped, and its contents.

use super::cluster::Cluster;
use super::map::{Map, MappedRange};
use super::volume::{Store, Volume};
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::{self, BLOCK_BYTES, Contents, ContentsBuilder};

/// How much is read at once, in bytes.
const PIECE_BYTES: u64 = 256 << 10;

/// Which holes of an image's file count as zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holes {
    /// None.
    Unseen,
    /// Those that take the place of whole clusters: a copy with a cluster's zeros has that cluster too.
    OfClusters,
    /// All.
    All,
}

impl Volume {
    /// Whether a guest reads only zeros in a range.
    pub fn is_zero(&self, from: u64, to: u64) -> Result<bool, Unparsable> {
        let mut bytes = vec![0; PIECE_BYTES.min(to - from) as usize];
        let mut place = from;
        while place < to {
            let length = ((to - place) as usize).min(bytes.len());
            let part = &mut bytes[..length];
            self.read(place, part)?;
            if !content::is_zero(part) {
                return Ok(false);
            }
            place += length as u64;
        }
        Ok(true)
    }

    /// How the guest's address space is mapped, ascending and without a gap.
    pub fn mapped_ranges(&self) -> Result<Vec<MappedRange>, Unparsable> {
        self.ranges(Holes::Unseen)
    }

    /// As [`mapped_ranges`](Self::mapped_ranges), but clusters whose place in the file was never written to count as zeros, which they read as.
    pub fn read_ranges(&self) -> Result<Vec<MappedRange>, Unparsable> {
        self.ranges(Holes::OfClusters)
    }

    fn ranges(&self, holes: Holes) -> Result<Vec<MappedRange>, Unparsable> {
        let mut map = Map {
            mapped_ranges: Vec::new(),
            size: self.size,
        };
        let described = match &self.store {
            Store::Flat(file) => {
                for (from, to) in file.data()? {
                    map.fill_to(from, true);
                    map.add(to, false, true);
                }
                map.fill_to(self.size, true);
                return Ok(map.mapped_ranges);
            }
            Store::Qcow2(file) => &file.map,
            Store::Blocks(file) => &file.map,
        };
        let below = match &self.below {
            Some(below) => below.ranges(holes)?,
            None => Vec::new(),
        };
        let size = described.cluster_size;
        let sees_holes = holes != Holes::Unseen;
        let written = sees_holes.then(|| described.data_segments()).transpose()?;
        for (guest, cluster) in &described.clusters {
            map.show(&below, guest.saturating_mul(size));
            let start = guest.saturating_mul(size);
            let end = start.saturating_add(size);
            let Some(written) = &written else {
                map.add(end, matches!(cluster, Cluster::Zero), true);
                continue;
            };
            let data = cluster.data(size, written);
            if holes == Holes::OfClusters {
                map.add(end, data.is_empty(), true);
                continue;
            }
            for data in data {
                map.add(start.saturating_add(data.start), true, true);
                map.add(start.saturating_add(data.end), false, true);
            }
            map.add(end, true, true);
        }
        map.show(&below, self.size);
        map.fill_to(self.size, false);
        Ok(map.mapped_ranges)
    }

    /// The guest-visible contents.
    pub fn contents(&self) -> Result<Contents, Unparsable> {
        let mut builder = ContentsBuilder::new(self.size);
        self.each_piece(|offset, bytes| {
            builder.add(offset, bytes);
            Ok(())
        })?;
        Ok(builder.finish())
    }

    /// Calls `visit` with all guest bytes that are not known to be zeros, in ascending pieces that begin at a block of [`BLOCK_BYTES`].
    pub fn each_piece(
        &self,
        mut visit: impl FnMut(u64, &[u8]) -> Result<(), Unparsable>,
    ) -> Result<(), Unparsable> {
        let mut reached = 0;
        let mut bytes = vec![0; PIECE_BYTES as usize];
        let mapped_ranges = self.ranges(Holes::All)?;
        for mapped in mapped_ranges.iter().filter(|mapped| !mapped.zero) {
            let mut place = (mapped.start / BLOCK_BYTES * BLOCK_BYTES).max(reached);
            let end = mapped.end.next_multiple_of(BLOCK_BYTES).min(self.size);
            while place < end {
                let part = &mut bytes[..(end - place).min(PIECE_BYTES) as usize];
                self.read(place, part)?;
                visit(place, part)?;
                place += part.len() as u64;
            }
            reached = reached.max(end);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
