//! The structure of a qcow2: the header's cluster, tables of both levels, refcounts, snapshots, bitmaps.

use super::{Walk, mixed};
use crate::disk_format::qcow2::extensions::Extensions;
use crate::disk_format::qcow2::header::Header;
use crate::disk_format::qcow2::refcounts::RefcountTable;
use crate::disk_format::qcow2::snapshot_table;
use crate::disk_format::qcow2::{Unparsable, number};

/// Bits 9-55 of an entry of either level: the offset.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// Bit 62 of an L2 entry: a compressed cluster.
const COMPRESSED: u64 = 1 << 62;

/// Bits 9-55 of a bitmap table's entry: the offset of a cluster of the bitmap.
const BITMAP_OFFSET: u64 = OFFSET;

pub(super) fn walk(walk: &mut Walk) -> Result<(), Unparsable> {
    let header = Header::read(&walk.image)?;
    let parts = Extensions::read(&walk.image, &header)?;
    if parts.is_encrypted() {
        return Err(mixed("encrypted"));
    }
    let cluster = header.cluster_size();
    walk.add(0, cluster);
    let entry_bytes = header.l2_entry_bytes();
    tables(
        walk,
        header.l1_table_offset,
        u64::from(header.l1_size),
        cluster,
        entry_bytes,
    )?;
    let refcounts = u64::from(header.refcount_table_clusters) * cluster;
    walk.add(header.refcount_table_offset, refcounts);
    let blocks = RefcountTable::read(&walk.image, &header)?;
    blocks.blocks().for_each(|block| walk.add(block, cluster));
    for entry in snapshot_table::entries(&walk.image, &header)? {
        walk.add(entry.offset, entry.length);
        let bytes = walk.image.read("a snapshot", entry.offset, 12)?;
        let (l1, count) = (number::<8>(&bytes, 0), number::<4>(&bytes, 8));
        tables(walk, l1, count, cluster, entry_bytes)?;
    }
    bitmaps(walk, &parts, cluster)
}

/// An L1 table and the L2 tables that it names.
fn tables(
    walk: &mut Walk,
    l1: u64,
    count: u64,
    cluster: u64,
    bytes: u64,
) -> Result<(), Unparsable> {
    let l1 = walk.table("an L1 table", l1, count, 8)?;
    for offset in l1.chunks(8).map(|entry| number::<8>(entry, 0) & OFFSET) {
        if offset == 0 || offset >= walk.image.length() {
            continue;
        }
        let table = walk.read("an L2 table", offset, cluster)?;
        let entries = table
            .chunks(bytes as usize)
            .map(|entry| number::<8>(entry, 0));
        if entries.into_iter().any(|entry| entry & COMPRESSED != 0) {
            return Err(mixed("compressed"));
        }
    }
    Ok(())
}

/// The directory of bitmaps, their tables, and the bitmaps themselves, which say where a guest wrote and not what.
fn bitmaps(walk: &mut Walk, parts: &Extensions, cluster: u64) -> Result<(), Unparsable> {
    let Some((offset, length)) = parts.bitmap_directory() else {
        return Ok(());
    };
    let directory = walk.read("the bitmap directory", offset, length)?;
    let mut place = 0;
    while place + 24 <= directory.len() {
        let (table, entries) = (
            number::<8>(&directory, place),
            number::<4>(&directory, place + 8),
        );
        let table = walk.table("a bitmap table", table, entries, 8)?;
        for entry in table
            .chunks(8)
            .map(|entry| number::<8>(entry, 0) & BITMAP_OFFSET)
        {
            walk.add(entry, if entry == 0 { 0 } else { cluster });
        }
        let [name, more] = [
            number::<2>(&directory, place + 18),
            number::<4>(&directory, place + 20),
        ];
        place += ((24 + name + more) as usize).next_multiple_of(8);
    }
    Ok(())
}
