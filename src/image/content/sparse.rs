//! Sparse files: reading, comparing and copying their data without their holes.
//!
//! Used for raw images, images converted to raw, and scratch copies. On a file system that does not report holes, a file counts as one data
//! segment.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, SeekFrom, seek, sendfile};
use rustix::io::Errno;

use super::{BLOCK_BYTES, Contents, ContentsBuilder};
use crate::base::error::{Error, Result};
use crate::base::phase::Phase;

/// How many bytes are read at once. Two such pieces fit into a processor's L2 cache.
const PIECE_BYTES: u64 = 128 << 10;

thread_local! {
    /// Two buffers for reuse: a new buffer for each segment would cost zeroing and page faults.
    static BUFFERS: [Cell<Vec<u8>>; 2] = const { [Cell::new(Vec::new()), Cell::new(Vec::new())] };
}

/// Calls `with` with one of this thread's buffers, which has `PIECE_BYTES` bytes, and returns its result.
fn with_buffer<T>(index: usize, with: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFERS.with(|buffers| {
        let mut buffer = buffers[index].take();
        buffer.resize(PIECE_BYTES as usize, 0);
        let result = with(&mut buffer);
        buffers[index].set(buffer);
        result
    })
}

impl Contents {
    /// Reads a raw image, whose bytes are what the guest sees.
    pub fn of_raw_file(path: &Path) -> Result<Self> {
        let read = || -> io::Result<Self> {
            let file = open_regular(path)?;
            let size = file.metadata()?.len();
            let mut builder = ContentsBuilder::new(size);
            for segment in data_segments(&file)? {
                each_piece(&file, aligned(&segment, size), |offset, bytes| {
                    builder.add(offset, bytes)
                })?;
            }
            Ok(builder.finish())
        };
        Phase::Hashing
            .time(read)
            .map_err(|error| Error::io("read", path, &error))
    }
}

/// Opens a regular file for reading, and fails for anything else. A tool may have replaced the file: reading a named pipe would never end, and a
/// symbolic link may lead anywhere.
pub fn open_regular(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true), path)
}

/// Opens an existing regular file for writing, and fails for anything else, as [`open_regular`] does.
pub fn open_regular_to_write(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().write(true), path)
}

/// Opens an existing regular file for reading and writing, and fails for anything else, as [`open_regular`] does.
pub fn open_regular_to_change(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true).write(true), path)
}

/// Creates an empty file for reading and writing in place of whatever has this name: a symbolic link is replaced, not followed.
pub fn create_in_place(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).open(path)
}

fn regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let file = options.custom_flags(flags.bits() as i32).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no regular file")),
    }
}

/// The ranges of a file that hold data, in bytes, ascending and without overlap. Each start is aligned to [`BLOCK_BYTES`].
pub fn data_segments(file: &File) -> io::Result<Vec<Range<u64>>> {
    data_within(file, 0..file.metadata()?.len())
}

/// As [`data_segments`], the parts of a range of the file that hold data. The range ends within the file; a start that is aligned down lies in it.
pub fn data_within(file: &File, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let mut segments: Vec<Range<u64>> = Vec::new();
    let mut position = range.start;
    while position < range.end {
        let start = match seek(file, SeekFrom::Data(position)) {
            Ok(start) => start,
            // No data from here to the end.
            Err(Errno::NXIO) => break,
            // This file system does not report holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => position,
            Err(error) => return Err(error.into()),
        };
        if start >= range.end {
            break;
        }
        let end = seek(file, SeekFrom::Hole(start))
            .unwrap_or(range.end)
            .max(start + 1)
            .min(range.end);
        let start = (start / BLOCK_BYTES * BLOCK_BYTES).max(range.start);
        match segments.last_mut() {
            Some(last) if last.end >= start => last.end = end,
            _ => segments.push(start..end),
        }
        position = end;
    }
    Ok(segments)
}

/// Whether two files have the same length and the same bytes, ignoring the ranges `but_for`.
pub fn same_bytes(first: &File, second: &File, but_for: &[Range<u64>]) -> io::Result<bool> {
    let size = first.metadata()?.len();
    if size != second.metadata()?.len() {
        return Ok(false);
    }
    // Only ranges in which one of the files has data can differ: holes read as zeros.
    let mut segments = data_segments(first)?;
    segments.extend(data_segments(second)?);
    segments.sort_by_key(|segment| segment.start);
    let mut compared = 0;
    for segment in segments {
        let start = segment.start.max(compared);
        if start >= segment.end {
            continue;
        }
        compared = segment.end;
        let mut same = true;
        each_piece(first, start..segment.end, |offset, bytes| {
            same = same
                && with_buffer(1, |other| {
                    let other = &mut other[..bytes.len()];
                    second.read_exact_at(other, offset).is_ok()
                        && (other == bytes || same_pieces(bytes, other, offset, but_for))
                });
        })?;
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two pieces from `offset` of their files are equal, ignoring the file ranges `but_for`.
fn same_pieces(one: &[u8], other: &[u8], offset: u64, but_for: &[Range<u64>]) -> bool {
    let mut pairs = (offset..).zip(one.iter().zip(other));
    pairs.all(|(place, (one, other))| {
        one == other || but_for.iter().any(|range| range.contains(&place))
    })
}

/// Copies a file's data segments into the new file `to` and leaves holes between them. The data is always written, even where the file system
/// could share the original's extents.
pub fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    let copy = || -> io::Result<()> {
        let source = open_regular(from)?;
        let size = source.metadata()?.len();
        let mut target = new_file(to, size)?;
        for segment in data_segments(&source)? {
            send(&source, size, &mut target, &segment)?;
        }
        Ok(())
    };
    Phase::Copying
        .time(copy)
        .map_err(|error| Error::io("copy an image to", to, &error))
}

fn new_file(path: &Path, size: u64) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.set_len(size)?;
    Ok(file)
}

/// Copies a segment inside the kernel, which takes two thirds of the time of reading and writing it; what it cannot copy so is read and written.
fn send(source: &File, size: u64, target: &mut File, segment: &Range<u64>) -> io::Result<()> {
    let mut offset = segment.start;
    target.seek(io::SeekFrom::Start(offset))?;
    while offset < segment.end {
        let left = usize::try_from(segment.end - offset).unwrap_or(usize::MAX);
        match sendfile(&*target, source, Some(&mut offset), left) {
            Err(Errno::INTR) => {}
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return write_pieces(source, size, &[&*target], offset..segment.end, |_, _| {});
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Copies a file to each of `targets` in one pass, as [`copy_sparse`] does, and returns the contents.
pub fn copy_sparse_to_each(from: &Path, targets: &[&Path]) -> Result<Contents> {
    let mut pieces = ContentsBuilder::new(0);
    let size = copy_pieces(from, targets, |offset, bytes| pieces.add(offset, bytes))?;
    let contents = pieces.finish();
    Ok(Contents { size, ..contents })
}

/// Copies to each of `targets`, calls `visit` with each piece of data, in whole blocks, and returns the file's length in bytes.
fn copy_pieces(from: &Path, targets: &[&Path], mut visit: impl FnMut(u64, &[u8])) -> Result<u64> {
    let copy = || -> io::Result<u64> {
        let source = open_regular(from)?;
        let size = source.metadata()?.len();
        let targets = targets.iter().map(|to| new_file(to, size));
        let targets: Vec<File> = targets.collect::<io::Result<_>>()?;
        let targets: Vec<&File> = targets.iter().collect();
        for segment in data_segments(&source)? {
            write_pieces(&source, size, &targets, segment, &mut visit)?;
        }
        Ok(size)
    };
    let to = targets.first().copied().unwrap_or(from);
    Phase::Copying
        .time(copy)
        .map_err(|error| Error::io("copy an image to", to, &error))
}

/// Writes a segment of `source`, which has `size` bytes, to each of `targets`, and calls `visit` with each piece of it, in whole blocks.
fn write_pieces(
    source: &File,
    size: u64,
    targets: &[&File],
    segment: Range<u64>,
    mut visit: impl FnMut(u64, &[u8]),
) -> io::Result<()> {
    let mut written = Ok(());
    each_piece(source, aligned(&segment, size), |offset, bytes| {
        visit(offset, bytes);
        let data = bytes.len().min((segment.end - offset) as usize);
        for target in targets {
            if written.is_ok() {
                written = target.write_all_at(&bytes[..data], offset);
            }
        }
    })?;
    written
}

/// Writes `bytes` at `offset` of an existing file.
pub fn write_at(path: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    let write = || {
        OpenOptions::new()
            .write(true)
            .open(path)?
            .write_all_at(bytes, offset)
    };
    write().map_err(|error| Error::io("write to", path, &error))
}

/// `segment` with its end rounded up to a block, but not beyond `size`.
fn aligned(segment: &Range<u64>, size: u64) -> Range<u64> {
    segment.start..segment.end.next_multiple_of(BLOCK_BYTES).min(size)
}

/// Reads `range` of a file piece by piece, and calls `visit` with each piece's offset in the file and its bytes.
pub fn each_piece(
    file: &File,
    range: Range<u64>,
    mut visit: impl FnMut(u64, &[u8]),
) -> io::Result<()> {
    with_buffer(0, |buffer| {
        let mut offset = range.start;
        while offset < range.end {
            let length = (range.end - offset).min(PIECE_BYTES) as usize;
            file.read_exact_at(&mut buffer[..length], offset)?;
            visit(offset, &buffer[..length]);
            offset += length as u64;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests;
