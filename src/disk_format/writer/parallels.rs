//! parallels: docs/interop/parallels in QEMU. Numbers are little-endian.

use super::space::Space;
use super::{Below, HostFile, WrittenLayer};
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::SECTOR_BYTES;
use crate::image::unusual_feature::Unusual;

const HEADER_BYTES: u64 = 64;
/// `in_use` of an image that was closed.
const CLOSED: u32 = 0x312e_3276;
/// The clusters between the table and the data, where there is a gap.
const GAP_CLUSTERS: u64 = 3;

/// Returns the image.
pub(super) fn files(
    layer: &WrittenLayer,
    name: &str,
    below: Option<&Below>,
) -> Result<Vec<HostFile>, Unparsable> {
    if below.is_some() {
        return Err(Unparsable::new("a parallels image tells no image below"));
    }
    let guest = layer.guest(None, &layer.writes);
    let unit = layer.unit();
    let entries = layer.size.div_ceil(unit);
    let gap = match layer.has(Unusual::DataBehindGap) {
        true => GAP_CLUSTERS,
        false => 0,
    };
    let first = (HEADER_BYTES + entries * 4).div_ceil(unit) + gap;
    let is_old = layer.has(Unusual::OldMagic);
    let mut table = vec![0; entries as usize * 4];
    let mut file = HostFile::new(name);
    let mut space = Space::new(layer, 1);
    let order = space.order(layer.touched().into_iter().collect());
    let places = space.places(first, unit, &vec![1; order.len()]);
    for (cluster, place) in order.iter().zip(places) {
        // The older kind counts sectors, the newer one clusters.
        let number = if is_old {
            place * (unit / SECTOR_BYTES)
        } else {
            place
        };
        let number = u32::try_from(number)
            .map_err(|_| Unparsable::new("a place is beyond what a parallels image can tell"))?;
        let entry = *cluster as usize * 4;
        table[entry..entry + 4].copy_from_slice(&number.to_le_bytes());
        let start = cluster * unit;
        file.put(place * unit, guest.bytes(start..start + unit));
    }
    let magic: &[u8; 16] = match is_old {
        true => b"WithoutFreeSpace",
        false => b"WithouFreSpacExt",
    };
    let mut header = magic.to_vec();
    let sectors = layer.size / SECTOR_BYTES;
    let words = [
        2,
        16,
        (sectors / 16 / 63) as u32,
        (unit / SECTOR_BYTES) as u32,
        entries as u32,
    ];
    header.extend(words.into_iter().flat_map(u32::to_le_bytes));
    header.extend(sectors.to_le_bytes());
    header.extend(CLOSED.to_le_bytes());
    header.extend(((first * unit / SECTOR_BYTES) as u32).to_le_bytes());
    header.resize(HEADER_BYTES as usize, 0);
    header.extend(table);
    file.put(0, header);
    file.length = file.length.max(first * unit);
    Ok(vec![file])
}
