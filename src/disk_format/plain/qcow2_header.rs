//! The header of a plain qcow2, with its extensions and the name of the image below.
//!
//! [`qcow2_layout`](super::qcow2_layout) writes it. "Header" and "Header extensions" in QEMU's qcow2 specification.

use super::qcow2_file::Qcow2File;
use crate::disk_format::qcow2::Unparsable;
use crate::disk_format::qcow2::extensions::{BACKING_FORMAT, DATA_FILE};
use crate::disk_format::qcow2::header::{EXTERNAL_DATA_FILE, MAGIC};

impl Qcow2File {
    /// The bytes of the header. `l1` is the offset of the L1 table and its number of entries, `snapshots` the offset of the snapshot table, `refcounts` that
    /// of the refcount table and its number of clusters. Fails if they do not fit into a cluster.
    pub(super) fn header(
        &self,
        size: u64,
        l1: (u64, u64),
        snapshots: u64,
        refcounts: (u64, u64),
    ) -> Result<Vec<u8>, Unparsable> {
        let length: u32 = if self.version == 2 { 72 } else { 104 };
        let mut extensions = Vec::new();
        let mut extend = |kind: u64, data: &[u8]| {
            extensions.extend((kind as u32).to_be_bytes());
            extensions.extend((data.len() as u32).to_be_bytes());
            extensions.extend(data);
            extensions.resize(extensions.len().next_multiple_of(8), 0);
        };
        let format = self
            .backing
            .as_ref()
            .and_then(|(_, format)| format.as_ref());
        format
            .into_iter()
            .for_each(|format| extend(BACKING_FORMAT, format.as_bytes()));
        self.data_file
            .iter()
            .for_each(|name| extend(DATA_FILE, name.as_bytes()));
        extend(0, &[]);
        let name = self.backing.as_ref().map_or("", |(name, _)| name);
        let name_at = match name.is_empty() {
            true => 0,
            false => u64::from(length) + extensions.len() as u64,
        };
        let mut header = MAGIC.to_vec();
        let number = |header: &mut Vec<u8>, value: u64| header.extend(value.to_be_bytes());
        let word = |header: &mut Vec<u8>, value: u64| header.extend((value as u32).to_be_bytes());
        word(&mut header, u64::from(self.version));
        number(&mut header, name_at);
        word(&mut header, name.len() as u64);
        word(&mut header, u64::from(self.cluster_bits));
        number(&mut header, size);
        word(&mut header, 0);
        word(&mut header, l1.1);
        number(&mut header, l1.0);
        number(&mut header, refcounts.0);
        word(&mut header, refcounts.1);
        word(&mut header, self.snapshots.len() as u64);
        number(&mut header, snapshots);
        if self.version > 2 {
            let external = if self.data_file.is_some() {
                EXTERNAL_DATA_FILE
            } else {
                0
            };
            number(&mut header, external);
            number(&mut header, u64::from(self.lazy_refcounts));
            number(&mut header, u64::from(self.data_file_raw) * 2);
            word(&mut header, u64::from(self.refcount_order));
            word(&mut header, u64::from(length));
        }
        header.extend(extensions);
        header.extend(name.as_bytes());
        match header.len() as u64 <= self.cluster_size() {
            true => Ok(header),
            false => Err(Unparsable::new("the header does not fit into a cluster")),
        }
    }
}
