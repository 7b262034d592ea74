//! vdi, version 1.1, as QEMU's block/vdi.c writes it: a header, a map of 32-bit entries, blocks of 1 MiB. Numbers are little-endian.

use std::collections::BTreeSet;
use std::fs::File;

use super::{Kind, Plan, Table, put, read, word};
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::SECTOR_BYTES;
use crate::image::options::CreateOptions;

/// The size of a block.
pub(super) const BLOCK_BYTES: u64 = 1 << 20;
const TEXT: &[u8] = b"<<< QEMU VM Virtual Disk Image >>>\n";
const SIGNATURE: u32 = 0xbeda_107f;
const VERSION: u32 = 0x0001_0001;
/// The length of the header from its own field on.
const HEADER_SIZE: u32 = 0x180;
/// The offset of the block map.
const MAP: u64 = 512;
/// Entries of blocks that have no place: never written, and zero.
const UNALLOCATED: u32 = u32::MAX;
const DISCARDED: u32 = u32::MAX - 1;

/// What the options of a vdi say.
#[derive(Clone, Debug)]
pub(super) struct Vdi {
    /// Whether it has its full length from the start.
    pub(super) is_static: bool,
}

impl Vdi {
    pub(super) fn with_options(options: &CreateOptions) -> Self {
        Self {
            is_static: options.r#static() == Some(true) || options.preallocates(),
        }
    }

    pub(super) fn plan(&self, size: u64, present: &BTreeSet<u64>) -> Result<Plan, Unparsable> {
        let blocks = size.div_ceil(BLOCK_BYTES);
        if blocks >= u64::from(DISCARDED) {
            return Err(Unparsable::new("a vdi has no more than 2^32 - 2 blocks"));
        }
        let data = MAP + (blocks * 4).next_multiple_of(SECTOR_BYTES);
        let mut map = vec![0xff; (blocks * 4) as usize];
        let mut plan = Plan::default();
        for (place, block) in (0_u32..).zip(present) {
            put(&mut map, (block * 4) as usize, &place.to_le_bytes());
            let offset = data + u64::from(place) * BLOCK_BYTES;
            plan.offsets.insert(*block, offset);
        }
        let mut header = vec![0; MAP as usize];
        put(&mut header, 0, TEXT);
        let kind: u32 = if self.is_static { 2 } else { 1 };
        let words = [
            (64, SIGNATURE),
            (68, VERSION),
            (72, HEADER_SIZE),
            (76, kind),
            (340, MAP as u32),
            (344, data as u32),
            (360, SECTOR_BYTES as u32),
            (376, BLOCK_BYTES as u32),
            (384, blocks as u32),
            (388, present.len() as u32),
        ];
        for (offset, word) in words {
            put(&mut header, offset, &word.to_le_bytes());
        }
        put(&mut header, 368, &size.to_le_bytes());
        // The identifiers of the image and of its last snapshot.
        put(&mut header, 392, &[0x1d; 16]);
        put(&mut header, 408, &[0x2d; 16]);
        plan.length = data + present.len() as u64 * BLOCK_BYTES;
        plan.written = vec![(0, header), (MAP, map)];
        Ok(plan)
    }
}

/// Reads the header and the block map.
pub(super) fn table(file: &File) -> Result<Table, Unparsable> {
    let header = read(file, 0, MAP)?;
    let word = |offset| word::<4>(&header, offset);
    if word(64) != u64::from(SIGNATURE) || word(68) != u64::from(VERSION) {
        return Err(Unparsable::new("the file is no vdi of version 1.1"));
    }
    if word(376) != BLOCK_BYTES || word(380) != 0 {
        return Err(Unparsable::new("a vdi with blocks of another size"));
    }
    if !matches!(word(76), 1 | 2) {
        return Err(Unparsable::new(format!("a vdi of type {}", word(76))));
    }
    let map = read(file, word(340), word(384) * 4)?;
    let blocks = (0..).zip(map.chunks_exact(4)).filter_map(|(block, entry)| {
        let entry = u32::from_le_bytes(entry.try_into().unwrap_or_default());
        let offset = word(344) + u64::from(entry) * BLOCK_BYTES;
        match entry {
            UNALLOCATED => None,
            DISCARDED => Some((block, None)),
            _ => Some((block, Some(offset))),
        }
    });
    Ok(Table {
        kind: Kind::Vdi(Vdi {
            is_static: word(76) == 2,
        }),
        size: word(368) | word(372) << 32,
        blocks: blocks.collect(),
    })
}
