//! Less structure of a qcow2: its snapshots and header extensions.

use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Trim;
use crate::disk_format::plain::Volume;
use crate::disk_format::qcow2::extensions::{
    BACKING_FORMAT, BITMAPS, DATA_FILE, ENCRYPTION, Extensions,
};
use crate::disk_format::qcow2::header::Header;
use crate::disk_format::qcow2::refcounts::RefcountTable;
use crate::disk_format::qcow2::snapshot_table;
use crate::disk_format::qcow2::{ImageBytes, Unparsable, number};
use crate::image::content::open_regular_to_change;
use crate::image::format::Format;

/// The extensions without which the image is another one: the format of the backing file, bitmaps, the header of the encryption, the name of the data file.
const NEEDED: [u64; 4] = [BACKING_FORMAT, BITMAPS, ENCRYPTION, DATA_FILE];

pub(super) fn steps(path: &Path) -> Result<Vec<Trim>, Unparsable> {
    let image = ImageBytes::open_to_read(path)?;
    let header = Header::read(&image)?;
    let entries = snapshot_table::entries(&image, &header)?;
    let ids = entries
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.id_str).into_owned());
    let snapshots = ids.map(Trim::Snapshot);
    let found = extensions(&image, &header)?;
    let found = found
        .into_iter()
        .filter(|(kind, ..)| !NEEDED.contains(kind));
    let extensions = found.map(|(kind, place, _)| Trim::Extension { kind, place });
    // The model, which lays the image out without a snapshot, writes no extension that it does not know.
    Ok(extensions.chain(snapshots).collect())
}

/// The model lays the image out without it; guest data stays where it is.
pub(super) fn remove_snapshot(path: &Path, id: &str) -> Result<(), Unparsable> {
    let mut volume = Volume::open(path, Format::Qcow2)?;
    let snapshots = &mut volume.qcow2()?.snapshots;
    snapshots.retain(|snapshot| snapshot.id != id);
    volume.save(false)
}

/// qcow2 specification, Header extensions: type, offset and length of each, its own eight bytes included.
fn extensions(image: &ImageBytes, header: &Header) -> Result<Vec<(u64, usize, usize)>, Unparsable> {
    let first = image.read("the header", 0, header.cluster_size())?;
    let backing = number::<8>(&first, 8) as usize;
    let end = if backing == 0 {
        first.len()
    } else {
        backing.min(first.len())
    };
    let mut place = match header.version {
        2 => 72,
        _ => number::<4>(&first, 100) as usize,
    };
    let mut found = Vec::new();
    while place + 8 <= end {
        let (kind, length) = (number::<4>(&first, place), number::<4>(&first, place + 4));
        let whole = 8 + (length as usize).next_multiple_of(8);
        if kind == 0 || place + whole > end {
            break;
        }
        found.push((kind, place, whole));
        place += whole;
    }
    Ok(found)
}

/// Those behind it move up, and their end becomes zeros, which end the list.
pub(super) fn remove_extension(path: &Path, place: usize) -> Result<(), Unparsable> {
    let image = ImageBytes::open_to_read(path)?;
    let found = extensions(&image, &Header::read(&image)?)?;
    let gone = found.iter().find(|(_, start, _)| *start == place);
    let (_, start, length) = gone.ok_or_else(|| Unparsable::new("no extension is there"))?;
    let end = found.last().map_or(0, |(_, start, length)| start + length);
    let behind = (end - start - length) as u64;
    let mut bytes = image.read("the extensions", (start + length) as u64, behind)?;
    bytes.resize(end - start, 0);
    Ok(open_regular_to_change(path)?.write_all_at(&bytes, *start as u64)?)
}

/// The L1 table of a smaller disk may be longer than that needs. A bitmap must be as long as the disk, and stays with its size.
pub(super) fn size_and_unit(image: &ImageBytes) -> Result<Option<(u64, u64)>, Unparsable> {
    let header = Header::read(image)?;
    let parts = Extensions::read(image, &header)?;
    let is_bound = parts.bitmap_directory().is_some() || !parts.data_file().is_empty();
    Ok((!is_bound).then(|| (header.size, header.cluster_size())))
}

/// Where the last host cluster ends that is counted.
pub(super) fn used(image: &ImageBytes) -> Result<u64, Unparsable> {
    let header = Header::read(image)?;
    let mut last = 0;
    RefcountTable::read(image, &header)?.each_counted(image, |cluster, _| {
        last = last.max(cluster + 1);
        Ok(())
    })?;
    Ok(last * header.cluster_size())
}
