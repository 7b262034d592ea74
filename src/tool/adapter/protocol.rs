//! The adapter protocol: what is said to a kept tool, and what it says, one JSON object a line.
//!
//! Spoken by the embedded libraries' worker, by the Python tools and by whatever `adapter:COMMAND` names. Documented for authors in
//! `docs/adapters.md`; a change that an adapter could notice bumps [`VERSION`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::Capabilities;
use super::first_version::FirstVersion;
use crate::image::content::Contents;
use crate::image::format::Format;
use crate::image::options::CreateOption;
use crate::tool::request::{ImageFile, Request};

/// The newest version of the protocol.
pub const VERSION: u32 = 2;

/// The oldest version that is spoken too.
pub const OLDEST_VERSION: u32 = 1;

/// What the harness says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Asked {
    /// The first line: who are you?
    Hello {
        /// [`OLDEST_VERSION`]: an adapter that knows no other looks at nothing else.
        hello: u32,
        /// [`VERSION`].
        #[serde(default)]
        newest: u32,
    },
    /// Any other line: do this.
    Request {
        /// Where the files lie that the request names.
        directory: PathBuf,
        /// What is asked; its fields stand beside this one.
        #[serde(flatten)]
        request: Request,
    },
}

impl Asked {
    /// The first line.
    pub fn hello() -> Self {
        Self::Hello {
            hello: OLDEST_VERSION,
            newest: VERSION,
        }
    }

    /// The line that asks `request` about files in `directory`, in this version of the protocol.
    pub fn line(request: &Request, directory: &Path, version: u32) -> serde_json::Result<String> {
        if version == OLDEST_VERSION {
            return serde_json::to_string(&FirstAsked {
                directory,
                size_bytes: match request {
                    Request::Create { size, .. } => Some(size.bytes()),
                    _ => None,
                },
                request: FirstVersion(request),
            });
        }
        serde_json::to_string(&Self::Request {
            directory: directory.to_owned(),
            request: request.clone(),
        })
    }
}

/// A request in version 1.
#[derive(Serialize)]
struct FirstAsked<'request> {
    directory: &'request Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(flatten)]
    request: FirstVersion<'request>,
}

/// The answer to the first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The version of the protocol that it speaks: [`OLDEST_VERSION`] to [`VERSION`].
    pub protocol: u32,
    /// The tool's name.
    pub name: String,
    /// The tool's version.
    pub version: String,
    /// What it can be asked: a request's name, and the formats for which it can.
    pub can: BTreeMap<String, Vec<String>>,
    /// Whether it reads what lies in the backing file.
    #[serde(default)]
    pub backing: bool,
    /// What of these formats it lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Lack>,
}

/// A feature that a tool lacks, known from the options an image was created with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lack {
    /// The format.
    pub format: String,
    /// The create option, `NAME=VALUE`, or only `NAME`: whatever its value.
    pub option: String,
    /// The feature, in words.
    pub feature: String,
}

impl Hello {
    /// What it can be asked about plain images; names and formats that are not known here are passed over.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::of_formats(|request| {
            let offered = self.can.get(request).map_or(&[][..], Vec::as_slice);
            let is_offered = |format: &Format| offered.iter().any(|name| name == format.name());
            Format::all().filter(is_offered).collect()
        })
    }

    /// Why it cannot be asked this; nothing when it can.
    pub fn objection(&self, request: &Request) -> Option<String> {
        let name = &self.name;
        let Some(formats) = self.can.get(request.name()) else {
            return Some(format!("{name} has no {}", request.name()));
        };
        let files = request.images();
        let can = |format: Format| formats.iter().any(|offered| offered == format.name());
        let foreign = files.iter().find(|file| !can(file.format));
        if let Some(file) = foreign {
            return Some(format!("{name} cannot {} {}", request.name(), file.format));
        }
        files.into_iter().find_map(|file| self.cannot_open(file))
    }

    fn cannot_open(&self, file: &ImageFile) -> Option<String> {
        let name = &self.name;
        let is_layered = file.is_layered();
        if is_layered && !self.backing {
            return Some(format!("{name} reads no backing files"));
        }
        let lacking = self.lacks.iter().find(|lack| {
            let named = |option: &CreateOption| {
                option.name() == lack.option || option.to_string() == lack.option
            };
            lack.format == file.format.name() && file.options.iter().any(named)
        });
        let feature = lacking.map(|lack| format!("{name} lacks {}", lack.feature));
        feature.or_else(|| {
            let below = file.backing.as_deref()?;
            self.cannot_open(below)
        })
    }
}

/// The answer to a request. With none of `refused`, `unsupported` and `panicked`, it was done.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// The error, when the tool refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The feature, when the image has one that the tool says it does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
    /// The message, when the tool panicked or was broken by an exception that it does not mean to throw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panicked: Option<String>,
    /// What it says, in the shape of qemu-img's JSON; what it leaves out is not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<serde_json::Value>,
    /// For contents: the name of a raw file in the directory, sparse if it can be; it is read and removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// For contents, between parts of this program: the contents themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
    /// CPU time in nanoseconds.
    #[serde(default)]
    pub cpu_ns: u64,
    /// The most memory that the worker had at once meanwhile, in bytes.
    #[serde(default)]
    pub peak_memory_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::options::CreateOptions;

    fn hello() -> Hello {
        serde_json::from_str(
            r#"{"protocol":1,"name":"reader","version":"3","can":{"contents":["qcow2","raw"]},
                "lacks":[{"format":"qcow2","option":"extended_l2=on","feature":"extended L2 entries"}]}"#,
        )
        .expect("a hello")
    }

    fn contents(options: &[&str]) -> Request {
        let options = CreateOptions::parse(options).expect("options of ours");
        Request::Contents {
            file: ImageFile::new("a", Format::Qcow2).with_options(options),
        }
    }

    #[test]
    fn a_tool_gets_only_requests_that_it_offers() {
        let hello = hello();
        assert_eq!(hello.objection(&contents(&["cluster_size=512"])), None);
        let lacking = hello.objection(&contents(&["extended_l2=on"]));
        assert_eq!(lacking.as_deref(), Some("reader lacks extended L2 entries"));
        let file = ImageFile::new("a", Format::Vmdk);
        let foreign = hello.objection(&Request::Contents { file: file.clone() });
        assert_eq!(foreign.as_deref(), Some("reader cannot contents vmdk"));
        let other = hello.objection(&Request::Info { file });
        assert_eq!(other.as_deref(), Some("reader has no info"));
    }

    #[test]
    fn a_tool_that_reads_no_backing_files_gets_no_overlay() {
        let base = ImageFile::new("base", Format::Raw);
        let file = ImageFile::new("a", Format::Qcow2).over(&base);
        let request = Request::Contents { file };
        let objection = hello().objection(&request);
        assert_eq!(objection.as_deref(), Some("reader reads no backing files"));
        let reads = Hello {
            backing: true,
            ..hello()
        };
        assert_eq!(reads.objection(&request), None);
    }

    #[test]
    fn a_line_has_the_request_and_its_directory() {
        let options = &["cluster_size=4096", "extended_l2=on"];
        let request = contents(options);
        let line = |version| Asked::line(&request, Path::new("/scratch"), version).expect("JSON");
        assert_eq!(
            line(1),
            r#"{"directory":"/scratch","request":"contents","file":{"path":"a.qcow2","format":"qcow2","options":["cluster_size=4096","extended_l2=on"]}}"#
        );
        let line = line(2);
        assert_eq!(
            line,
            r#"{"directory":"/scratch","request":"contents","file":{"path":"a.qcow2","format":"qcow2","options":{"cluster_size":4096,"extended_l2":true}}}"#
        );
        let back: Asked = serde_json::from_str(&line).expect("the same");
        assert!(matches!(back, Asked::Request { request, .. } if request == contents(options)));
    }
}
