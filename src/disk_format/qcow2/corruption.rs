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
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::super::fixture::Scratch;
    use super::*;

    #[test]
    fn every_class_is_called_what_serde_calls_it() {
        for class in FieldMutation::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }

    /// The numbers (corruptions, leaks) that `qemu-img check` prints.
    fn check(scratch: &Scratch) -> (u64, u64) {
        let (_, output) = scratch.run("qemu-img", &["check", "--output=json", "image"]);
        let start = output.find('{').unwrap();
        let end = output.rfind('}').unwrap();
        let json: serde_json::Value = serde_json::from_str(&output[start..=end]).unwrap();
        let count = |name: &str| json[name].as_u64().unwrap_or(0);
        (count("corruptions"), count("leaks"))
    }

    #[test]
    #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
    fn qemu_img_finds_and_repairs_each_class_as_release_10_0_2_does() {
        let baselines = [(2, 0), (0, 1), (0, 1), (1, 1), (1, 1)];
        let after_leaks = [
            ((2, 0), 1),
            ((0, 0), 0),
            ((0, 0), 0),
            ((0, 0), 0),
            ((1, 0), 2),
        ];
        let scratch = Scratch::new();
        for cluster_size in [512, 4096, 65536] {
            let options = format!("cluster_size={cluster_size}");
            for (index, class) in FieldMutation::ALL.into_iter().enumerate() {
                let damaged = || {
                    let path = scratch.image("image", &options);
                    class.inflict(&ImageBytes::open(&path).unwrap()).unwrap();
                };
                damaged();
                let here = format!("{class:?} at {cluster_size}");
                assert_eq!(check(&scratch), baselines[index], "{here}");
                let (code, _) = scratch.run("qemu-img", &["check", "-r", "leaks", "image"]);
                assert_eq!((check(&scratch), code), after_leaks[index], "{here}");
                damaged();
                let (code, _) = scratch.run("qemu-img", &["check", "-r", "all", "image"]);
                assert_eq!((check(&scratch), code), ((0, 0), 0), "{here}");
            }
        }
    }
}
