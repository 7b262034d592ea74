//! vdi, version 1.1: a header, a map of 32-bit entries, blocks in any order. Numbers are little-endian.

use super::space::Space;
use super::{Below, HostFile, WrittenLayer};
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::SECTOR_BYTES;
use crate::image::unusual_feature::Unusual;

const MIB: u64 = 1 << 20;
const SIGNATURE: u32 = 0xbeda_107f;
const VERSION: u32 = 0x0001_0001;
/// The lengths of the header from its own field on: QEMU's, and VirtualBox's with the last identifiers and the geometry of LBA.
const HEADER_SIZE: u32 = 0x180;
const LONG_HEADER_SIZE: u32 = 0x190;
/// Where the longer header tells the size of a sector once more.
const LBA_SECTOR: usize = 468;
/// Entries of blocks that have no place: never written, and zero.
const UNALLOCATED: u32 = u32::MAX;
const DISCARDED: u32 = u32::MAX - 1;

/// Returns the image.
pub(super) fn files(
    layer: &WrittenLayer,
    name: &str,
    below: Option<&Below>,
) -> Result<Vec<HostFile>, Unparsable> {
    if below.is_some() {
        return Err(Unparsable::new("a vdi tells no name of an image below"));
    }
    let guest = layer.guest(None, &layer.writes);
    let blocks = layer.size.div_ceil(layer.unit());
    let is_static = layer.options.r#static() == Some(true);
    let present: Vec<u64> = match is_static {
        true => (0..blocks).collect(),
        false => layer.touched().into_iter().collect(),
    };
    let has_mib = layer.has(Unusual::MapAtMib);
    let map_offset = if has_mib { MIB } else { SECTOR_BYTES };
    let map_bytes = (blocks * 4).next_multiple_of(SECTOR_BYTES);
    let data = match has_mib {
        true => (map_offset + map_bytes).next_multiple_of(MIB),
        false => map_offset + map_bytes,
    };
    let mut file = HostFile::new(name);
    let mut map = vec![0xff; map_bytes as usize];
    let mut set = |block: u64, entry: u32| {
        let place = block as usize * 4;
        map[place..place + 4].copy_from_slice(&entry.to_le_bytes());
    };
    for block in layer.zero_units().into_iter().filter(|_| !is_static) {
        set(block, DISCARDED);
    }
    for block in blocks..map_bytes / 4 {
        set(block, UNALLOCATED);
    }
    let order = Space::new(layer, 1).order(present);
    for (place, block) in (0_u32..).zip(&order) {
        set(*block, place);
        let start = block * layer.unit();
        let bytes = guest.bytes(start..start + layer.unit());
        file.put(data + u64::from(place) * layer.unit(), bytes);
    }
    file.put(map_offset, map);
    let places = [map_offset, data, blocks, order.len() as u64];
    file.put(0, header(layer, is_static, places));
    file.length = data + order.len() as u64 * layer.unit();
    Ok(vec![file])
}

/// The header. The places are the offsets of the map and of the data, and the numbers of blocks and of those that have a place.
fn header(
    layer: &WrittenLayer,
    is_static: bool,
    [map, data, blocks, present]: [u64; 4],
) -> Vec<u8> {
    let is_long = layer.has(Unusual::MapAtMib);
    let mut header = vec![0; SECTOR_BYTES as usize];
    let text: &[u8] = match is_long {
        true => b"<<< Oracle VM VirtualBox Disk Image >>>\n",
        false => b"<<< imgduel Virtual Disk Image >>>\n",
    };
    header[..text.len()].copy_from_slice(text);
    let size = if is_long {
        LONG_HEADER_SIZE
    } else {
        HEADER_SIZE
    };
    let words = [
        (64, SIGNATURE),
        (68, VERSION),
        (72, size),
        (76, if is_static { 2 } else { 1 }),
        (340, map as u32),
        (344, data as u32),
        (360, SECTOR_BYTES as u32),
        (376, layer.unit() as u32),
        (384, blocks as u32),
        (388, present as u32),
    ];
    // The geometry of LBA, which the longer header ends with: VirtualBox wants its sectors to have 512 bytes.
    let sector_of_lba = is_long.then_some((LBA_SECTOR, SECTOR_BYTES as u32));
    for (offset, word) in words.into_iter().chain(sector_of_lba) {
        header[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
    }
    header[368..376].copy_from_slice(&layer.size.to_le_bytes());
    // The identifiers of the image and of its last snapshot.
    header[392..408].fill(0x1e);
    header[408..424].fill(0x2e);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::format::Format;

    #[test]
    fn the_longer_header_tells_sectors_of_512_bytes_without_which_virtualbox_refuses_it() {
        let sector = |unusual: Vec<Unusual>| {
            let layer = WrittenLayer {
                unit_bits: 20,
                unusual,
                ..WrittenLayer::plain(Format::Vdi, 1 << 20)
            };
            let header = header(&layer, false, [MIB, 2 * MIB, 1, 0]);
            u32::from_le_bytes(header[LBA_SECTOR..][..4].try_into().expect("four bytes"))
        };
        assert_eq!(sector(vec![Unusual::MapAtMib]), 512);
        // The shorter header ends before.
        assert_eq!(sector(Vec::new()), 0);
    }
}
