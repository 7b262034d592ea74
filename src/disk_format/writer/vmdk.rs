//! vmdk: VMware's Virtual Disk Format 5.0. One sparse file, one compressed stream, or a descriptor with extents of several kinds.

mod cowd;
mod descriptor;
mod sparse;
mod stream;

use std::ops::Range;

use super::{Below, Guest, HostFile, WrittenLayer};
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::SECTOR_BYTES;
use crate::image::options::Subformat;
use crate::image::unusual_feature::Unusual;
use descriptor::{Access, Extent, Kind};

/// Returns the image's file and those of its extents.
pub(super) fn files(
    layer: &WrittenLayer,
    name: &str,
    below: Option<&Below>,
) -> Result<Vec<HostFile>, Unparsable> {
    let guest = layer.guest(below.map(|below| &below.guest), &layer.writes);
    match layer.options.subformat() {
        None | Some(Subformat::MonolithicSparse) => {
            let whole = 0..layer.size;
            let own = Extent::whole(layer.size, Kind::Sparse, name);
            let text = descriptor::text(layer, "monolithicSparse", &[own], below);
            let file = sparse::file(layer, &guest, whole, name, Some(text))?;
            Ok(vec![file])
        }
        Some(Subformat::StreamOptimized) => {
            let own = Extent::whole(layer.size, Kind::Sparse, name);
            let text = descriptor::text(layer, "streamOptimized", &[own], below);
            Ok(vec![stream::file(layer, &guest, name, &text)?])
        }
        Some(subformat) => split(layer, subformat, &guest, name, below),
    }
}

/// Returns the range of the guest's addresses that an extent of zeros shows, if the image has one.
pub(super) fn zeros(layer: &WrittenLayer) -> Option<Range<u64>> {
    let has_extents = !matches!(
        layer.options.subformat(),
        None | Some(Subformat::MonolithicSparse | Subformat::StreamOptimized)
    );
    let ranges = ranges(layer);
    // With fewer, no other extent might be left.
    let index = ranges.len().checked_sub(2).filter(|index| *index > 0)?;
    (has_extents && layer.has(Unusual::ZeroExtent)).then(|| ranges[index].clone())
}

/// The parts of the guest's addresses that have an extent each.
fn ranges(layer: &WrittenLayer) -> Vec<Range<u64>> {
    let features = [
        Unusual::SeveralExtents,
        Unusual::ZeroExtent,
        Unusual::ReadOnlyExtent,
        Unusual::FlatRanges,
    ];
    let count = match features.iter().any(|feature| layer.has(*feature)) {
        true => 3,
        false => 1,
    };
    // A sparse extent ends with a whole grain, all but the last one.
    let step = (layer.size / count / layer.unit()).max(1) * layer.unit();
    let mut ranges = Vec::new();
    let mut start = 0;
    for index in 0..count {
        let is_last = index + 1 == count;
        let end = if is_last {
            layer.size
        } else {
            (start + step).min(layer.size)
        };
        if start < end {
            ranges.push(start..end);
        }
        start = end;
    }
    ranges
}

fn split(
    layer: &WrittenLayer,
    subformat: Subformat,
    guest: &Guest,
    name: &str,
    below: Option<&Below>,
) -> Result<Vec<HostFile>, Unparsable> {
    let stem = name.strip_suffix(".vmdk").unwrap_or(name);
    let is_sparse = subformat == Subformat::TwoGbMaxExtentSparse;
    let kind = match (is_sparse, layer) {
        (true, layer) if layer.has(Unusual::Cowd) => Kind::Cowd,
        (true, _) => Kind::Sparse,
        (false, layer) if layer.has(Unusual::Vmfs) => Kind::Vmfs,
        (false, _) => Kind::Flat,
    };
    let letter = if is_sparse { 's' } else { 'f' };
    let zeros = zeros(layer);
    // Only a line of a flat extent tells an offset.
    let one_file = layer.has(Unusual::FlatRanges) && kind == Kind::Flat;
    let mut one = HostFile::new(format!("{stem}-flat.vmdk"));
    let mut next = FLAT_START_SECTORS * SECTOR_BYTES;
    let (mut extents, mut files) = (Vec::new(), Vec::new());
    let ranges = ranges(layer);
    for (index, range) in ranges.iter().enumerate() {
        let file = format!("{stem}-{letter}{:03}.vmdk", index + 1);
        let length = range.end - range.start;
        let mut extent = Extent::whole(length, kind, &file);
        if zeros.as_ref() == Some(range) {
            extent.kind = Kind::Zero;
        } else if one_file {
            extent = Extent::whole(length, kind, &one.name);
            extent.offset = next / SECTOR_BYTES;
            put_flat(guest, range, next, &mut one);
            next += length + FLAT_GAP_SECTORS * SECTOR_BYTES;
        } else {
            files.push(match kind {
                Kind::Sparse => sparse::file(layer, guest, range.clone(), &file, None)?,
                Kind::Cowd => cowd::file(layer, guest, range.clone(), &file)?,
                _ => {
                    let mut flat = HostFile::new(&file);
                    put_flat(guest, range, 0, &mut flat);
                    flat.length = length;
                    flat
                }
            });
        }
        if layer.has(Unusual::ReadOnlyExtent) && index > 0 && index + 1 == ranges.len() {
            extent.access = Access::ReadOnly;
        }
        extents.push(extent);
    }
    one.length = one.length.max(next);
    files.extend(one_file.then_some(one));
    let kind = match kind {
        Kind::Vmfs => "vmfs".to_owned(),
        Kind::Cowd => "vmfsSparse".to_owned(),
        _ => subformat.to_string(),
    };
    let mut own = HostFile::new(name);
    own.put(0, descriptor::text(layer, &kind, &extents, below));
    files.insert(0, own);
    Ok(files)
}

/// Where the first range of a file begins, and the space between two.
const FLAT_START_SECTORS: u64 = 9;
const FLAT_GAP_SECTORS: u64 = 5;

fn put_flat(guest: &Guest, range: &Range<u64>, place: u64, file: &mut HostFile) {
    const PIECE_BYTES: u64 = 64 << 10;
    for start in range.clone().step_by(PIECE_BYTES as usize) {
        let end = (start + PIECE_BYTES).min(range.end);
        if !guest.is_zero(start..end) {
            file.put(place + start - range.start, guest.bytes(start..end));
        }
    }
}

/// Returns the grains within a range that have data, by their number within it.
fn grains(layer: &WrittenLayer, range: &Range<u64>) -> Vec<u64> {
    let touched = layer.touched();
    let first = range.start / layer.unit();
    let count = (range.end - range.start).div_ceil(layer.unit());
    let within = touched.range(first..first + count);
    within.map(|grain| grain - first).collect()
}

/// Returns the bytes of a grain within a range; a guest sees none beyond its end.
fn grain(layer: &WrittenLayer, guest: &Guest, range: &Range<u64>, grain: u64) -> Vec<u8> {
    let start = range.start + grain * layer.unit();
    let mut bytes = guest.bytes(start..(start + layer.unit()).min(range.end));
    bytes.resize(layer.unit() as usize, 0);
    bytes
}
