//! Requests that bring guest data from one image into another.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use super::changes::{create, open, word};
use super::{Done, no};
use crate::disk_format::plain::Volume;
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::{BLOCK_BYTES, is_zero};
use crate::image::format::SECTOR_BYTES;
use crate::tool::request::{ImageFile, Request, dd_range};

/// How much is copied at once, in bytes: whole clusters.
const PIECE_BYTES: usize = 2 << 20;

pub(super) fn answered(
    request: &Request,
    directory: &Path,
    takes_space: bool,
) -> Result<Done, Unparsable> {
    match request {
        Request::Convert {
            source,
            target,
            compress,
            ..
        } => {
            let from = open(source, directory)?;
            copy(&from, 0..from.size, target, *compress, directory)?;
        }
        Request::ConvertSnapshot {
            source,
            target,
            compress,
            snapshot,
        } => {
            let image = open(source, directory)?;
            let from = image.at_snapshot(word(snapshot))?;
            // The snapshot is read in the size of the image, as qemu-img does.
            copy(&from, 0..image.size, target, *compress, directory)?;
        }
        Request::Dd {
            source,
            target,
            block_size,
            count,
            skip,
        } => {
            let from = open(source, directory)?;
            let (start, length) = dd_range(from.size, *block_size, *count, *skip);
            copy_blocks(&from, start..start + length, target, takes_space, directory)?;
        }
        Request::Rebase {
            file,
            new_backing,
            mode,
        } => {
            let format = mode.backing_format;
            let new = new_backing
                .as_ref()
                .map(|name| (name.clone(), format.map(|format| format.to_string())));
            rebase(file, new, mode.is_unsafe, directory)?;
        }
        Request::Commit { file, .. } => commit(file, directory)?,
        other => return Err(no(other)),
    }
    Ok(Done::default())
}

/// Copies a guest range into a new image; blocks of zeros stay unallocated.
fn copy(
    from: &Volume,
    range: Range<u64>,
    target: &ImageFile,
    packs: bool,
    directory: &Path,
) -> Result<(), Unparsable> {
    let length = (range.end - range.start).next_multiple_of(SECTOR_BYTES);
    let mut to = create(target, length, directory)?;
    from.each_piece(|offset, bytes| {
        for (index, block) in bytes.chunks(BLOCK_BYTES as usize).enumerate() {
            let start = offset + index as u64 * BLOCK_BYTES;
            let (first, last) = (
                start.max(range.start),
                (start + block.len() as u64).min(range.end),
            );
            if first >= last {
                continue;
            }
            let part = &block[(first - start) as usize..(last - start) as usize];
            if !is_zero(part) {
                to.write(first - range.start, part)?;
            }
        }
        Ok(())
    })?;
    to.save(packs)
}

/// Copies a guest range into a new image, zeros included, which take space if `takes_space`.
fn copy_blocks(
    from: &Volume,
    range: Range<u64>,
    target: &ImageFile,
    takes_space: bool,
    directory: &Path,
) -> Result<(), Unparsable> {
    let length = (range.end - range.start).next_multiple_of(SECTOR_BYTES);
    let mut to = create(target, length, directory)?;
    let mut bytes = vec![0; PIECE_BYTES];
    let mapped_ranges = from.read_ranges()?;
    let past = std::iter::once((range.start.max(from.size), range.end, true));
    let parts = mapped_ranges.iter().map(|mapped| {
        let (start, end) = (mapped.start.max(range.start), mapped.end.min(range.end));
        (start, end, mapped.zero)
    });
    for (start, end, is_zero) in parts.chain(past) {
        let mut place = start;
        while place < end {
            let length = end - place;
            if is_zero && !takes_space {
                to.reserve(place - range.start, length)?;
                break;
            }
            let part = &mut bytes[..(length as usize).min(PIECE_BYTES)];
            from.read(place, part)?;
            to.write(place - range.start, part)?;
            place += part.len() as u64;
        }
    }
    to.save(false)
}

/// Puts an overlay onto another image, or onto none, so that a guest sees the same.
fn rebase(
    file: &ImageFile,
    new: Option<(String, Option<String>)>,
    is_unsafe: bool,
    directory: &Path,
) -> Result<(), Unparsable> {
    let old = open(file, directory)?;
    let mut overlay = old.clone();
    let image = overlay.qcow2()?;
    let cluster_size = image.cluster_size();
    image.backing = new;
    let empty = Volume::new_qcow2(&directory.join(&file.path), image.clone(), old.size)?;
    overlay.below = empty.below;
    if !is_unsafe {
        let mut seen = BTreeSet::new();
        for volume in [&old, &overlay] {
            let mapped_ranges = volume.mapped_ranges()?;
            let shown = mapped_ranges.iter().filter(|mapped| !mapped.zero);
            for mapped in shown {
                let clusters = mapped.start / cluster_size..mapped.end.div_ceil(cluster_size);
                seen.extend(clusters);
            }
        }
        let [mut before, mut after] = [(); 2].map(|()| vec![0; cluster_size as usize]);
        for guest in seen {
            old.read(guest * cluster_size, &mut before)?;
            overlay.read(guest * cluster_size, &mut after)?;
            if before == after {
                continue;
            }
            let length = cluster_size.min(old.size - guest * cluster_size);
            if is_zero(&before) {
                overlay.zero(guest * cluster_size, length, false)?;
            } else {
                overlay.write(guest * cluster_size, &before[..length as usize])?;
            }
        }
    }
    overlay.save(false)
}

/// Merges an overlay into the image below it, and empties it.
fn commit(file: &ImageFile, directory: &Path) -> Result<(), Unparsable> {
    let mut overlay = open(file, directory)?;
    let below = overlay.below.take();
    let mut below = below.ok_or_else(|| Unparsable::new("Image does not have a backing file"))?;
    if below.size < overlay.size {
        below.resize(overlay.size)?;
    }
    let size = overlay.size;
    let image = overlay.qcow2()?;
    let cluster_size = image.cluster_size();
    let clusters = std::mem::take(&mut image.map.clusters);
    let written = image.map.data_segments()?;
    for (guest, cluster) in &clusters {
        let offset = guest * cluster_size;
        if offset >= size {
            continue;
        }
        let length = cluster_size.min(size - offset);
        // What was never written to is merged as zeros, as qemu-img does, and takes no space below.
        if !cluster.has_data(cluster_size, &written) {
            below.zero(offset, length, false)?;
            continue;
        }
        let bytes = overlay.qcow2()?.map.read_whole(cluster, &written)?;
        below.write(offset, &bytes[..length as usize])?;
    }
    below.save(false)?;
    overlay.save(false)
}
