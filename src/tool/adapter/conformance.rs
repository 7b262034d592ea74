//! Checks whether an adapter conforms to the protocol: it gets the requests that it offers, on plain images, and
//! requests that must fail.
//!
//! `imgduel adapter-check` calls it. It also reports a plain image that the adapter reads differently; finding subtler
//! differences is the purpose of campaigns.

mod features;

use std::path::Path;
use std::time::Duration;

use crate::base::error::Result;
use crate::base::size::Size;
use crate::image::content::{Contents, Fill, Write};
use crate::image::format::Format;
use crate::process::SandboxPolicy;
use crate::tool::request::{Answer, Exit, ImageFile, NewSize, Report, Request, Window};
use crate::tool::{CallContext, Support, Tool};

/// One check.
#[derive(Debug)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// What is wrong; `None` if nothing is.
    pub failure: Option<String>,
}

/// The size of the plain images, in bytes.
const SIZE_BYTES: u64 = 1 << 20;

/// The data in the plain images.
const WRITES: [Write; 2] = [
    Write {
        offset: 65536,
        length: 4096,
        fill: Fill::Byte(0x5a),
    },
    Write {
        offset: SIZE_BYTES - 512,
        length: 512,
        fill: Fill::Byte(0x77),
    },
];

/// An adapter under test, with the reference that creates and reads its images.
pub struct Examination<'tools> {
    /// The adapter.
    pub adapter: &'tools dyn Tool,
    /// qemu-img.
    pub reference: &'tools dyn Tool,
    /// An empty directory.
    pub directory: &'tools Path,
    /// The wall time limit of one call.
    pub limit: Duration,
}

impl Examination<'_> {
    /// Runs all checks, in order. An error means that the reference failed.
    pub fn checks(&self) -> Result<Vec<Check>> {
        let mut checks = Vec::new();
        // The reference makes the images.
        for format in Format::all().filter(|format| format.is_written()) {
            let file = ImageFile::new("plain", format);
            let offered = requests(&file)
                .into_iter()
                .filter(|request| self.adapter.support(request) == Support::Yes);
            for request in offered {
                let what = format!("{} {format}", request.name());
                let failure = self.plain(&file, &request)?;
                checks.push(Check { what, failure });
            }
            checks.extend(self.what_must_go_wrong(&file)?);
        }
        checks.extend(self.features()?);
        if checks.is_empty() {
            checks.push(Check {
                what: "hello".to_owned(),
                failure: Some("it offers no request that can be checked".to_owned()),
            });
        }
        Ok(checks)
    }

    fn ask(&self, tool: &dyn Tool, request: &Request) -> Result<Answer> {
        let call_context = CallContext {
            directory: self.directory,
            limit: self.limit,
            grace: Duration::ZERO,
            sandbox: &SandboxPolicy::default(),
            memory_bytes_max: None,
        };
        tool.ask(request, &call_context)
    }

    /// Creates the plain image of a format; returns its contents, or why the reference refused.
    fn made(&self, file: &ImageFile) -> Result<std::result::Result<Contents, String>> {
        let create = Request::Create {
            file: file.clone(),
            size: Size::of_bytes(SIZE_BYTES),
        };
        let write = Request::Write {
            file: file.clone(),
            writes: WRITES.to_vec(),
        };
        for request in [create, write] {
            let answer = self.ask(self.reference, &request)?;
            if !answer.succeeded() {
                return Ok(Err(answer.describe()));
            }
        }
        self.read(file)
    }

    /// Returns the reference's reading.
    fn read(&self, file: &ImageFile) -> Result<std::result::Result<Contents, String>> {
        let answer = self.ask(self.reference, &Request::Contents { file: file.clone() })?;
        let described = answer.describe();
        Ok(answer.report.contents().cloned().ok_or(described))
    }

    /// Sends one request on a plain image and returns what is wrong with the answer.
    fn plain(&self, file: &ImageFile, request: &Request) -> Result<Option<String>> {
        let before = match self.made(file)? {
            Ok(contents) => contents,
            Err(why) => return Ok(Some(format!("qemu-img could not make the image: {why}"))),
        };
        if let Request::Convert { source, .. } = request {
            std::fs::write(self.directory.join(&source.path), [7; 4096])
                .map_err(|error| crate::base::error::Error::io("write", self.directory, &error))?;
        }
        let answer = self.ask(self.adapter, request)?;
        if !answer.succeeded() {
            return Ok(Some(answer.describe()));
        }
        let wanted: Vec<Write> = match request {
            Request::Info { .. } => {
                let size = answer
                    .report
                    .tree()
                    .map(|tree| tree["virtual-size"].as_u64());
                let wrong = size != Ok(Some(before.size));
                let want = before.size;
                return Ok(wrong.then(|| format!("\"virtual-size\" is to be {want} in its json")));
            }
            Request::Map { .. } => {
                let is_list = answer.report.tree().is_ok_and(|tree| tree.is_array());
                return Ok((!is_list).then(|| "its json is to be a list of extents".to_owned()));
            }
            Request::Check { .. } => {
                let is_object = matches!(answer.report, Report::Check(_));
                return Ok((!is_object).then(|| "its json is to be an object".to_owned()));
            }
            Request::Contents { .. } => {
                return Ok(match answer.report.contents() {
                    Some(contents) => difference(contents, &before),
                    None => Some("it gives no \"raw\"".to_owned()),
                });
            }
            Request::Create { .. } => Vec::new(),
            Request::Convert { .. } => vec![all(7, 4096)],
            Request::Write { writes, .. } => WRITES.iter().chain(writes).cloned().collect(),
            Request::WriteZeroes { .. } | Request::Discard { .. } => WRITES[1..].to_vec(),
            _ => WRITES.to_vec(),
        };
        Ok(match self.read(request.file())? {
            Ok(contents) => {
                let size = match request {
                    Request::Resize { end_bytes, .. } => *end_bytes,
                    // The check does not depend on how a format rounds the size.
                    _ => contents.size,
                };
                difference(&contents, &Contents::of_writes(size, &wanted))
            }
            Err(why) => Some(format!("qemu-img cannot read what it left: {why}")),
        })
    }

    /// Checks a missing file and a truncated one: the adapter must refuse in an orderly way, and answer the next
    /// request.
    fn what_must_go_wrong(&self, file: &ImageFile) -> Result<Vec<Check>> {
        let contents = Request::Contents { file: file.clone() };
        if self.adapter.support(&contents) != Support::Yes || file.format == Format::Raw {
            return Ok(Vec::new());
        }
        if self.made(file)?.is_err() {
            return Ok(Vec::new());
        }
        let check = |what: &str, failure| Check {
            what: format!("{what} {}", file.format),
            failure,
        };
        let missing = ImageFile {
            path: "missing".to_owned(),
            ..file.clone()
        };
        let answer = self.ask(self.adapter, &Request::Contents { file: missing })?;
        let is_refused = matches!(answer.exit, Exit::Refused(_));
        let failure = (!is_refused).then(|| format!("to be refused: {}", answer.describe()));
        let mut checks = vec![check("a missing", failure)];

        let path = self.directory.join(&file.path);
        let cut = std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|image| image.set_len(100));
        cut.map_err(|error| crate::base::error::Error::io("cut", &path, &error))?;
        let answer = self.ask(self.adapter, &contents)?;
        let died = matches!(answer.exit, Exit::Crashed(_) | Exit::TimedOut(_));
        checks.push(check("a cut", died.then(|| answer.describe())));

        let again = self.plain(file, &contents)?;
        checks.push(check("another", again));
        Ok(checks)
    }
}

fn difference(found: &Contents, wanted: &Contents) -> Option<String> {
    let difference = found.difference(wanted)?;
    Some(format!(
        "{} is {} where it is to be {}",
        difference.place, difference.first, difference.second
    ))
}

fn all(byte: u8, length: u64) -> Write {
    Write {
        offset: 0,
        length,
        fill: Fill::Byte(byte),
    }
}

/// Returns the requests that can be checked on a plain image. An adapter may offer more; only campaigns make those.
fn requests(file: &ImageFile) -> Vec<Request> {
    let file = || file.clone();
    vec![
        Request::Info { file: file() },
        Request::Check { file: file() },
        Request::Map {
            file: file(),
            window: Window::WHOLE,
        },
        Request::Contents { file: file() },
        Request::Compare {
            first: file(),
            second: file(),
        },
        Request::Create {
            file: file(),
            size: Size::of_bytes(SIZE_BYTES),
        },
        Request::Convert {
            source: ImageFile::new("source", Format::Raw),
            target: file(),
            compress: false,
            mode: Default::default(),
        },
        Request::Resize {
            file: file(),
            size: NewSize::of_bytes(2 * SIZE_BYTES),
            end_bytes: 2 * SIZE_BYTES,
            shrink: false,
            preallocation: None,
        },
        Request::Write {
            file: file(),
            writes: vec![all(0x11, 512)],
        },
        Request::WriteZeroes {
            file: file(),
            offset: 65536,
            length: 65536,
            unmap: false,
        },
        Request::Discard {
            file: file(),
            offset: 65536,
            length: 65536,
        },
    ]
}
