//! Less structure: a smaller disk, fewer snapshots, extents and header extensions, no unused space at the end of the file.
//!
//! The shrinker of images from outside asks it, beside [`block_removal`](crate::disk_format::block_removal), which takes blocks of data away. Each step leaves a valid image: fields that
//! follow from others, checksums and refcounts are made anew. Whether the image then shows the same is not known here.

use std::fmt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::plain::block_file::vpc::checksum;
use super::qcow2::{ImageBytes, Unparsable, number};
use super::skeleton::{self, little};
use super::{block_removal, vhdx_blocks};
use crate::base::prose::counted;
use crate::image::content::open_regular_to_change;
use crate::image::format::{Format, SECTOR_BYTES, vpc_geometry};

mod qcow2;
mod vmdk;

/// A step that takes structure away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trim {
    /// An internal snapshot goes, which is named by its id.
    Snapshot(String),
    /// A header extension goes, of this type and with this place in the file.
    Extension {
        /// Its type.
        kind: u64,
        /// Its offset in bytes.
        place: usize,
    },
    /// An extent goes, and what a guest sees in it: its index among the lines of the descriptor.
    Extent(usize),
    /// An extent becomes a part of the one before it: the index of the latter.
    Merge(usize),
    /// The disk gets this size in bytes.
    Size(u64),
    /// The file ends behind what is used of it: by so many bytes earlier.
    Tail(u64),
}

impl fmt::Display for Trim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(id) => write!(formatter, "without snapshot {id}"),
            Self::Extension { kind, .. } => write!(formatter, "without header extension {kind:#x}"),
            Self::Extent(index) => write!(formatter, "without extent {index}"),
            Self::Merge(index) => {
                write!(formatter, "extents {index} and {} in one", index + 1)
            }
            Self::Size(bytes) => write!(formatter, "a disk of {bytes} bytes"),
            Self::Tail(bytes) => {
                let bytes = counted(*bytes, "byte");
                write!(formatter, "{bytes} cut from the end of the file")
            }
        }
    }
}

/// Returns the steps that are possible now, those that allow others first. What cannot be parsed has none.
pub fn steps(path: &Path, format: Format) -> Vec<Trim> {
    let steps = match format {
        Format::Qcow2 => qcow2::steps(path),
        Format::Vmdk => vmdk::steps(path),
        _ => Ok(Vec::new()),
    };
    let mut steps = steps.unwrap_or_default();
    let has_snapshots = steps.iter().any(|step| matches!(step, Trim::Snapshot(_)));
    if !has_snapshots {
        steps.extend(size(path, format).ok().flatten());
    }
    steps.extend(tail(path, format).ok().flatten().map(|(step, _)| step));
    steps
}

/// Takes a step. Fails where the image is not as it was when the steps were listed.
pub fn take(path: &Path, format: Format, step: &Trim) -> Result<(), Unparsable> {
    match (step, format) {
        (Trim::Snapshot(id), _) => qcow2::remove_snapshot(path, id),
        (Trim::Extension { place, .. }, _) => qcow2::remove_extension(path, *place),
        (Trim::Extent(index), _) => vmdk::remove(path, *index),
        (Trim::Merge(index), _) => vmdk::merge(path, *index),
        (Trim::Size(bytes), Format::Vmdk) => vmdk::resize(path, *bytes),
        (Trim::Size(bytes), _) => resize(path, format, *bytes),
        (Trim::Tail(_), _) => cut(path, format),
    }
}

/// The smallest disk that has all blocks with data, if that is smaller than it is now.
fn size(path: &Path, format: Format) -> Result<Option<Trim>, Unparsable> {
    let Some((now, unit)) = size_and_unit(path, format)? else {
        return Ok(None);
    };
    let blocks = block_removal::blocks(path, format)?;
    let ends = blocks.iter().map(block_removal::Block::guest_end);
    let needed = ends.max().unwrap_or(unit).max(SECTOR_BYTES);
    let wanted = format.created_size(needed);
    Ok((wanted < now).then_some(Trim::Size(wanted)))
}

/// The size of a block of data in bytes, where that is known here and a power of two.
pub fn unit(path: &Path, format: Format) -> Option<u64> {
    let (_, unit) = size_and_unit(path, format).ok()??;
    (unit.is_power_of_two() && format != Format::Vpc).then_some(unit)
}

/// The size of the disk, and that of a block; `None` where the size is not changed here.
fn size_and_unit(path: &Path, format: Format) -> Result<Option<(u64, u64)>, Unparsable> {
    let image = ImageBytes::open_to_read(path)?;
    Ok(match format {
        Format::Qcow2 => qcow2::size_and_unit(&image)?,
        Format::Vmdk => vmdk::size_and_unit(&image)?,
        Format::Vdi => {
            let header = image.read("the header", 0, SECTOR_BYTES)?;
            Some((little::<8>(&header, 368), little::<4>(&header, 376)))
        }
        Format::Vhdx if !has_log(&image)? => {
            let table = vhdx_blocks::table(&image)?;
            Some((table.size, table.block))
        }
        Format::Vpc => {
            let last = image.length().saturating_sub(SECTOR_BYTES);
            let footer = image.read("the footer", last, SECTOR_BYTES)?;
            let is_dynamic = number::<4>(&footer, 60) == 3;
            // Without blocks of data, any size will do.
            is_dynamic.then(|| (number::<8>(&footer, 48), SECTOR_BYTES))
        }
        _ => None,
    })
}

/// [MS-VHDX] 2.2.2: whether a log waits, in one of the headers.
fn has_log(image: &ImageBytes) -> Result<bool, Unparsable> {
    for header in [64 << 10, 128 << 10] {
        let guid = image.read("a log's GUID", header + 48, 16)?;
        if guid.iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn resize(path: &Path, format: Format, size: u64) -> Result<(), Unparsable> {
    let image = ImageBytes::open_to_read(path)?;
    let file = open_regular_to_change(path)?;
    match format {
        Format::Qcow2 => file.write_all_at(&size.to_be_bytes(), 24)?,
        Format::Vdi => {
            let block = little::<4>(&image.read("the header", 0, SECTOR_BYTES)?, 376).max(1);
            file.write_all_at(&size.to_le_bytes(), 368)?;
            file.write_all_at(&(size.div_ceil(block) as u32).to_le_bytes(), 384)?;
        }
        Format::Vhdx => {
            let table = vhdx_blocks::table(&image)?;
            file.write_all_at(&size.to_le_bytes(), table.size_place)?;
        }
        Format::Vpc => {
            let last = image.length().saturating_sub(SECTOR_BYTES);
            let mut footer = image.read("the footer", last, SECTOR_BYTES)?;
            let place = number::<8>(&footer, 16);
            let mut header = image.read("the dynamic header", place, 1024)?;
            let block = number::<4>(&header, 32).max(1);
            let (cylinders, heads, track) = vpc_geometry(size / SECTOR_BYTES);
            footer[40..48].copy_from_slice(&size.to_be_bytes());
            footer[48..56].copy_from_slice(&size.to_be_bytes());
            footer[56..58].copy_from_slice(&(cylinders as u16).to_be_bytes());
            footer[58..60].copy_from_slice(&[heads as u8, track as u8]);
            header[28..32].copy_from_slice(&(size.div_ceil(block) as u32).to_be_bytes());
            seal(&mut footer, 64);
            seal(&mut header, 36);
            file.write_all_at(&header, place)?;
            for place in [0, last] {
                file.write_all_at(&footer, place)?;
            }
        }
        other => return Err(Unparsable::new(format!("a size of {other}"))),
    }
    Ok(())
}

/// Virtual Hard Disk Image Format Specification: the checksum of a structure, which has it at `place`.
fn seal(structure: &mut [u8], place: usize) {
    structure[place..place + 4].fill(0);
    let sum = checksum(structure);
    structure[place..place + 4].copy_from_slice(&sum.to_be_bytes());
}

/// The step that cuts what is behind the last used byte, and where that ends.
fn tail(path: &Path, format: Format) -> Result<Option<(Trim, u64)>, Unparsable> {
    let image = ImageBytes::open_to_read(path)?;
    let used = match format {
        Format::Qcow2 => Some(qcow2::used(&image)?),
        Format::Vhdx if !vhdx_blocks::is_plain(&image).unwrap_or(false) => None,
        Format::Vmdk | Format::Vpc | Format::Vhdx | Format::Vdi => {
            used_by_blocks(path, format, image.length())?
        }
        _ => None,
    };
    let (unit, footer) = match format {
        Format::Vhdx => (1 << 20, 0),
        Format::Vpc => (SECTOR_BYTES, SECTOR_BYTES),
        _ => (SECTOR_BYTES, 0),
    };
    let end = used.map(|used| used.next_multiple_of(unit) + footer);
    let shorter = end.filter(|end| *end < image.length());
    Ok(shorter.map(|end| (Trim::Tail(image.length() - end), end)))
}

/// The end of the last structure or block of data in an image of that length, or nothing where only its first sector is used. The footer of a vpc, which
/// moves with the end of the file, does not count.
fn used_by_blocks(path: &Path, format: Format, length: u64) -> Result<Option<u64>, Unparsable> {
    let last = length.saturating_sub(SECTOR_BYTES);
    let structures = skeleton::of_image(path, format)?
        .into_iter()
        .filter(|range| format != Format::Vpc || range.start < last)
        .map(|range| range.end);
    let blocks = block_removal::blocks(path, format)?;
    let blocks = blocks.iter().map(|block| block.place().end);
    let used = structures.chain(blocks).max();
    Ok(used.filter(|used| *used > SECTOR_BYTES))
}

fn cut(path: &Path, format: Format) -> Result<(), Unparsable> {
    let Some((_, end)) = tail(path, format)? else {
        return Err(Unparsable::new("nothing behind it is unused"));
    };
    let image = ImageBytes::open_to_read(path)?;
    let file = open_regular_to_change(path)?;
    if format == Format::Vpc {
        let last = image.length().saturating_sub(SECTOR_BYTES);
        let footer = image.read("the footer", last, SECTOR_BYTES)?;
        file.write_all_at(&footer, end - SECTOR_BYTES)?;
    }
    Ok(file.set_len(end)?)
}
