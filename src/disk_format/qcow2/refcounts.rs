//! Refcount table and refcount blocks: "Host cluster management" in QEMU's qcow2 specification.
//!
//! The audit and the comparison of host clusters read refcounts; [`corruption`](super::corruption) writes them. No refcount block is ever
//! allocated.

use super::header::Header;
use super::{ImageBytes, Unparsable, entries_in_use, number};

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
    /// The offsets of the refcount blocks in bytes; 0 for a block that is not allocated.
    blocks: Vec<u64>,
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
        let bytes = image.read("the refcount table", header.refcount_table_offset, length)?;
        let mut blocks = vec![0; bytes.len() / 8];
        for (index, entry) in entries_in_use(&bytes) {
            blocks[index as usize] = entry & REFCOUNT_BLOCK_OFFSET;
        }
        if let Some(offset) = blocks.iter().find(|offset| *offset % cluster_size != 0) {
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
        self.blocks.iter().copied().filter(|offset| *offset != 0)
    }

    /// Reads the refcount of host cluster number `cluster`; 0 if it has no refcount block.
    pub fn refcount(&self, image: &ImageBytes, cluster: u64) -> Result<u64, Unparsable> {
        let (block, index) = self.place(cluster);
        match block {
            None => Ok(0),
            Some(offset) => Ok(entry(
                &self.block(image, offset)?,
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
        let mut block = self.block(image, offset)?;
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
        let count = self.blocks.iter().filter(|offset| **offset != 0).count() as u64;
        if count * self.cluster_size > REFCOUNT_BLOCKS_BYTES_MAX {
            return Err(Unparsable::new(format!(
                "there are {count} refcount blocks"
            )));
        }
        let entries = self.block_entries();
        let mut counted = 0;
        for (place, offset) in (0..).zip(&self.blocks).filter(|(_, offset)| **offset != 0) {
            let block = self.block(image, *offset)?;
            // A piece of 8 bytes that is zero has no refcount.
            let width = 64 / self.refcount_bits;
            let in_use = entries_in_use(&block);
            let in_use = in_use.flat_map(|(piece, _)| piece * width..(piece + 1) * width);
            for index in in_use {
                let refcount = entry(&block, index, self.refcount_bits);
                if refcount == 0 {
                    continue;
                }
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
        let offset = usize::try_from(cluster / entries)
            .ok()
            .and_then(|place| self.blocks.get(place))
            .copied();
        (offset.filter(|offset| *offset != 0), cluster % entries)
    }

    fn block(&self, image: &ImageBytes, offset: u64) -> Result<Vec<u8>, Unparsable> {
        image.read("a refcount block", offset, self.cluster_size)
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
