//! Requests as calls of imago's asynchronous interface: the same as those of the synchronous candidate (`src/tool/imago/library.rs`).

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use imago::file::File;
use imago::format::PreallocateMode;
use imago::format::gate::PermissiveImplicitOpenGate;
use imago::qcow2::Qcow2;
use imago::raw::Raw;
use imago::vmdk::Vmdk;
use imago::{
    DenyImplicitOpenGate, FormatAccess, FormatCreateBuilder, FormatDriverBuilder, Mapping, Storage,
    StorageCreateOptions,
};
use imgduel::image::content::{BLOCK_BYTES, data_segments, parts_to_read};
use imgduel::library::{
    Access, AsyncLibrary, Error, Extent, Format, ImageFile, Info, Offer, Outcome, Preallocation,
    Resize, Result, SessionRequest,
};

use crate::session;

/// Cargo's lock file, which says the version that was built.
const LOCK: &str = include_str!("../Cargo.lock");

pub type Image = FormatAccess<File>;

/// The library.
pub struct ImagoAsync;

/// An open image.
pub struct Opened {
    pub image: Image,
    path: PathBuf,
    format: Format,
}

/// The library's errors are refusals, whatever their kind; what it does not know, imgduel does not ask.
fn refused(error: io::Error) -> Error {
    Error::refused(error)
}

/// Runs a future to its end in a runtime of this thread.
pub fn run<Output>(future: impl Future<Output = Output>) -> Output {
    match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime.block_on(future),
        Err(_) => imgduel::library::block_on(future),
    }
}

/// Returns the version of imago in Cargo's lock file.
fn version() -> &'static str {
    let mut lines = LOCK.lines().skip_while(|line| *line != "name = \"imago\"");
    let version = lines.nth(1).and_then(|line| line.split('"').nth(1));
    version.unwrap_or("of an unknown version")
}

impl AsyncLibrary for ImagoAsync {
    type Image = Opened;

    fn capabilities(&self) -> Offer {
        let requests = [
            "info",
            "contents",
            "map",
            "compare",
            "convert",
            "create",
            "resize",
            "write",
            "write_zeroes",
            "discard",
            "session",
        ];
        Offer::new("imago-async", version())
            .takes(&requests, ["raw", "qcow2"])
            .with_backing()
            .with_data_files()
            .with_encryption()
    }

    fn block_on<Output>(&self, future: impl Future<Output = Output>) -> Output {
        run(future)
    }

    async fn open(&self, path: &Path, file: &ImageFile, access: Access) -> Result<Opened> {
        let image = open(path, file.format, access == Access::Write).await;
        Ok(Opened {
            image: image.map_err(refused)?,
            path: path.to_owned(),
            format: file.format,
        })
    }

    async fn create(&self, path: &Path, file: &ImageFile, size: u64) -> Result<Opened> {
        Ok(Opened {
            image: create(path, file, size).await.map_err(refused)?,
            path: path.to_owned(),
            format: file.format,
        })
    }

    async fn info(&self, opened: &mut Opened) -> Result<Info> {
        Ok(Info::of_size(opened.image.size()))
    }

    async fn read(&self, opened: &mut Opened, offset: u64, buffer: &mut [u8]) -> Result<()> {
        opened.image.read(buffer, offset).await.map_err(refused)
    }

    async fn write(&self, opened: &mut Opened, offset: u64, bytes: &[u8]) -> Result<()> {
        let done = opened.image.write(bytes, offset).await;
        changed(opened, done).await
    }

    async fn session(
        &self,
        opened: &mut Opened,
        file: &ImageFile,
        requests: &[SessionRequest],
    ) -> Option<Result<Vec<Outcome>>> {
        Some(session::made(opened, file, requests).await)
    }

    /// imago zeroes and unmaps by a discard.
    async fn zero(&self, opened: &mut Opened, offset: u64, length: u64, unmap: bool) -> Result<()> {
        match unmap {
            true => self.discard(opened, offset, length).await,
            false => {
                let done = opened.image.write_zeroes(offset, length).await;
                changed(opened, done).await
            }
        }
    }

    async fn discard(&self, opened: &mut Opened, offset: u64, length: u64) -> Result<()> {
        let done = opened.image.discard_to_zero(offset, length).await;
        changed(opened, done).await
    }

    async fn resize(&self, opened: &mut Opened, resize: &Resize) -> Result<()> {
        // Without preallocation, a longer backing file must not show through; imago has a mode for that.
        let mode = match mode(resize.preallocation) {
            PreallocateMode::None if resize.is_overlay => PreallocateMode::Zero,
            mode => mode,
        };
        let done = opened.image.resize(resize.end_bytes, mode).await;
        changed(opened, done).await
    }

    async fn map(&self, opened: &mut Opened, _: Range<u64>) -> Result<Vec<Extent>> {
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
        .await
        .map_err(refused)?;
        Ok(extents)
    }

    async fn flush(&self, opened: &mut Opened) -> Result<()> {
        opened.image.flush().await.map_err(refused)
    }

    async fn data(&self, opened: &mut Opened) -> Result<Vec<Range<u64>>> {
        let ranges = data_ranges(&opened.image, &opened.path, opened.format).await;
        ranges.map_err(refused)
    }
}

/// After a change that failed the image is dropped, and must be flushed before (imago 0.2.6, "Flushing"): in this mode, `Drop` does not.
async fn changed(opened: &Opened, done: io::Result<()>) -> Result<()> {
    if done.is_err() {
        // The first error is the answer.
        let _ = opened.image.flush().await;
    }
    done.map_err(refused)
}

async fn open(path: &Path, format: Format, write: bool) -> io::Result<Image> {
    let gate = PermissiveImplicitOpenGate::default();
    match format {
        Format::Raw => {
            let builder = Raw::<File>::builder_path(path).write(write);
            Ok(FormatAccess::new(builder.open(gate).await?))
        }
        Format::Qcow2 => {
            let builder = Qcow2::<File>::builder_path(path).write(write);
            Ok(FormatAccess::new(builder.open(gate).await?))
        }
        Format::Vmdk => {
            let builder = Vmdk::<File>::builder_path(path).write(write);
            Ok(FormatAccess::new(builder.open(gate).await?))
        }
        other => Err(unsupported(format!("imago does not open {other}"))),
    }
}

async fn create(path: &Path, file: &ImageFile, size: u64) -> io::Result<Image> {
    let storage = File::create_open(StorageCreateOptions::new().filename(path)).await?;
    let mode = mode(file.options.preallocation());
    let number = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let gate = DenyImplicitOpenGate::default();
    match file.format {
        Format::Raw => {
            let builder = Raw::<File>::create_builder(storage)
                .size(size)
                .preallocate(mode);
            let image = builder.create_open(gate, |file| Ok(Raw::builder(file)));
            Ok(FormatAccess::new(image.await?))
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
                let data = File::create_open(StorageCreateOptions::new().filename(beside)).await?;
                builder = builder.data_file(name.to_owned(), data);
            }
            // What lies below is not needed to make an image.
            let alone = |file| Ok(Qcow2::builder(file).backing(None));
            let image = builder.create_open(gate, alone);
            Ok(FormatAccess::new(image.await?))
        }
        other => Err(unsupported(format!("imago does not create {other}"))),
    }
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

/// Returns the ranges of the guest address space that imago maps to data, without the inner part of holes of the files below.
async fn data_ranges(image: &Image, path: &Path, format: Format) -> io::Result<Vec<Range<u64>>> {
    if format == Format::Raw {
        // imago maps a raw image as one range of data; the holes are the file's.
        return data_segments(&std::fs::File::open(path)?);
    }
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut written: HashMap<PathBuf, Vec<Range<u64>>> = HashMap::new();
    let size = image.size();
    each_mapping(image, |offset, length, mapping| {
        let whole = || std::iter::once(0..length).collect();
        let parts: Vec<Range<u64>> = match mapping {
            Mapping::Zero { .. } => Vec::new(),
            Mapping::Raw {
                storage,
                offset: place,
                ..
            } => match storage.get_filename() {
                Some(name) => {
                    let written = written
                        .entry(name)
                        .or_insert_with_key(|name| segments(name));
                    parts_to_read(&(*place..*place + length), written)
                }
                None => whole(),
            },
            _ => whole(),
        };
        for part in parts {
            // Pieces start at a block boundary; mappings may be as small as 512 bytes.
            let start = (offset + part.start) / BLOCK_BYTES * BLOCK_BYTES;
            let end = (offset + part.end).next_multiple_of(BLOCK_BYTES).min(size);
            match ranges.last_mut() {
                Some(last) if last.end >= start => last.end = last.end.max(end),
                _ => ranges.push(start..end),
            }
        }
    })
    .await?;
    Ok(ranges)
}

/// Returns where a file holds data.
fn segments(path: &Path) -> Vec<Range<u64>> {
    let segments = std::fs::File::open(path).and_then(|file| data_segments(&file));
    segments.unwrap_or_else(|_| std::iter::once(0..u64::MAX).collect())
}

async fn each_mapping(
    image: &Image,
    mut visit: impl FnMut(u64, u64, &Mapping<'_, File>),
) -> io::Result<()> {
    let mut offset = 0;
    while offset < image.size() {
        let (mapping, length) = image.get_mapping(offset, image.size() - offset).await?;
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
