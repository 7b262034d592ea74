//! The corruptions of the `repair` operation, and their application to an image.
//!
//! The image must have 8-byte L2 entries, and its first guest clusters must be allocated. The operation knows how a corruption changes what a
//! guest sees.

use serde::{Deserialize, Serialize};

use super::cluster_mapping::{L2Entry, L2Table};
use super::header::Header;
use super::refcounts::RefcountTable;
use super::{ImageBytes, Unparsable};

/// A class of damage, by the Python harness's name for it. `L2[n]` is the entry `n` of the first L2 table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldMutation {
    /// The refcount of the cluster behind `L2[0]` becomes 0.
    RefcountZero,
    /// The refcount of the cluster behind `L2[0]` becomes 2, and the entry's bit 63 is cleared to match.
    RefcountTooHigh,
    /// `L2[0]` becomes unallocated; the refcount of the cluster behind it remains 1.
    LeakedCluster,
    /// The refcount of the cluster behind `L2[1]` (`L2[0]`, if that is unallocated) becomes 2, but the entry's bit 63 still claims that it is 1.
    StaleCopied,
    /// `L2[1]` becomes `L2[0]`.
    Overlapping,
}

impl FieldMutation {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::RefcountZero,
        Self::RefcountTooHigh,
        Self::LeakedCluster,
        Self::StaleCopied,
        Self::Overlapping,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::RefcountZero => "refcount_zero",
            Self::RefcountTooHigh => "refcount_too_high",
            Self::LeakedCluster => "leaked_cluster",
            Self::StaleCopied => "stale_copied",
            Self::Overlapping => "overlapping",
        }
    }

    /// Corrupts an image. Fails if its metadata cannot be parsed, or if its first guest cluster is not allocated.
    pub fn inflict(self, image: &ImageBytes) -> Result<(), Unparsable> {
        let header = Header::read(image)?;
        let refcounts = RefcountTable::read(image, &header)?;
        let table = L2Table::behind(image, &header, 0)?;
        let (first, second) = (table.entry(image, 0)?, table.entry(image, 1)?);
        let first_cluster = first
            .host_cluster_offset()
            .ok_or_else(|| Unparsable::new("the first guest cluster is not allocated"))?;
        let set_refcount = |offset: u64, refcount: u64| {
            refcounts.set_refcount(image, offset / header.cluster_size(), refcount)
        };
        match self {
            Self::RefcountZero => set_refcount(first_cluster, 0),
            Self::RefcountTooHigh => {
                table.set_entry(image, 0, first.with_copied(false))?;
                set_refcount(first_cluster, 2)
            }
            Self::LeakedCluster => table.set_entry(image, 0, L2Entry::UNALLOCATED),
            Self::StaleCopied => {
                let (index, entry, cluster) = match second.host_cluster_offset() {
                    Some(cluster) => (1, second, cluster),
                    None => (0, first, first_cluster),
                };
                table.set_entry(image, index, entry.with_copied(true))?;
                set_refcount(cluster, 2)
            }
            Self::Overlapping => table.set_entry(image, 1, first),
        }
    }
}

#[cfg(test)]
mod tests;
