//! The embedded crates that only read: each returns a disk's size and its bytes.
//!
//! This file has their common parts; each defines a [`Reader`] in its own file, and `libraries.rs` lists them. The
//! worker hosts them.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::json;

use super::adapter::protocol::{self, Hello, Lack, Response};
use super::worker::Library;
use super::{FLAT_SUFFIX, Reproducer};
use crate::image::content::{Contents, ContentsBuilder};
use crate::image::format::Format;
use crate::tool::request::Request;

/// The maximum size in bytes of a disk that is read: a reader reports no holes, so every byte costs time.
pub(super) const READ_LIMIT_BYTES: u64 = 1 << 30;

/// The number of bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;

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
    pub(super) open: fn(&Path) -> std::result::Result<Disk, Refusal>,
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
    pub(super) size: u64,
    /// The guest-visible bytes.
    pub(super) bytes: Box<dyn ReadSeek>,
}

/// A source of bytes with random access.
pub(super) trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// Why a disk cannot be read.
pub(super) enum Refusal {
    /// The disk has a feature that the crate reports as unknown.
    Unsupported(String),
    /// Something is wrong with the disk.
    Refused(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Unsupported => Self::Unsupported(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl Library for Reader {
    fn hello(&self) -> Hello {
        let format = || self.format.name().to_owned();
        let lack = |(option, feature): &(&str, &str)| Lack {
            format: format(),
            option: (*option).to_owned(),
            feature: (*feature).to_owned(),
        };
        Hello {
            protocol: protocol::VERSION,
            name: self.name.to_owned(),
            version: self.version.to_owned(),
            can: BTreeMap::from(["info", "contents"].map(|name| (name.to_owned(), vec![format()]))),
            backing: false,
            lacks: self.lacks.iter().map(lack).collect(),
        }
    }

    fn answer(&self, request: &Request, directory: &Path) -> Response {
        let mut response = Response::default();
        match self.call(request, directory, &mut response) {
            Ok(()) => {}
            Err(Refusal::Unsupported(feature)) => response.unsupported = Some(feature),
            Err(Refusal::Refused(why)) => response.refused = Some(why),
        }
        response
    }
}

impl Reader {
    pub(super) fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let (Request::Info { file } | Request::Contents { file }) = request else {
            return None;
        };
        let (path, format) = (&file.path, self.format.name());
        let call = match request {
            Request::Info { .. } => format!("info({path:?}, {format:?})"),
            _ => format!("flatten({path:?}, {:?})", path.clone() + FLAT_SUFFIX),
        };
        let template = self.by_hand;
        Some(Reproducer::RustCall { template, call })
    }

    fn call(
        &self,
        request: &Request,
        directory: &Path,
        response: &mut Response,
    ) -> std::result::Result<(), Refusal> {
        let disk = (self.open)(&directory.join(&request.file().path))?;
        match request {
            Request::Info { .. } => {
                response.json = Some(json!({ "virtual-size": disk.size, "format": self.format }));
            }
            Request::Contents { .. } => response.contents = Some(contents(disk)?),
            other => {
                let what = format!("{} has no {}", self.name, other.name());
                return Err(Refusal::Unsupported(what));
            }
        }
        Ok(())
    }
}

fn contents(mut disk: Disk) -> std::result::Result<Contents, Refusal> {
    if disk.size > READ_LIMIT_BYTES {
        let what = format!("disks above {READ_LIMIT_BYTES} bytes are not read through it");
        return Err(Refusal::Unsupported(what));
    }
    let mut contents = ContentsBuilder::new(disk.size);
    let mut piece = vec![0; PIECE_BYTES];
    disk.bytes.seek(SeekFrom::Start(0))?;
    let mut offset = 0;
    while offset < disk.size {
        let length = (disk.size - offset).min(PIECE_BYTES as u64) as usize;
        let part = &mut piece[..length];
        disk.bytes.read_exact(part)?;
        contents.add(offset, part);
        offset += length as u64;
    }
    Ok(contents.finish())
}
