//! Requests as calls of a library's methods. Runs only inside a worker, never in the harness itself.
//!
//! [`Hosted`] is what a worker and a tool see of a library, whatever its type of image. A request about contents, a copy or a comparison is made of the
//! library's own reads and writes, so that every library is asked in the same way.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use super::{Access, Error, Extent, Library, Offer, Resize, Result, probe};
use crate::image::content::{BLOCK_BYTES, Contents, ContentsBuilder, is_zero};
use crate::tool::adapter;
use crate::tool::adapter::protocol::{Hello, Response};
use crate::tool::request::{CheckCounts, ImageFile, Request, SessionRequest, Window};
use crate::tool::{FLAT_SUFFIX, Reproducer, Support};

/// The maximum size in bytes of a disk that is read whole: a library that reports no holes is read byte by byte.
const WHOLE_BYTES_MAX: u64 = 1 << 30;

/// The number of bytes that are read or written at once.
const PIECE_BYTES: u64 = 1 << 20;

/// A buffer of pieces, for reuse: of a new one, each page costs a page fault.
static BUFFER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// How contents leave a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In the answer itself, for imgduel.
    Inside,
    /// As a raw file beside the image, for everyone else.
    AsFile,
}

/// A library whose type of image is not known.
pub trait Hosted: Send + Sync {
    /// Returns its offer.
    fn offer(&self) -> Offer;

    /// Returns its offer as an adapter says it, without the methods that it does not have. Calls the library.
    fn hello(&self) -> Hello;

    /// Performs a request on files in `directory`. Calls the library.
    fn answer(&self, request: &Request, directory: &Path, delivery: Delivery) -> Response;

    /// Returns [`Library::support`].
    fn own_support(&self, request: &Request) -> Option<Support>;

    /// Returns [`Library::reproducer`].
    fn own_reproducer(&self, request: &Request) -> Option<Reproducer>;
}

impl<L: Library> Hosted for L {
    fn offer(&self) -> Offer {
        self.capabilities()
    }

    fn hello(&self) -> Hello {
        let offer = self.capabilities();
        offer.whole_hello().unwrap_or_else(|| {
            let missing = probe::missing(self, &offer);
            offer.hello(|request| !missing.contains(&request))
        })
    }

    fn answer(&self, request: &Request, directory: &Path, delivery: Delivery) -> Response {
        let mut response = Response::default();
        let done = match (request, delivery) {
            (Request::Session { file, requests }, _) => {
                in_session(self, file, requests, directory, delivery, &mut response)
            }
            (Request::Contents { file }, Delivery::AsFile) => {
                let flat = file.path.clone() + FLAT_SUFFIX;
                let done = flattened(self, file, directory, &flat);
                response.raw = done.is_ok().then_some(flat);
                done
            }
            _ => performed(self, request, directory, &mut response),
        };
        match done {
            Ok(()) => {}
            Err(Error::Refused(why)) => response.refused = Some(why),
            Err(Error::Failed(why)) => response.panicked = Some(why),
            Err(Error::Unsupported(feature)) => response.unsupported = Some(feature),
            Err(Error::Missing) => {
                let name = self.capabilities().name().to_owned();
                response.unsupported = Some(format!("{name} has no {}", request.name()));
            }
        }
        response
    }

    fn own_support(&self, request: &Request) -> Option<Support> {
        self.support(request)
    }

    fn own_reproducer(&self, request: &Request) -> Option<Reproducer> {
        self.reproducer(request)
    }
}

fn performed<L: Library>(
    library: &L,
    request: &Request,
    directory: &Path,
    response: &mut Response,
) -> Result<()> {
    let open = |file: &ImageFile, access| library.open(&directory.join(&file.path), file, access);
    match request {
        Request::Create { file, size } => {
            let mut image = library.create(&directory.join(&file.path), file, size.bytes())?;
            library.flush(&mut image)
        }
        Request::Info { file } => {
            let info = library.info(&mut open(file, Access::Read)?)?;
            let mut tree = Map::new();
            tree.insert("virtual-size".to_owned(), info.virtual_size.into());
            tree.insert("format".to_owned(), file.format.name().into());
            tree.extend(info.facts);
            response.json = Some(tree.into());
            Ok(())
        }
        Request::Check { file } => {
            let counts = library.check(&mut open(file, Access::Read)?)?;
            response.json = Some(counted(&counts));
            Ok(())
        }
        Request::Map { file, window } => {
            response.json = Some(map(library, &mut open(file, Access::Read)?, *window)?);
            Ok(())
        }
        Request::Contents { file } => {
            response.contents = Some(contents(library, &mut open(file, Access::Read)?)?);
            Ok(())
        }
        Request::Compare { first, second } => {
            let read = |file| contents(library, &mut open(file, Access::Read)?);
            match read(first)?.shows_the_same(read(second)?) {
                true => Ok(()),
                false => Err(Error::refused("the images differ")),
            }
        }
        Request::Convert {
            source,
            target,
            compress: false,
            ..
        } => {
            let mut source = open(source, Access::Read)?;
            let to = directory.join(&target.path);
            let size = library.info(&mut source)?.virtual_size;
            let mut copy = library.create(&to, target, size)?;
            copied(library, &mut source, size, &mut copy)?;
            library.flush(&mut copy)
        }
        Request::Resize { file, .. }
        | Request::Write { file, .. }
        | Request::WriteZeroes { file, .. }
        | Request::Discard { file, .. } => {
            let mut image = open(file, Access::Write)?;
            changed(library, &mut image, request)?;
            library.flush(&mut image)
        }
        _ => Err(Error::Missing),
    }
}

/// Opens an image once for many requests.
fn in_session<L: Library>(
    library: &L,
    file: &ImageFile,
    requests: &[SessionRequest],
    directory: &Path,
    delivery: Delivery,
    response: &mut Response,
) -> Result<()> {
    let is_reading = requests
        .iter()
        .all(|request| request.parts().iter().all(SessionRequest::is_read));
    let access = match is_reading {
        true => Access::Read,
        false => Access::Write,
    };
    let mut image = library.open(&directory.join(&file.path), file, access)?;
    let outcomes = library.session(&mut image, file, requests)?;
    if !is_reading {
        library.flush(&mut image)?;
    }
    match delivery {
        Delivery::Inside => {
            response.session = Some(outcomes.into_iter().map(Into::into).collect());
        }
        Delivery::AsFile => {
            let (list, raw) = adapter::told(outcomes);
            let flat = file.path.clone() + FLAT_SUFFIX;
            std::fs::write(directory.join(&flat), raw)?;
            (response.json, response.raw) = (Some(list), Some(flat));
        }
    }
    Ok(())
}

/// Changes an image that is open.
fn changed<L: Library>(library: &L, image: &mut L::Image, request: &Request) -> Result<()> {
    match request {
        Request::Resize {
            file,
            end_bytes,
            shrink,
            preallocation,
            ..
        } => {
            let resize = Resize {
                end_bytes: *end_bytes,
                shrink: *shrink,
                preallocation: *preallocation,
                is_overlay: file.backing.is_some(),
            };
            library.resize(image, &resize)
        }
        Request::Write { writes, .. } => writes.iter().try_for_each(|write| {
            let bytes = write.bytes();
            library.write(image, write.offset, &bytes)
        }),
        Request::WriteZeroes {
            offset,
            length,
            unmap,
            ..
        } => library.zero(image, *offset, *length, *unmap),
        Request::Discard { offset, length, .. } => library.discard(image, *offset, *length),
        _ => Err(Error::Missing),
    }
}

/// Returns the ranges to read, in order, in whole blocks, as far as the image reaches.
fn data<L: Library>(library: &L, image: &mut L::Image, size: u64) -> Result<Vec<Range<u64>>> {
    let told = match library.data(image) {
        Ok(told) => told,
        Err(Error::Missing) if size > WHOLE_BYTES_MAX => {
            return Err(Error::unsupported(format!(
                "disks above {WHOLE_BYTES_MAX} bytes are not read through it"
            )));
        }
        // One range, in order.
        Err(Error::Missing) => return Ok(std::iter::once(0..size).collect()),
        Err(error) => return Err(error),
    };
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for range in told {
        let start = range.start / BLOCK_BYTES * BLOCK_BYTES;
        let end = range.end.checked_next_multiple_of(BLOCK_BYTES);
        let end = end.unwrap_or(u64::MAX).min(size);
        match ranges.last_mut() {
            Some(last) if last.end >= start => last.end = last.end.max(end),
            _ if start < end => ranges.push(start..end),
            _ => {}
        }
    }
    Ok(ranges)
}

fn each_piece<L: Library>(
    library: &L,
    image: &mut L::Image,
    range: Range<u64>,
    mut visit: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    // What another thread uses right now is not waited for.
    let mut own = Vec::new();
    let mut kept = BUFFER.try_lock();
    let buffer = kept.as_deref_mut().unwrap_or(&mut own);
    buffer.clear();
    buffer.resize(
        PIECE_BYTES.min(range.end.saturating_sub(range.start)) as usize,
        0,
    );
    let mut offset = range.start;
    while offset < range.end {
        let length = (range.end - offset).min(PIECE_BYTES) as usize;
        library.read(image, offset, &mut buffer[..length])?;
        visit(offset, &buffer[..length])?;
        offset += length as u64;
    }
    Ok(())
}

fn contents<L: Library>(library: &L, image: &mut L::Image) -> Result<Contents> {
    let size = library.info(image)?.virtual_size;
    let mut builder = ContentsBuilder::new(size);
    for range in data(library, image, size)? {
        each_piece(library, image, range, |offset, bytes| {
            builder.add(offset, bytes);
            Ok(())
        })?;
    }
    Ok(builder.finish())
}

/// Leaves the contents of an image in the raw file `flat`.
fn flattened<L: Library>(
    library: &L,
    file: &ImageFile,
    directory: &Path,
    flat: &str,
) -> Result<()> {
    let mut image = library.open(&directory.join(&file.path), file, Access::Read)?;
    let size = library.info(&mut image)?.virtual_size;
    let to = File::create(directory.join(flat))?;
    to.set_len(size)?;
    for range in data(library, &mut image, size)? {
        each_piece(library, &mut image, range, |offset, bytes| {
            match is_zero(bytes) {
                true => Ok(()),
                false => Ok(to.write_all_at(bytes, offset)?),
            }
        })?;
    }
    Ok(())
}

fn copied<L: Library>(
    library: &L,
    source: &mut L::Image,
    size: u64,
    copy: &mut L::Image,
) -> Result<()> {
    for range in data(library, source, size)? {
        each_piece(library, source, range, |offset, bytes| {
            // Blocks of zeros stay unallocated, as with qemu-img.
            for (index, block) in bytes.chunks(BLOCK_BYTES as usize).enumerate() {
                if !is_zero(block) {
                    library.write(copy, offset + index as u64 * BLOCK_BYTES, block)?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Returns the map in the shape of `qemu-img map --output=json`, limited to the window. Adjacent ranges of one kind are joined, as there.
fn map<L: Library>(library: &L, image: &mut L::Image, window: Window) -> Result<Value> {
    let Range { start, end } = window.within(library.info(image)?.virtual_size);
    let mut joined: Vec<Extent> = Vec::new();
    for extent in library.map(image, start..end)? {
        let range = extent.range.start.max(start)..extent.range.end.min(end);
        if range.is_empty() {
            continue;
        }
        match joined.last_mut() {
            Some(last)
                if (last.range.end, last.zero, last.present)
                    == (range.start, extent.zero, extent.present) =>
            {
                last.range.end = range.end;
            }
            _ => joined.push(Extent { range, ..extent }),
        }
    }
    let entries = joined.iter().map(|extent| {
        let Range { start, end } = extent.range;
        json!({
            "start": start, "length": end - start, "zero": extent.zero,
            "data": !extent.zero, "present": extent.present
        })
    });
    Ok(entries.collect::<Vec<_>>().into())
}

/// Returns the counts in the shape of `qemu-img check --output=json`, which leaves out zeros.
fn counted(counts: &CheckCounts) -> Value {
    let named = counts.errors().into_iter();
    let named = named.filter(|(name, count)| *count > 0 || *name == "check-errors");
    let tree: Map<String, Value> = named
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect();
    tree.into()
}
