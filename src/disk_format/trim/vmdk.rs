//! Less structure of a vmdk: its extents, and the size of a single sparse one.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Trim;
use crate::disk_format::extent_line::ExtentLine;
use crate::disk_format::qcow2::{ImageBytes, Unparsable};
use crate::disk_format::skeleton::little;
use crate::image::content::{data_segments, each_piece, open_regular, open_regular_to_change};
use crate::image::format::SECTOR_BYTES;

/// The most bytes of a descriptor.
const DESCRIPTOR_BYTES_MAX: u64 = 1 << 20;

/// An extent of a descriptor.
struct Extent {
    /// The index of the line in the descriptor.
    line: usize,
    sectors: u64,
    is_flat: bool,
    /// Empty where it has no file.
    name: String,
    /// Where it begins in its file, in sectors.
    offset: u64,
}

/// The lines of a descriptor, each with its end.
struct Lines(Vec<Vec<u8>>);

impl Lines {
    /// Reads a file that is a descriptor and nothing else.
    fn read(path: &Path) -> Result<Self, Unparsable> {
        let image = ImageBytes::open_to_read(path)?;
        let text = match image.length() <= DESCRIPTOR_BYTES_MAX {
            true => image.read("the descriptor", 0, image.length())?,
            false => Vec::new(),
        };
        match text.starts_with(b"# Disk DescriptorFile") {
            true => Ok(Self::parsed(&text)),
            false => Err(Unparsable::new("it is no descriptor")),
        }
    }

    fn parsed(text: &[u8]) -> Self {
        Self(
            text.split_inclusive(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec)
                .collect(),
        )
    }

    fn extents(&self) -> Vec<Extent> {
        let lines = self.0.iter().enumerate();
        let extents = lines.filter_map(|(line, bytes)| {
            let text = String::from_utf8_lossy(bytes);
            let extent = ExtentLine::parsed(&text)?;
            let sectors = extent.sectors?;
            // What does not fit into bytes is no extent that could be merged or moved.
            let end = extent.offset.checked_add(sectors)?;
            end.checked_mul(SECTOR_BYTES)?;
            Some(Extent {
                line,
                sectors,
                is_flat: extent.kind == "FLAT",
                name: extent.file_name.unwrap_or_default().to_owned(),
                offset: extent.offset,
            })
        });
        extents.collect()
    }

    /// Gives an extent another number of sectors.
    fn set_sectors(&mut self, extent: &Extent, sectors: u64) {
        let text = String::from_utf8_lossy(&self.0[extent.line]).into_owned();
        let (was, is) = (format!(" {} ", extent.sectors), format!(" {sectors} "));
        self.0[extent.line] = text.replacen(&was, &is, 1).into_bytes();
    }

    fn write(&self, path: &Path) -> Result<(), Unparsable> {
        let text = self.0.concat();
        let file = open_regular_to_change(path)?;
        file.set_len(text.len() as u64)?;
        Ok(file.write_all_at(&text, 0)?)
    }
}

fn gone() -> Unparsable {
    Unparsable::new("the extent is not there")
}

pub(super) fn steps(path: &Path) -> Result<Vec<Trim>, Unparsable> {
    let extents = Lines::read(path)?.extents();
    if extents.len() < 2 {
        return Ok(Vec::new());
    }
    let fewer = (0..extents.len()).rev().map(Trim::Extent);
    let merged = (0..extents.len() - 1).filter(|index| joins(path, &extents, *index).is_ok());
    Ok(fewer.chain(merged.map(Trim::Merge)).collect())
}

pub(super) fn remove(path: &Path, index: usize) -> Result<(), Unparsable> {
    let mut lines = Lines::read(path)?;
    let extents = lines.extents();
    let extent = extents
        .get(index)
        .filter(|_| extents.len() > 1)
        .ok_or_else(gone)?;
    lines.0.remove(extent.line);
    lines.write(path)
}

/// The files of two extents that can be one: both flat, each alone in its file, the first one to the end of it.
fn joins(path: &Path, extents: &[Extent], index: usize) -> Result<[PathBuf; 2], Unparsable> {
    let (Some(first), Some(second)) = (extents.get(index), extents.get(index + 1)) else {
        return Err(gone());
    };
    let is_alone = |extent: &Extent| {
        let same = extents.iter().filter(|other| other.name == extent.name);
        extent.is_flat && !extent.name.contains('/') && same.count() == 1
    };
    let files = [first, second].map(|extent| path.with_file_name(&extent.name));
    let length = open_regular(&files[0])?.metadata()?.len();
    let ends = (first.offset + first.sectors) * SECTOR_BYTES == length;
    match is_alone(first) && is_alone(second) && ends {
        true => Ok(files),
        false => Err(Unparsable::new("the extents are not joined")),
    }
}

pub(super) fn merge(path: &Path, index: usize) -> Result<(), Unparsable> {
    let mut lines = Lines::read(path)?;
    let extents = lines.extents();
    let [into, from] = joins(path, &extents, index)?;
    let (first, second) = (&extents[index], &extents[index + 1]);
    let (into, from) = (open_regular_to_change(&into)?, open_regular(&from)?);
    let start = into.metadata()?.len();
    let (begin, length) = (second.offset * SECTOR_BYTES, second.sectors * SECTOR_BYTES);
    into.set_len(start.checked_add(length).ok_or_else(gone)?)?;
    for segment in data_segments(&from)? {
        let segment = segment.start.max(begin)..segment.end.min(begin + length);
        let mut written = Ok(());
        each_piece(&from, segment, |offset, bytes| {
            if written.is_ok() {
                written = into.write_all_at(bytes, start + offset - begin);
            }
        })?;
        written?;
    }
    lines.set_sectors(first, first.sectors + second.sectors);
    lines.0.remove(second.line);
    lines.write(path)
}

/// Of an image that is one sparse extent with its descriptor, in which grains are not compressed.
pub(super) fn size_and_unit(image: &ImageBytes) -> Result<Option<(u64, u64)>, Unparsable> {
    let header = image.read("the header", 0, SECTOR_BYTES)?;
    if !header.starts_with(b"KDMV") || little::<2>(&header, 77) != 0 || descriptor(image)?.is_none()
    {
        return Ok(None);
    }
    let [capacity, grain] =
        [12, 20].map(|place| little::<8>(&header, place).saturating_mul(SECTOR_BYTES));
    Ok(Some((capacity, grain)))
}

/// The embedded descriptor of one extent, with its place and length.
fn descriptor(image: &ImageBytes) -> Result<Option<(Lines, u64, usize)>, Unparsable> {
    let header = image.read("the header", 0, SECTOR_BYTES)?;
    let [place, length] =
        [28, 36].map(|place| little::<8>(&header, place).saturating_mul(SECTOR_BYTES));
    if place == 0 || length > DESCRIPTOR_BYTES_MAX {
        return Ok(None);
    }
    let bytes = image.read("the descriptor", place, length)?;
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let lines = Lines::parsed(text);
    Ok((lines.extents().len() == 1).then_some((lines, place, bytes.len())))
}

pub(super) fn resize(path: &Path, size: u64) -> Result<(), Unparsable> {
    let image = ImageBytes::open_to_read(path)?;
    let Some((mut lines, place, length)) = descriptor(&image)? else {
        return Err(gone());
    };
    let extent = lines.extents().pop().ok_or_else(gone)?;
    lines.set_sectors(&extent, size / SECTOR_BYTES);
    let mut text = lines.0.concat();
    text.resize(length, 0);
    let file = open_regular_to_change(path)?;
    file.write_all_at(&text, place)?;
    Ok(file.write_all_at(&(size / SECTOR_BYTES).to_le_bytes(), 12)?)
}

#[cfg(test)]
mod tests;
