//! Refcount table and refcount blocks: "Host cluster management" in QEMU's qcow2 specification.
//!
//! The audit and the comparison of host clusters read refcounts; [`corruption`](super::corruption) writes them. No refcount block is ever
//! allocated.

use std::collections::BTreeMap;

use super::header::Header;
use super::table::Table;
use super::{ImageBytes, Unparsable, number};

/// QEMU's limit for the length of the refcount table, in bytes.
const REFCOUNT_TABLE_BYTES_MAX: u64 = 8 << 20;

/// The most bytes of refcount blocks that are read of one image: enough for a file of 1 TiB with 64 KiB clusters and 16-bit refcounts.
const REFCOUNT_BLOCKS_BYTES_MAX: u64 = 32 << 20;

/// The most used host clusters that are visited in one image: as many as [`REFCOUNT_BLOCKS_BYTES_MAX`] holds with 16-bit refcounts. Narrower
/// refcounts could count more clusters, and so could several table entries that point to one block.
const COUNTED_MAX: u64 = REFCOUNT_BLOCKS_BYTES_MAX / 2;

/// Bits 9-63 of a refcount table entry: the offset.
const REFCOUNT_BLOCK_OFFSET: u64 = !0x1ff;

/// The refcount table.
#[derive(Clone, Debug)]
pub struct RefcountTable {
    /// The offsets of the allocated refcount blocks in bytes, by their index in the table.
    blocks: BTreeMap<u64, u64>,
    cluster_size: u64,
    refcount_bits: u64,
}

impl RefcountTable {
    /// Reads the refcount table. Fails if it is too long, or if an entry is not aligned.
    pub fn read(image: &ImageBytes, header: &Header) -> Result<Self, Unparsable> {
        let cluster_size = header.cluster_size();
        let length = u64::from(header.refcount_table_clusters) * cluster_size;
        if length > REFCOUNT_TABLE_BYTES_MAX {
            return Err(Unparsable::new(format!(
                "the refcount table has {length} bytes"
            )));
        }
        let table = Table::read(
            image,
            "the refcount table",
            header.refcount_table_offset,
            length,
        )?;
        let offsets = table.entries_in_use();
        let offsets = offsets.map(|(index, entry)| (index, entry & REFCOUNT_BLOCK_OFFSET));
        let blocks: BTreeMap<u64, u64> = offsets.filter(|(_, offset)| *offset != 0).collect();
        if let Some(offset) = blocks.values().find(|offset| *offset % cluster_size != 0) {
            return Err(Unparsable::new(format!(
                "the refcount block at {offset:#x} is not aligned"
            )));
        }
        Ok(Self {
            blocks,
            cluster_size,
            refcount_bits: header.refcount_bits(),
        })
    }

    /// The offsets of the allocated refcount blocks, in bytes.
    pub fn blocks(&self) -> impl Iterator<Item = u64> + '_ {
        self.blocks.values().copied()
    }

    /// Reads the refcount of host cluster number `cluster`; 0 if it has no refcount block.
    pub fn refcount(&self, image: &ImageBytes, cluster: u64) -> Result<u64, Unparsable> {
        let (block, index) = self.place(cluster);
        match block {
            None => Ok(0),
            Some(offset) => Ok(entry(
                &image.read("a refcount block", offset, self.cluster_size)?,
                index,
                self.refcount_bits,
            )),
        }
    }

    /// Writes the refcount of host cluster number `cluster`. Fails if the cluster has no refcount block, or if the refcount does not fit.
    pub fn set_refcount(
        &self,
        image: &ImageBytes,
        cluster: u64,
        refcount: u64,
    ) -> Result<(), Unparsable> {
        let (Some(offset), index) = self.place(cluster) else {
            return Err(Unparsable::new(format!(
                "host cluster {cluster} has no refcount block"
            )));
        };
        let mut block = image.read("a refcount block", offset, self.cluster_size)?;
        set_entry(&mut block, index, self.refcount_bits, refcount)?;
        image.write("a refcount block", offset, &block)
    }

    /// Calls `visit` with (number, refcount) for each host cluster whose refcount is not 0, in ascending order. Fails if there are more refcount
    /// blocks or clusters than the limits of this module.
    pub fn each_counted(
        &self,
        image: &ImageBytes,
        mut visit: impl FnMut(u64, u64) -> Result<(), Unparsable>,
    ) -> Result<(), Unparsable> {
        let count = self.blocks.len() as u64;
        if count * self.cluster_size > REFCOUNT_BLOCKS_BYTES_MAX {
            return Err(Unparsable::new(format!(
                "there are {count} refcount blocks"
            )));
        }
        let entries = self.block_entries();
        let mut counted = 0;
        for (place, offset) in &self.blocks {
            let block = Table::read(image, "a refcount block", *offset, self.cluster_size)?;
            // A piece of 8 bytes that is zero has no refcount.
            let width = 64 / self.refcount_bits;
            let in_use = block.entries_in_use().flat_map(|(piece, counts)| {
                let counts = counts.to_be_bytes();
                let counts =
                    (0..width).map(move |within| entry(&counts, within, self.refcount_bits));
                (piece * width..).zip(counts)
            });
            for (index, refcount) in in_use.filter(|(_, refcount)| *refcount != 0) {
                counted += 1;
                if counted > COUNTED_MAX {
                    return Err(Unparsable::new(format!(
                        "more than {COUNTED_MAX} host clusters are counted"
                    )));
                }
                visit(place * entries + index, refcount)?;
            }
        }
        Ok(())
    }

    /// The number of entries of a refcount block: `refcount_block_entries` of the specification.
    fn block_entries(&self) -> u64 {
        self.cluster_size * 8 / self.refcount_bits
    }

    /// The offset of the refcount block of a host cluster, if it is allocated, and the index of the cluster's entry in it.
    fn place(&self, cluster: u64) -> (Option<u64>, u64) {
        let entries = self.block_entries();
        let offset = self.blocks.get(&(cluster / entries)).copied();
        (offset, cluster % entries)
    }
}

/// The entry `index` of a refcount block. Entries below 8 bits fill a byte from its least significant bit.
fn entry(block: &[u8], index: u64, refcount_bits: u64) -> u64 {
    let bit = index * refcount_bits;
    let byte = (bit / 8) as usize;
    match refcount_bits {
        64 => number::<8>(block, byte),
        32 => number::<4>(block, byte),
        16 => number::<2>(block, byte),
        8 => number::<1>(block, byte),
        _ => number::<1>(block, byte) >> (bit % 8) & ((1 << refcount_bits) - 1),
    }
}

/// Writes the entry `index` of a refcount block. Fails if the refcount does not fit into `refcount_bits`.
pub(in crate::disk_format) fn set_entry(
    block: &mut [u8],
    index: u64,
    refcount_bits: u64,
    refcount: u64,
) -> Result<(), Unparsable> {
    if refcount_bits < 64 && refcount >> refcount_bits != 0 {
        return Err(Unparsable::new(format!(
            "refcount {refcount} does not fit into {refcount_bits} bits"
        )));
    }
    let bit = index * refcount_bits;
    let byte = (bit / 8) as usize;
    if refcount_bits < 8 {
        let mask = ((1_u64 << refcount_bits) - 1) << (bit % 8);
        let kept = u64::from(block[byte]) & !mask;
        block[byte] = (kept | refcount << (bit % 8)) as u8;
    } else {
        let length = (refcount_bits / 8) as usize;
        let bytes = refcount.to_be_bytes();
        block[byte..byte + length].copy_from_slice(&bytes[8 - length..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
