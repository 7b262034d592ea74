//! The clusters of a qcow2's active L2 tables.

use super::Block;
use crate::disk_format::qcow2::header::Header;
use crate::disk_format::qcow2::refcounts::RefcountTable;
use crate::disk_format::qcow2::{ImageBytes, Unparsable, number};

/// Bits of L1 and L2 entries: the refcount is 1; the cluster is compressed; the offset (qcow2 specification, Cluster mapping).
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// Returns the clusters of L2 tables that no snapshot shares. One in a data file, or one without a place, is none.
pub(super) fn blocks(image: &ImageBytes) -> Result<Vec<Block>, Unparsable> {
    let header = Header::read(image)?;
    let (cluster, width) = (header.cluster_size(), header.l2_entry_bytes());
    super::is_too_long(u64::from(header.l1_size))?;
    if header.incompatible_features & 4 != 0 {
        return Ok(Vec::new());
    }
    let l1 = image.read(
        "the L1 table",
        header.l1_table_offset,
        u64::from(header.l1_size) * 8,
    )?;
    let mut blocks = Vec::new();
    let entries = l1.chunks(8).map(|entry| number::<8>(entry, 0));
    for (l1_index, entry) in (0_u64..).zip(entries) {
        if entry & COPIED == 0 || entry & OFFSET == 0 {
            continue;
        }
        let place = entry & OFFSET;
        let table = image.read("an L2 table", place, cluster)?;
        for (index, bytes) in (0_u64..).zip(table.chunks(width as usize)) {
            let entry = number::<8>(bytes, 0);
            let has_place = entry & COMPRESSED != 0 || entry & OFFSET != 0;
            if !has_place {
                continue;
            }
            let start = entry & OFFSET;
            let is_alone = entry & COPIED != 0 && entry & COMPRESSED == 0;
            blocks.push(Block {
                cleared: vec![(place + index * width, vec![0; width as usize])],
                place: if is_alone {
                    start..start + cluster
                } else {
                    0..0
                },
                guest_end: (l1_index * (cluster / width) + index + 1) * cluster,
            });
        }
    }
    Ok(blocks)
}

/// Takes the references of clusters that are given back off the refcounts.
pub(super) fn uncount(image: &ImageBytes, gone: &[Block]) -> Result<(), Unparsable> {
    let header = Header::read(image)?;
    let refcounts = RefcountTable::read(image, &header)?;
    let bits = header.cluster_bits;
    for (place, _) in gone.iter().flat_map(|block| &block.cleared) {
        let entry = number::<8>(&image.read("an L2 entry", *place, 8)?, 0);
        let clusters = match entry & COMPRESSED != 0 {
            // qcow2 specification, Compressed Clusters Descriptor: x = 62 - (cluster_bits - 8).
            true => {
                let shift = 62 - (bits - 8);
                let start = entry & ((1 << shift) - 1);
                let sectors = (entry & (COMPRESSED - 1)) >> shift;
                let last = (start / 512 + sectors) * 512 + 511;
                (start >> bits)..=(last >> bits)
            }
            false => {
                let cluster = (entry & OFFSET) >> bits;
                cluster..=cluster
            }
        };
        for cluster in clusters {
            let count = refcounts.refcount(image, cluster)?;
            refcounts.set_refcount(image, cluster, count.saturating_sub(1))?;
        }
    }
    Ok(())
}
