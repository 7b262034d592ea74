//! What the tables of an image describe: its guest clusters, and the file that holds their data.
//!
//! Every store of a [`Volume`](super::Volume) that is not flat has one.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use super::cluster::Cluster;
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::data_segments;

/// Guest clusters, by their number.
#[derive(Clone, Debug)]
pub struct ClusterMap {
    /// The size of a cluster in bytes.
    pub cluster_size: u64,
    /// Those that a table describes.
    pub clusters: BTreeMap<u64, Cluster>,
    /// The file that holds the data of [`Cluster::Stored`].
    pub(super) source: Option<Arc<File>>,
}

impl ClusterMap {
    /// That of an empty image.
    pub fn new(cluster_size: u64) -> Self {
        Self {
            cluster_size,
            clusters: BTreeMap::new(),
            source: None,
        }
    }

    /// Reads a part of one cluster, from `start` bytes behind its beginning.
    pub fn read(
        &self,
        cluster: &Cluster,
        start: usize,
        bytes: &mut [u8],
    ) -> Result<(), Unparsable> {
        cluster.read(self.source.as_deref(), self.cluster_size, start, bytes)
    }

    /// Reads a whole cluster, without the holes between the `written` ranges of the file that holds guest data.
    pub fn read_whole(
        &self,
        cluster: &Cluster,
        written: &[Range<u64>],
    ) -> Result<Vec<u8>, Unparsable> {
        let mut bytes = vec![0; self.cluster_size as usize];
        for data in cluster.data(self.cluster_size, written) {
            let start = data.start as usize;
            self.read(cluster, start, &mut bytes[start..data.end as usize])?;
        }
        Ok(bytes)
    }

    /// The ranges of the file that holds guest data which are no holes, in bytes.
    pub fn data_segments(&self) -> Result<Vec<Range<u64>>, Unparsable> {
        match &self.source {
            Some(source) => Ok(data_segments(source)?),
            None => Ok(Vec::new()),
        }
    }
}
