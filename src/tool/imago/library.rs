//! Requests as calls of the imago crate. Runs only inside the worker, never in the harness itself.

use std::collections::HashMap;
use std::io;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ::imago::file::File;
use ::imago::format::PreallocateMode;
use ::imago::format::gate::PermissiveImplicitOpenGate;
use ::imago::io_buffers::{IoVector, IoVectorMut};
use ::imago::qcow2::Qcow2;
use ::imago::raw::Raw;
use ::imago::vmdk::Vmdk;
use ::imago::{
    DenyImplicitOpenGate, FormatAccess, FormatCreateBuilder, FormatDriverBuilder, Mapping, Storage,
    StorageCreateOptions,
};

use super::calls;
use crate::image::content::{BLOCK_BYTES, data_segments, parts_to_read};
use crate::image::format::Format;
use crate::image::options::Preallocation;
use crate::tool::library::{Access, Error, Extent, Info, Library, Offer, Resize, Result};
use crate::tool::request::{ImageFile, Request};
use crate::tool::{Reproducer, Support};

type Image = FormatAccess<File>;

/// The library, hosted by a worker.
pub struct Imago;

/// An open image.
pub struct Opened {
    image: Image,
    path: PathBuf,
    format: Format,
}

/// The library's errors are refusals, whatever their kind: what it does not know is said in [`super::objection`].
fn refused(error: io::Error) -> Error {
    Error::refused(error)
}

impl Library for Imago {
    type Image = Opened;

    fn capabilities(&self) -> Offer {
        super::offer()
    }

    fn open(&self, path: &Path, file: &ImageFile, access: Access) -> Result<Opened> {
        let image = open(path, file.format, access == Access::Write).map_err(refused)?;
        Ok(Opened {
            image,
            path: path.to_owned(),
            format: file.format,
        })
    }

    fn create(&self, path: &Path, file: &ImageFile, size: u64) -> Result<Opened> {
        Ok(Opened {
            image: create(path, file, size).map_err(refused)?,
            path: path.to_owned(),
            format: file.format,
        })
    }

    fn info(&self, opened: &mut Opened) -> Result<Info> {
        Ok(Info::of_size(opened.image.size()))
    }

    fn read(&self, opened: &mut Opened, offset: u64, buffer: &mut [u8]) -> Result<()> {
        opened.image.read(buffer, offset).map_err(refused)
    }

    fn write(&self, opened: &mut Opened, offset: u64, bytes: &[u8]) -> Result<()> {
        opened.image.write(bytes, offset).map_err(refused)
    }

    fn read_vector(
        &self,
        opened: &mut Opened,
        offset: u64,
        buffers: &mut [&mut [u8]],
    ) -> Result<()> {
        let mut vector = IoVectorMut::new();
        // imago takes no buffer without length.
        for buffer in buffers.iter_mut().filter(|buffer| !buffer.is_empty()) {
            vector.push(buffer);
        }
        opened.image.readv(vector, offset).map_err(refused)
    }

    fn write_vector(&self, opened: &mut Opened, offset: u64, buffers: &[&[u8]]) -> Result<()> {
        let mut vector = IoVector::new();
        for buffer in buffers.iter().filter(|buffer| !buffer.is_empty()) {
            vector.push(buffer);
        }
        opened.image.writev(vector, offset).map_err(refused)
    }

    /// imago zeroes and unmaps by a discard.
    fn zero(&self, opened: &mut Opened, offset: u64, length: u64, unmap: bool) -> Result<()> {
        match unmap {
            true => self.discard(opened, offset, length),
            false => opened.image.write_zeroes(offset, length).map_err(refused),
        }
    }

    fn discard(&self, opened: &mut Opened, offset: u64, length: u64) -> Result<()> {
        let done = opened.image.discard_to_zero(offset, length);
        done.map_err(refused)
    }

    fn resize(&self, opened: &mut Opened, resize: &Resize) -> Result<()> {
        // Without preallocation, qemu-img prevents a longer backing file from showing through; imago has a mode for
        // that.
        let mode = match mode(resize.preallocation) {
            PreallocateMode::None if resize.is_overlay => PreallocateMode::Zero,
            mode => mode,
        };
        opened.image.resize(resize.end_bytes, mode).map_err(refused)
    }

    /// imago reports an unmapped terabyte in pieces of one L2 table.
    fn map(&self, opened: &mut Opened, _: Range<u64>) -> Result<Vec<Extent>> {
        let mut extents = Vec::new();
        each_mapping(&opened.image, |offset, length, mapping| {
            let (zero, present) = match mapping {
                Mapping::Zero { explicit, .. } => (true, *explicit),
                _ => (false, true),
            };
            extents.push(Extent {
                range: offset..offset + length,
                zero,
                present,
            });
        })
        .map_err(refused)?;
        Ok(extents)
    }

    fn flush(&self, opened: &mut Opened) -> Result<()> {
        opened.image.flush().map_err(refused)
    }

    fn data(&self, opened: &mut Opened) -> Result<Vec<Range<u64>>> {
        data_ranges(&opened.image, &opened.path, opened.format).map_err(refused)
    }

    fn support(&self, request: &Request) -> Option<Support> {
        Some(Support::unless(super::objection(request)))
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let call = calls::call(request)?;
        let template = calls::TEMPLATE;
        Some(Reproducer::RustCall { template, call })
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
            if let (Some(name), Some(format)) =
                (file.options.backing_file(), file.options.backing_format())
            {
                builder = builder.backing(name.clone(), format.name().to_owned());
            }
            if let Some(name) = file.data_file() {
                let beside = path.with_file_name(name);
                let data = File::create_open(StorageCreateOptions::new().filename(beside))?;
                builder = builder.data_file(name.to_owned(), data);
            }
            // What lies below is not needed to make an image.
            let alone = |file| Ok(Qcow2::builder(file).backing(None));
            FormatAccess::new(builder.create_open(gate, alone)?)
        }
        other => return Err(unsupported(format!("imago does not create {other}"))),
    };
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
            } => written.read_parts(storage, *place..*place + length),
            _ => iter::once(0..length).collect(),
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
    /// The parts of a range of a file that are read, relative to its start: those with data, and of each long hole its ends. Imago
    /// reads a hole as any other place, so that gigabytes of it show no more than its ends do.
    fn read_parts(&mut self, storage: &File, range: Range<u64>) -> Vec<Range<u64>> {
        let Some(path) = storage.get_filename() else {
            return iter::once(0..range.end - range.start).collect();
        };
        let written = self.0.entry(path).or_insert_with_key(|path| {
            let segments = std::fs::File::open(path).and_then(|file| data_segments(&file));
            segments.unwrap_or_else(|_| iter::once(0..u64::MAX).collect())
        });
        parts_to_read(&range, written)
    }
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

fn unsupported(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, message)
}
