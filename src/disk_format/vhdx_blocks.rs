//! Where a vhdx has its table of blocks: [MS-VHDX] 2.2.3, 2.5 and 2.6.

use super::qcow2::{ImageBytes, Unparsable};
use super::skeleton::little;

const KIB: u64 = 1024;
const REGION_TABLE: u64 = 192 * KIB;

/// The first bytes of the GUIDs of the regions (2.2.3.2) and of the items of metadata (2.6.2).
const BAT: u64 = 0x2dc2_7766;
const METADATA: u64 = 0x8b7c_a206;
const FILE_PARAMETERS: u64 = 0xcaa1_6737;
const DISK_SIZE: u64 = 0x2fa5_4224;

/// The table of blocks.
pub(super) struct Table {
    /// Its offset in the file.
    pub(super) place: u64,
    /// The number of its entries.
    pub(super) entries: u64,
    /// How many payload blocks stand before an entry of a sector bitmap.
    pub(super) ratio: u64,
    /// The size of a block in bytes.
    pub(super) block: u64,
    /// The size of the disk in bytes, and the offset of the item that has it.
    pub(super) size: u64,
    pub(super) size_place: u64,
}

/// Finds the table.
pub(super) fn table(image: &ImageBytes) -> Result<Table, Unparsable> {
    let regions = image.read("the region table", REGION_TABLE, 64 * KIB)?;
    let count = little::<4>(&regions, 8).min(2047) as usize;
    let region = |wanted| {
        let entries = (0..count).map(|index| &regions[16 + index * 32..][..32]);
        let mut known = entries.filter(|entry| little::<4>(entry, 0) == wanted);
        known.next().map(|entry| little::<8>(entry, 16))
    };
    let missing = || Unparsable::new("a region is missing");
    let (place, metadata) = (
        region(BAT).ok_or_else(missing)?,
        region(METADATA).ok_or_else(missing)?,
    );
    let items = image.read("the metadata table", metadata, 64 * KIB)?;
    let count = little::<2>(&items, 10).min(2047) as usize;
    let (mut size, mut size_place, mut block) = (0, 0, 0);
    for entry in (0..count).map(|index| &items[32 + index * 32..][..32]) {
        let item = metadata.saturating_add(little::<4>(entry, 16));
        let value = image.read("an item of metadata", item, 8)?;
        match little::<4>(entry, 0) {
            FILE_PARAMETERS => block = little::<4>(&value, 0),
            DISK_SIZE => (size, size_place) = (little::<8>(&value, 0), item),
            _ => {}
        }
    }
    if block == 0 {
        return Err(Unparsable::new("the size of a block is not known"));
    }
    let blocks = size.div_ceil(block);
    let ratio = ((1 << 23) * 512 / block).max(1);
    Ok(Table {
        place,
        entries: blocks + blocks.saturating_sub(1) / ratio,
        ratio,
        block,
        size,
        size_place,
    })
}

/// Whether every entry that has a place is of a payload block that is fully present (2.5.1.1).
pub(super) fn is_plain(image: &ImageBytes) -> Result<bool, Unparsable> {
    let table = table(image)?;
    let bytes = image.read("the table of blocks", table.place, table.entries * 8)?;
    let mut entries = bytes.chunks(8).map(|entry| little::<8>(entry, 0));
    Ok(entries.all(|entry| entry >> 20 == 0 || entry & 7 == 6))
}
