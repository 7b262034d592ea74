//! The interface of a library under test: what the author of a crate implements, and what imago and the embedded readers implement here.
//!
//! A library says which formats it reads and writes, opens an image, and has a method for each thing that it can do. [`hosting`] turns requests into these
//! calls, inside a worker process. Nothing here knows requests of whole cases, processes or other tools.

mod asynchronous;
mod error;
pub mod hosting;
mod offer;
mod probe;
mod session;

use std::ops::Range;
use std::path::Path;

pub use asynchronous::{AsyncLibrary, Blocking, block_on};
pub use error::{Error, Result};
pub use offer::Offer;
pub use session::{Outcome, one_by_one};

use crate::image::options::Preallocation;
use crate::tool::request::{CheckCounts, ImageFile, Request, SessionRequest};
use crate::tool::{Reproducer, Support};

/// What an image is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading.
    Read,
    /// For reading and writing.
    Write,
}

/// What a library says about an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// The size in bytes that a guest sees.
    pub virtual_size: u64,
    /// More facts, by the names in `qemu-img info --output=json`; each is compared.
    pub facts: serde_json::Map<String, serde_json::Value>,
}

impl Info {
    /// Returns an image's size in bytes, as a guest sees it, and no other facts.
    pub fn of_size(virtual_size: u64) -> Self {
        Self {
            virtual_size,
            facts: serde_json::Map::new(),
        }
    }
}

/// A range of the guest's address space that is mapped in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The range in bytes.
    pub range: Range<u64>,
    /// Whether it reads as zeros without any data.
    pub zero: bool,
    /// Whether this image says what is there, not its backing file.
    pub present: bool,
}

/// A change of an image's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// The new size in bytes.
    pub end_bytes: u64,
    /// Whether data at the end may be lost.
    pub shrink: bool,
    /// How the growth is to be allocated.
    pub preallocation: Option<Preallocation>,
    /// Whether the image lies on a backing file, which must not show through in what grows.
    pub is_overlay: bool,
}

/// A library under test.
///
/// Its author implements [`capabilities`](Library::capabilities), [`open`](Library::open), and of the other methods those that the library has. What is
/// not implemented is a capability that is missing: the library is not asked, and nothing is held against it.
///
/// Everything but `capabilities`, `support` and `reproducer` is called in a worker process: a panic, an abort, a hang and too much memory are answers, and
/// end up in the verdict. Each request has its own thread. Offsets and lengths are in bytes and lie within the image, unless the case is about just that.
///
/// ```
/// use std::fs::File;
/// use std::os::unix::fs::FileExt;
/// use std::path::Path;
///
/// use imgduel::library::{Access, Error, ImageFile, Info, Library, Offer};
///
/// /// A reader of raw images.
/// struct Raw;
///
/// impl Library for Raw {
///     type Image = File;
///
///     fn capabilities(&self) -> Offer {
///         Offer::new("raw-reader", "0.1.0").reads(["raw"])
///     }
///
///     fn open(&self, path: &Path, _: &ImageFile, _: Access) -> Result<File, Error> {
///         Ok(File::open(path)?)
///     }
///
///     fn info(&self, image: &mut File) -> Result<Info, Error> {
///         Ok(Info::of_size(image.metadata()?.len()))
///     }
///
///     fn read(&self, image: &mut File, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
///         Ok(image.read_exact_at(buffer, offset)?)
///     }
/// }
/// ```
#[allow(
    unused_variables,
    reason = "a default method has the names of its arguments for its documentation"
)]
pub trait Library: Send + Sync + 'static {
    /// An open image.
    type Image;

    /// Returns the library's name and version, and the formats that it reads and writes.
    fn capabilities(&self) -> Offer;

    /// Opens the image at `path`. `file` says how the image was made: its format, its create options, its backing file.
    fn open(&self, path: &Path, file: &ImageFile, access: Access) -> Result<Self::Image>;

    /// Makes an image of `size` bytes at `path`, with the format and the options in `file`, and returns it opened for writing.
    fn create(&self, path: &Path, file: &ImageFile, size: u64) -> Result<Self::Image> {
        Err(Error::missing())
    }

    /// Describes an image. Without it nothing is read, because nobody knows how far.
    fn info(&self, image: &mut Self::Image) -> Result<Info> {
        Err(Error::missing())
    }

    /// Fills the buffer with what a guest reads at `offset`.
    fn read(&self, image: &mut Self::Image, offset: u64, buffer: &mut [u8]) -> Result<()> {
        Err(Error::missing())
    }

    /// Writes what a guest writes at `offset`.
    fn write(&self, image: &mut Self::Image, offset: u64, bytes: &[u8]) -> Result<()> {
        Err(Error::missing())
    }

    /// Fills the buffers, one behind the other, with what a guest reads at `offset`. The default reads at once what all of them take.
    fn read_vector(
        &self,
        image: &mut Self::Image,
        offset: u64,
        buffers: &mut [&mut [u8]],
    ) -> Result<()> {
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        let mut bytes = vec![0; length];
        self.read(image, offset, &mut bytes)?;
        let mut rest = &bytes[..];
        for buffer in buffers {
            let (own, behind) = rest.split_at(buffer.len());
            buffer.copy_from_slice(own);
            rest = behind;
        }
        Ok(())
    }

    /// Writes the buffers, one behind the other, at `offset`. The default writes all of them at once.
    fn write_vector(&self, image: &mut Self::Image, offset: u64, buffers: &[&[u8]]) -> Result<()> {
        self.write(image, offset, &buffers.concat())
    }

    /// Makes many requests on an open image, in order, and returns what came of each; of those that are made together, what came of each as well. The
    /// default calls the other methods one after another. A request may lie anywhere, even far behind the end of the image.
    fn session(
        &self,
        image: &mut Self::Image,
        file: &ImageFile,
        requests: &[SessionRequest],
    ) -> Result<Vec<Outcome>> {
        session::one_by_one(self, image, file, requests)
    }

    /// Makes a range read as zeros; with `unmap`, its space may be given back.
    fn zero(&self, image: &mut Self::Image, offset: u64, length: u64, unmap: bool) -> Result<()> {
        Err(Error::missing())
    }

    /// Gives the space of a range back; it reads as zeros afterwards.
    fn discard(&self, image: &mut Self::Image, offset: u64, length: u64) -> Result<()> {
        Err(Error::missing())
    }

    /// Changes the size that a guest sees.
    fn resize(&self, image: &mut Self::Image, resize: &Resize) -> Result<()> {
        Err(Error::missing())
    }

    /// Returns what is allocated in `range`, in order; extents may reach beyond it.
    fn map(&self, image: &mut Self::Image, range: Range<u64>) -> Result<Vec<Extent>> {
        Err(Error::missing())
    }

    /// Checks the metadata.
    fn check(&self, image: &mut Self::Image) -> Result<CheckCounts> {
        Err(Error::missing())
    }

    /// Brings all that was written into the file, after the last change of a request. The default does nothing.
    fn flush(&self, image: &mut Self::Image) -> Result<()> {
        Ok(())
    }

    /// Returns the ranges that may hold anything but zeros, in order, so that huge sparse images can be read. Without it, a whole image is read, if it has at
    /// most 1 GiB.
    fn data(&self, image: &mut Self::Image) -> Result<Vec<Range<u64>>> {
        Err(Error::missing())
    }

    /// Returns whether the library can be asked this, where that is more than [`Offer`] can say. `None` leaves it to the offer. Runs nothing.
    fn support(&self, request: &Request) -> Option<Support> {
        None
    }

    /// Returns how a person makes the request without imgduel. `None`: the script starts the test target as an adapter. Runs nothing.
    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        None
    }
}
