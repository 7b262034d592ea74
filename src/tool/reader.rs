//! The embedded crates that only read: each returns a disk's size and its bytes.
//!
//! This file has their common parts; each defines a [`Reader`] in its own file, and `libraries.rs` lists them. The
//! worker hosts them.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::library::{Access, Info, Library, Offer, Result};
use super::{FLAT_SUFFIX, Reproducer};
use crate::image::format::Format;
use crate::tool::request::{ImageFile, Request, SessionRequest, singles};

/// A crate that reads one format.
pub(super) struct Reader {
    /// The name, as a tool and as a cargo feature.
    pub(super) name: &'static str,
    /// The version.
    pub(super) version: &'static str,
    /// The format.
    pub(super) format: Format,
    /// The creation options of images that the crate reports as unsupported, each with the name of the feature.
    pub(super) lacks: &'static [(&'static str, &'static str)],
    /// Opens an image.
    pub(super) open: fn(&Path) -> Result<Disk>,
    /// The program for the calls of a person, made by [`reproducer`].
    pub(super) by_hand: &'static str,
}

/// Defines the program for the calls of a person, which calls the library like the tool's own `open`. The arguments are
/// the dependency, as in a manifest, and a function `open(path: &str) -> Result<(u64, impl Read + Seek), Box<dyn
/// Error>>`.
macro_rules! reproducer {
    ($dependency:literal, $open:literal) => {
        concat!(
            "@HEAD@\n//\n// [package]\n// name = \"reproducer\"\n// version = \"0.1.0\"\n// edition = \"2024\"\n//\n// [dependencies]\n// ",
            $dependency,
            "\n\n",
            include_str!("reader/reproducer.rs.in"),
            "\n",
            $open,
            "\n"
        )
    };
}
pub(super) use reproducer;

/// An open disk.
pub(super) struct Disk {
    /// The guest-visible size in bytes.
    size: u64,
    /// The guest-visible bytes.
    bytes: Box<dyn ReadSeek>,
    /// Where the next byte is read.
    position: Option<u64>,
}

impl Disk {
    /// Returns a disk of `size` bytes.
    pub(super) fn new(size: u64, bytes: impl ReadSeek + 'static) -> Self {
        Self {
            size,
            bytes: Box::new(bytes),
            position: None,
        }
    }
}

/// A source of bytes with random access.
pub(super) trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

impl Library for Reader {
    type Image = Disk;

    fn capabilities(&self) -> Offer {
        let format = self.format.name();
        let offer = Offer::new(self.name, self.version)
            .takes(&["info", "contents", "session"], [format])
            .with_data_files()
            .with_encryption();
        let lacks = self.lacks.iter();
        lacks.fold(offer, |offer, (option, feature)| {
            offer.lacks(format, option, feature)
        })
    }

    fn open(&self, path: &Path, _: &ImageFile, _: Access) -> Result<Disk> {
        (self.open)(path)
    }

    fn info(&self, image: &mut Disk) -> Result<Info> {
        Ok(Info::of_size(image.size))
    }

    fn read(&self, image: &mut Disk, offset: u64, buffer: &mut [u8]) -> Result<()> {
        // A session asks for ranges that no disk has, too: what the library says of them is its answer.
        let end = offset.checked_add(buffer.len() as u64);
        if std::mem::replace(&mut image.position, end) != Some(offset) {
            image.bytes.seek(SeekFrom::Start(offset))?;
        }
        Ok(image.bytes.read_exact(buffer)?)
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let file = match request {
            Request::Info { file } | Request::Contents { file } => file,
            Request::Session { file, .. } if request.is_reading() => file,
            _ => return None,
        };
        let (path, format) = (&file.path, self.format.name());
        let call = match request {
            Request::Session { requests, .. } => {
                let ranges = singles(requests).filter_map(SessionRequest::range);
                let ranges: Vec<(u64, u64)> = ranges.collect();
                format!("session({path:?}, &{ranges:?})")
            }
            Request::Info { .. } => format!("info({path:?}, {format:?})"),
            _ => format!("flatten({path:?}, {:?})", path.clone() + FLAT_SUFFIX),
        };
        let template = self.by_hand;
        Some(Reproducer::RustCall { template, call })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_range_that_no_disk_has_is_refused_by_the_library_and_not_a_panic_of_ours() {
        let reader = Reader {
            name: "reader",
            version: "1",
            format: Format::Vdi,
            lacks: &[],
            open: |_| Ok(Disk::new(4, Cursor::new(b"data"))),
            by_hand: "",
        };
        let mut disk = Disk::new(4, Cursor::new(b"data"));
        let mut buffer = [0; 4];
        assert!(reader.read(&mut disk, u64::MAX - 1, &mut buffer).is_err());
        // What is read next is still what is there.
        reader
            .read(&mut disk, 0, &mut buffer)
            .expect("it is within the disk");
        assert_eq!(&buffer, b"data");
    }
}
