//! All host clusters of an image: a fingerprint of each cluster's bytes, and its refcount.
//!
//! For operations in which two tools must write the same bytes. The differential runner reads the clusters, and the judge of the operation
//! compares them. The form is sparse: holes are not read, and unused clusters of zeros are left out. The bytes are compared without interpreting
//! them.

mod place;

use std::collections::BTreeMap;

pub use place::{HostPlace, HostRegion};

use xxhash_rust::xxh3::xxh3_64;

use super::header::Header;
use super::refcounts::RefcountTable;
use super::snapshot_table;
use super::{ImageBytes, Unparsable};
use crate::image::content::data_segments;

/// The most host clusters that are read of one image.
const HOST_CLUSTERS_MAX: usize = 1 << 21;

/// The most bytes that are fingerprinted of one image.
const FINGERPRINTED_BYTES_MAX: u64 = 1 << 30;

/// The refcount width, in bits, for which the bytes of clusters that neither image uses are ignored.
const RESIDUE_REFCOUNT_BITS: u64 = 16;

/// An image's host clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostClusters {
    /// The cluster size in bytes.
    pub cluster_size: u64,
    /// The width of a refcount in bits.
    pub refcount_bits: u64,
    /// The length of the file in bytes.
    pub file_bytes: u64,
    /// The original dates of the snapshots, in seconds since the Epoch, in the table's order.
    pub snapshot_dates: Vec<u32>,
    /// The clusters that are used or not all zero, by number.
    clusters: BTreeMap<u64, HostCluster>,
}

/// A host cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct HostCluster {
    /// xxh3-64 of its bytes, padded with zeros at the end of the file; 0 if all its bytes are zero.
    fingerprint: u64,
    /// Its refcount; 0 if it is unused.
    refcount: u64,
}

/// Where two images' host clusters differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDifference {
    /// Where, roughly.
    pub region: HostRegion,
    /// Where exactly.
    pub place: HostPlace,
    /// What the first image has there.
    pub first: String,
    /// What the second image has there.
    pub second: String,
}

impl HostClusters {
    /// Makes the snapshot table comparable (see [`snapshot_table::settle`]), which changes the file, and reads the image's host clusters. Fails if
    /// the metadata cannot be parsed, or if the image exceeds the limits of this module.
    pub fn settle_and_read(image: &ImageBytes) -> Result<Self, Unparsable> {
        let header = Header::read(image)?;
        let snapshot_dates = snapshot_table::settle(image, &header)?;
        let mut found = Self {
            cluster_size: header.cluster_size(),
            refcount_bits: header.refcount_bits(),
            file_bytes: image.length(),
            snapshot_dates,
            clusters: BTreeMap::new(),
        };
        found.read_bytes(image)?;
        RefcountTable::read(image, &header)?.each_counted(image, |index, refcount| {
            found.cluster(index)?.refcount = refcount;
            Ok(())
        })?;
        Ok(found)
    }

    fn read_bytes(&mut self, image: &ImageBytes) -> Result<(), Unparsable> {
        let size = self.cluster_size;
        let mut bytes = vec![0; size as usize];
        let mut read = 0;
        let mut next = 0;
        for segment in data_segments(image.file())? {
            // A segment may begin in the cluster in which the last one ended.
            let first = (segment.start / size).max(next);
            next = segment.end.div_ceil(size);
            for index in first..next {
                read += size;
                if read > FINGERPRINTED_BYTES_MAX {
                    return Err(Unparsable::new(format!(
                        "the file holds more than {FINGERPRINTED_BYTES_MAX} bytes of data"
                    )));
                }
                image.read_into(&mut bytes, index * size)?;
                if bytes.iter().any(|byte| *byte != 0) {
                    self.cluster(index)?.fingerprint = xxh3_64(&bytes);
                }
            }
        }
        Ok(())
    }

    fn cluster(&mut self, index: u64) -> Result<&mut HostCluster, Unparsable> {
        if self.clusters.len() > HOST_CLUSTERS_MAX {
            return Err(Unparsable::new(format!(
                "the image has more than {HOST_CLUSTERS_MAX} host clusters"
            )));
        }
        Ok(self.clusters.entry(index).or_default())
    }

    /// The first host cluster in which two images differ; `None` if all are equal. Beyond the end of the shorter file, the longer one must be zero.
    ///
    /// Within the length of both files, clusters that neither image uses may differ if both images have 16-bit refcounts: their bytes depend on
    /// the order in which a tool works, and are never read. The Python harness has this exception from ops16 on. Here it applies to every
    /// generation, because it removes only false alarms from the older ones.
    pub fn difference(&self, other: &Self) -> Option<HostDifference> {
        let difference = |region, place, first: String, second: String| {
            Some(HostDifference {
                region,
                place,
                first,
                second,
            })
        };
        if self.cluster_size != other.cluster_size {
            return difference(
                HostRegion::Prefix,
                HostPlace::ClusterSize,
                format!("{} bytes", self.cluster_size),
                format!("{} bytes", other.cluster_size),
            );
        }
        let both_residue = [self, other].map(|image| image.refcount_bits == RESIDUE_REFCOUNT_BITS);
        let may_be_residue = both_residue == [true; 2];
        let common_bytes = self.file_bytes.min(other.file_bytes);
        let indices = self.clusters.keys().chain(other.clusters.keys());
        let at = |image: &Self, index: &u64| image.clusters.get(index).copied().unwrap_or_default();
        let (index, [first, second]) = indices
            .map(|index| (*index, [at(self, index), at(other, index)]))
            .filter(|(index, [first, second])| {
                let unused = first.refcount == 0 && second.refcount == 0;
                let common = index.saturating_mul(self.cluster_size) < common_bytes;
                let is_residue = unused && common && may_be_residue;
                first.fingerprint != second.fingerprint && !is_residue
            })
            .min_by_key(|(index, _)| *index)?;
        let offset = index.saturating_mul(self.cluster_size);
        let region = if offset < common_bytes {
            HostRegion::Prefix
        } else {
            HostRegion::Tail
        };
        let show = |cluster: HostCluster| {
            let HostCluster {
                fingerprint,
                refcount,
            } = cluster;
            let held = match fingerprint {
                0 => "zeros".to_owned(),
                fingerprint => format!("data {fingerprint:016x}"),
            };
            format!("{held} (refcount {refcount})")
        };
        let place = HostPlace::Cluster { index, offset };
        difference(region, place, show(first), show(second))
    }
}

#[cfg(test)]
mod tests;
