//! Guest clusters of a qcow2 as its tables describe them, its snapshots, and the compression of clusters.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use miniz_oxide::inflate::decompress_to_vec_with_limit;

use crate::disk_format::qcow2::Unparsable;

/// The run-length strategy of deflate, by its number in zlib: no match reaches back more than a byte, so that every reader's window is large enough.
const RUN_LENGTHS: i32 = 3;

/// A guest cluster that a table describes; one that it does not describe shows the image below.
#[derive(Clone, Debug)]
pub enum Cluster {
    /// It reads as zeros.
    Zero,
    /// It has a place in the file that was never written to.
    Reserved,
    /// It lies at this offset of the file that holds guest data, in bytes.
    Stored(u64),
    /// It lies compressed at `offset`, within `length` bytes.
    Compressed {
        /// Offset in the file, in bytes.
        offset: u64,
        /// The most bytes that it takes there.
        length: u64,
    },
    /// It was written since the image was opened: the bytes of a whole cluster.
    New(Arc<Vec<u8>>),
}

impl Cluster {
    /// Whether it may hold anything but zeros: not if it never got any, or if its place in the file is a hole. `written` are the file's ranges that hold
    /// data, ascending, in bytes.
    pub fn has_data(&self, cluster_size: u64, written: &[Range<u64>]) -> bool {
        !self.data(cluster_size, written).is_empty()
    }

    /// The parts of it that may hold anything but zeros, ascending, in bytes behind its beginning; `written` as for [`has_data`](Self::has_data).
    pub fn data(&self, cluster_size: u64, written: &[Range<u64>]) -> Vec<Range<u64>> {
        match self {
            Self::Zero | Self::Reserved => Vec::new(),
            Self::Stored(offset) => {
                let first = written.partition_point(|data| data.end <= *offset);
                let end = offset + cluster_size;
                let over = written[first..].iter().take_while(|data| data.start < end);
                over.map(|data| data.start.max(*offset) - offset..data.end.min(end) - offset)
                    .collect()
            }
            Self::Compressed { .. } | Self::New(_) => std::iter::once(0..cluster_size).collect(),
        }
    }

    /// Reads the cluster's bytes from `start` on into `bytes`, from the file that holds guest data.
    pub(super) fn read(
        &self,
        source: Option<&File>,
        cluster_size: u64,
        start: usize,
        bytes: &mut [u8],
    ) -> Result<(), Unparsable> {
        let file = || source.ok_or_else(|| Unparsable::new("the image has no file yet"));
        match self {
            Self::Zero | Self::Reserved => bytes.fill(0),
            Self::New(data) => bytes.copy_from_slice(&data[start..start + bytes.len()]),
            Self::Stored(offset) => read_padded(file()?, offset + start as u64, bytes)?,
            Self::Compressed { offset, length } => {
                let mut stored = vec![0; *length as usize];
                read_padded(file()?, *offset, &mut stored)?;
                let data = decompress_to_vec_with_limit(&stored, cluster_size as usize)
                    .map_err(|error| Unparsable::new(format!("a compressed cluster: {error}")))?;
                let part = data.get(start..start + bytes.len());
                let part = part.ok_or_else(|| Unparsable::new("a compressed cluster is short"))?;
                bytes.copy_from_slice(part);
            }
        }
        Ok(())
    }
}

/// Reads from a file; what lies beyond its end is zeros.
pub(super) fn read_padded(file: &File, offset: u64, bytes: &mut [u8]) -> Result<(), Unparsable> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], offset + read as u64)? {
            0 => break,
            more => read += more,
        }
    }
    bytes[read..].fill(0);
    Ok(())
}

/// An internal snapshot, as it is stored.
#[derive(Clone, Debug)]
pub struct StoredSnapshot {
    /// Its unique id string.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The guest-visible size in bytes when it was made.
    pub size: u64,
    /// When it was made: seconds since the Epoch, and nanoseconds.
    pub date: (u32, u32),
    /// What its tables describe, by the number of the guest cluster.
    pub clusters: BTreeMap<u64, Cluster>,
}

/// Compresses a cluster; `None` if that makes it no shorter.
pub(in crate::disk_format) fn compressed(bytes: &[u8]) -> Option<Vec<u8>> {
    // No zlib header: a negative width of the window.
    let flags = create_comp_flags_from_zip_params(6, -15, RUN_LENGTHS);
    let mut state = CompressorOxide::new(flags);
    let mut output = vec![0; bytes.len()];
    let (status, _, length) = compress(&mut state, bytes, &mut output, TDEFLFlush::Finish);
    output.truncate(length);
    (status == TDEFLStatus::Done && length + 1 < bytes.len()).then_some(output)
}
