//! Requests as calls of the imago crate. Runs only inside the worker, never in the harness itself.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ::imago::file::File;
use ::imago::format::PreallocateMode;
use ::imago::format::gate::PermissiveImplicitOpenGate;
use ::imago::qcow2::Qcow2;
use ::imago::raw::Raw;
use ::imago::vmdk::Vmdk;
use ::imago::{
    DenyImplicitOpenGate, FormatAccess, FormatCreateBuilder, FormatDriverBuilder, Mapping, Storage,
    StorageCreateOptions,
};
use serde_json::{Value, json};

use super::super::adapter::protocol::{self, Hello, Response};
use super::super::worker::Library;
use crate::image::content::{BLOCK_BYTES, Contents, ContentsBuilder, data_segments, is_zero};
use crate::image::format::Format;
use crate::image::options::Preallocation;
use crate::tool::request::{ImageFile, Request, Window};

/// The number of bytes that are read or written at once.
const PIECE_BYTES: u64 = 1 << 20;

type Image = FormatAccess<File>;

/// The library, hosted by a worker.
pub struct Imago;

impl Library for Imago {
    /// The tool's own file determines the supported requests from the image's options; the hello has only name and
    /// version.
    fn hello(&self) -> Hello {
        Hello {
            protocol: protocol::VERSION,
            name: "imago".to_owned(),
            version: super::VERSION.to_owned(),
            can: BTreeMap::new(),
            backing: true,
            lacks: Vec::new(),
        }
    }

    /// The library's errors are refusals.
    fn answer(&self, request: &Request, directory: &Path) -> Response {
        let mut response = Response::default();
        if let Err(error) = call(request, directory, &mut response) {
            response.refused = Some(error.to_string());
        }
        response
    }
}

fn call(request: &Request, directory: &Path, answer: &mut Response) -> io::Result<()> {
    let path = |file: &ImageFile| directory.join(&file.path);
    match request {
        Request::Create { file, size } => {
            create(&path(file), file, size.bytes())?;
        }
        Request::Info { file } => {
            let image = open(&path(file), file.format, false)?;
            answer.json = Some(json!({ "virtual-size": image.size(), "format": file.format }));
        }
        Request::Map { file, window } => {
            let image = open(&path(file), file.format, false)?;
            answer.json = Some(map(&image, *window)?);
        }
        Request::Compare { first, second } => {
            let read = |file: &ImageFile| contents(&path(file), file.format);
            if !read(first)?.shows_the_same(read(second)?) {
                return Err(io::Error::other("the images differ"));
            }
        }
        Request::Contents { file } => answer.contents = Some(contents(&path(file), file.format)?),
        Request::Convert { source, target, .. } => {
            convert(&path(source), source.format, &path(target), target)?;
        }
        Request::Resize { file, .. }
        | Request::Write { file, .. }
        | Request::WriteZeroes { file, .. }
        | Request::Discard { file, .. } => {
            let mut image = open(&path(file), file.format, true)?;
            change(&mut image, request)?;
            image.flush()?;
        }
        Request::Check { .. }
        | Request::Measure { .. }
        | Request::Amend { .. }
        | Request::Rebase { .. }
        | Request::Commit { .. }
        | Request::Dd { .. }
        | Request::Bitmap { .. }
        | Request::Bench { .. }
        | Request::Snapshot { .. }
        | Request::SnapshotList { .. }
        | Request::SnapshotContents { .. }
        | Request::ConvertSnapshot { .. }
        | Request::Repair { .. } => {
            return Err(missing(request));
        }
    }
    Ok(())
}

fn missing(request: &Request) -> io::Error {
    unsupported(format!("imago has no {}", request.name()))
}

/// Changes an image that is open.
fn change(image: &mut Image, request: &Request) -> io::Result<()> {
    match request {
        Request::Resize {
            file,
            end_bytes,
            preallocation,
            ..
        } => {
            // Without preallocation, qemu-img prevents a longer backing file from showing through; imago has a mode for
            // that.
            let mode = match mode(*preallocation) {
                PreallocateMode::None if file.backing.is_some() => PreallocateMode::Zero,
                mode => mode,
            };
            image.resize(*end_bytes, mode)
        }
        Request::Write { writes, .. } => writes.iter().try_for_each(|write| {
            image.write(&vec![write.byte; write.length as usize], write.offset)
        }),
        Request::WriteZeroes {
            offset,
            length,
            unmap: false,
            ..
        } => image.write_zeroes(*offset, *length),
        // imago zeroes and unmaps by a discard.
        Request::WriteZeroes { offset, length, .. } | Request::Discard { offset, length, .. } => {
            image.discard_to_zero(*offset, *length)
        }
        other => Err(missing(other)),
    }
}

fn open(path: &Path, format: Format, write: bool) -> io::Result<Image> {
    let gate = PermissiveImplicitOpenGate::default();
    match format {
        Format::Raw => Ok(FormatAccess::new(
            Raw::<File>::builder_path(path).write(write).open(gate)?,
        )),
        Format::Qcow2 => Ok(FormatAccess::new(
            Qcow2::<File>::builder_path(path).write(write).open(gate)?,
        )),
        Format::Vmdk => Ok(FormatAccess::new(
            Vmdk::<File>::builder_path(path).write(write).open(gate)?,
        )),
        other => Err(unsupported(format!("imago does not open {other}"))),
    }
}

fn create(path: &Path, file: &ImageFile, size: u64) -> io::Result<Image> {
    let storage = File::create_open(StorageCreateOptions::new().filename(path))?;
    let mode = mode(file.options.preallocation());
    let number = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let gate = DenyImplicitOpenGate::default();
    let image = match file.format {
        Format::Raw => {
            let builder = Raw::<File>::create_builder(storage)
                .size(size)
                .preallocate(mode);
            FormatAccess::new(builder.create_open(gate, |file| Ok(Raw::builder(file)))?)
        }
        Format::Qcow2 => {
            let mut builder = Qcow2::<File>::create_builder(storage)
                .size(size)
                .preallocate(mode);
            if let Some(bytes) = number(file.options.cluster_size()) {
                builder = builder.cluster_size(bytes);
            }
            if let Some(bits) = number(file.options.refcount_bits()) {
                builder = builder.refcount_width(bits);
            }
            FormatAccess::new(builder.create_open(gate, |file| Ok(Qcow2::builder(file)))?)
        }
        other => return Err(unsupported(format!("imago does not create {other}"))),
    };
    image.flush()?;
    Ok(image)
}

/// Returns imago's name of a preallocation mode of qemu-img.
fn mode(preallocation: Option<Preallocation>) -> PreallocateMode {
    match preallocation {
        None | Some(Preallocation::Off) => PreallocateMode::None,
        Some(Preallocation::Metadata) => PreallocateMode::FormatAllocate,
        Some(Preallocation::Falloc) => PreallocateMode::FullAllocate,
        Some(Preallocation::Full) => PreallocateMode::WriteData,
    }
}

/// Returns the ranges of the guest address space that imago maps to data, without the inner part of holes of the underlying files.
fn data_ranges(image: &Image, path: &Path, format: Format) -> io::Result<Vec<Range<u64>>> {
    if format == Format::Raw {
        // imago maps a raw image as one range of data; the holes are the file's.
        return data_segments(&std::fs::File::open(path)?);
    }
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut written = Written::default();
    each_mapping(image, |offset, length, mapping| {
        let parts = match mapping {
            Mapping::Zero { .. } => Vec::new(),
            Mapping::Raw {
                storage,
                offset: place,
                ..
            } => written.read_parts(*storage, *place..*place + length),
            _ => vec![0..length],
        };
        for part in parts {
            // Pieces start at a block boundary; mappings may be as small as 512 bytes.
            let start = (offset + part.start) / BLOCK_BYTES * BLOCK_BYTES;
            let end = (offset + part.end)
                .next_multiple_of(BLOCK_BYTES)
                .min(image.size());
            match ranges.last_mut() {
                Some(last) if last.end >= start => last.end = last.end.max(end),
                _ => ranges.push(start..end),
            }
        }
    })?;
    Ok(ranges)
}

/// Where the files below an image hold data, by their names.
#[derive(Default)]
struct Written(HashMap<PathBuf, Vec<Range<u64>>>);

impl Written {
    /// The parts of a range of a file that are read, relative to its start: those with data, and of each hole up to [`PIECE_BYTES`] at both ends. Imago
    /// reads a hole as any other place, so that gigabytes of it show no more than its ends do.
    fn read_parts(&mut self, storage: &File, range: Range<u64>) -> Vec<Range<u64>> {
        let whole = vec![0..range.end - range.start];
        let Some(path) = storage.get_filename() else {
            return whole;
        };
        let written = self.0.entry(path).or_insert_with_key(|path| {
            let segments = std::fs::File::open(path).and_then(|file| data_segments(&file));
            segments.unwrap_or_else(|_| vec![0..u64::MAX])
        });
        without_inner_holes(&range, written)
    }
}

/// The parts of `range`, relative to its start, without what lies in a hole between `written` ranges and is more than [`PIECE_BYTES`] from both of its ends.
fn without_inner_holes(range: &Range<u64>, written: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut parts: Vec<Range<u64>> = Vec::new();
    let mut reached = range.start;
    let first = written.partition_point(|data| data.end <= range.start);
    let within = written[first..]
        .iter()
        .take_while(|data| data.start < range.end);
    let ends = within
        .map(|data| (data.start, data.end))
        .chain([(range.end, range.end)]);
    for (start, end) in ends {
        let (start, end) = (start.max(reached), end.min(range.end));
        let is_long = start - reached > 2 * PIECE_BYTES;
        let (head, tail) = match is_long {
            true => (reached + PIECE_BYTES, start - PIECE_BYTES),
            false => (start, start),
        };
        for (from, to) in [(reached, head), (tail, end)] {
            let part = from - range.start..to - range.start;
            match parts.last_mut() {
                Some(last) if last.end == part.start => last.end = part.end,
                _ if part.is_empty() => {}
                _ => parts.push(part),
            }
        }
        reached = end;
    }
    parts
}

fn each_mapping(
    image: &Image,
    mut visit: impl FnMut(u64, u64, &Mapping<'_, File>),
) -> io::Result<()> {
    let mut offset = 0;
    while offset < image.size() {
        let (mapping, length) = image.get_mapping(offset, image.size() - offset)?;
        if length == 0 {
            return Err(io::Error::other(format!(
                "the mapping at guest offset {offset} has no length"
            )));
        }
        visit(offset, length, &mapping);
        offset += length;
    }
    Ok(())
}

fn each_piece(
    image: &Image,
    range: Range<u64>,
    mut visit: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES.min(range.end.saturating_sub(range.start)) as usize];
    let mut offset = range.start;
    while offset < range.end {
        let length = (range.end - offset).min(PIECE_BYTES) as usize;
        image.read(&mut buffer[..length], offset)?;
        visit(offset, &buffer[..length])?;
        offset += length as u64;
    }
    Ok(())
}

fn contents(path: &Path, format: Format) -> io::Result<Contents> {
    let image = open(path, format, false)?;
    let mut builder = ContentsBuilder::new(image.size());
    for range in data_ranges(&image, path, format)? {
        let range = range.start..range.end.next_multiple_of(BLOCK_BYTES).min(image.size());
        each_piece(&image, range, |offset, bytes| {
            builder.add(offset, bytes);
            Ok(())
        })?;
    }
    Ok(builder.finish())
}

fn convert(from: &Path, format: Format, to: &Path, target: &ImageFile) -> io::Result<()> {
    let source = open(from, format, false)?;
    let copy = create(to, target, source.size())?;
    for range in data_ranges(&source, from, format)? {
        each_piece(&source, range, |offset, bytes| {
            // Blocks of zeros stay unallocated, as with qemu-img.
            for (index, block) in bytes.chunks(BLOCK_BYTES as usize).enumerate() {
                if !is_zero(block) {
                    copy.write(block, offset + index as u64 * BLOCK_BYTES)?;
                }
            }
            Ok(())
        })?;
    }
    copy.flush()
}

/// Returns the map in the shape of `qemu-img map --output=json`, as far as imago reports it, limited to the window.
/// Adjacent ranges of one kind are joined, as there: imago reports an unmapped terabyte in pieces of one L2 table.
fn map(image: &Image, window: Window) -> io::Result<Value> {
    let Range { start, end } = window.within(image.size());
    let mut extents: Vec<Extent> = Vec::new();
    each_mapping(image, |offset, length, mapping| {
        let (from, to) = (offset.max(start), (offset + length).min(end));
        if from >= to {
            return;
        }
        let (zero, present) = match mapping {
            Mapping::Zero { explicit, .. } => (true, *explicit),
            _ => (false, true),
        };
        match extents.last_mut() {
            Some(last) if (last.end, last.zero, last.present) == (from, zero, present) => {
                last.end = to;
            }
            _ => extents.push(Extent {
                start: from,
                end: to,
                zero,
                present,
            }),
        }
    })?;
    let entries = extents.iter().map(|extent| {
        json!({
            "start": extent.start, "length": extent.end - extent.start, "zero": extent.zero,
            "data": !extent.zero, "present": extent.present
        })
    });
    Ok(entries.collect::<Vec<_>>().into())
}

/// A range of the guest address space, in bytes, that is mapped in one way.
struct Extent {
    start: u64,
    end: u64,
    zero: bool,
    present: bool,
}

fn unsupported(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn of_a_long_hole_both_ends_are_read_and_of_data_everything() {
        let parts = |range: Range<u64>, written: &[Range<u64>]| {
            without_inner_holes(&(range.start * MIB..range.end * MIB), written)
                .into_iter()
                .map(|part| (part.start / MIB, part.end / MIB))
                .collect::<Vec<_>>()
        };
        let data = [100 * MIB..110 * MIB, 111 * MIB..112 * MIB];
        // No data at all, a short hole, and data within.
        assert_eq!(parts(0..90, &data), [(0, 1), (89, 90)]);
        assert_eq!(parts(0..2, &data), [(0, 2)]);
        assert_eq!(parts(0..200, &data), [(0, 1), (99, 113), (199, 200)]);
        // The range begins or ends within data.
        assert_eq!(parts(105..108, &data), [(0, 3)]);
        assert_eq!(parts(109..120, &data), [(0, 4), (10, 11)]);
        assert_eq!(parts(90..105, &data), [(0, 1), (9, 15)]);
    }
}
