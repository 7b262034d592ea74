//! The adapter protocol: the messages between the harness and a persistent tool, one JSON object per line.
//!
//! The worker of the embedded libraries, the Python tools and every `adapter:COMMAND` speak it. `docs/adapters.md`
//! documents it for authors; a change that an adapter could notice increases [`VERSION`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::Capabilities;
use super::first_version::FirstVersion;
use crate::image::content::Contents;
use crate::image::format::Format;
use crate::image::options::CreateOption;
use crate::tool::request::{DataFile, ImageFile, Request, SessionOutcome, SessionRequest, singles};

/// The newest version of the protocol.
pub const VERSION: u32 = 2;

/// The oldest version that is still supported.
pub const OLDEST_VERSION: u32 = 1;

/// A message of the harness.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "there is one message at a time")]
pub enum Message {
    /// The first line: the handshake.
    Hello {
        /// [`OLDEST_VERSION`]: an adapter that supports no other ignores the rest.
        hello: u32,
        /// [`VERSION`].
        #[serde(default)]
        newest: u32,
    },
    /// Any other line: a request.
    Request {
        /// The directory of the request's files.
        directory: PathBuf,
        /// The request; its fields are beside this one.
        #[serde(flatten)]
        request: Request,
    },
}

impl Message {
    /// Returns the first line.
    pub fn hello() -> Self {
        Self::Hello {
            hello: OLDEST_VERSION,
            newest: VERSION,
        }
    }

    /// Returns the line for `request` on files in `directory`, in this version of the protocol.
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
        let line = Self::Request {
            directory: directory.to_owned(),
            request: request.clone(),
        };
        let needed = DataFile::needed_by(request);
        if needed.is_empty() {
            return serde_json::to_string(&line);
        }
        let mut line = serde_json::to_value(&line)?;
        for file in needed {
            let list = match request {
                Request::Session { .. } => "requests",
                _ => "writes",
            };
            line[list][file.index]["data_file"] = file.name.into();
        }
        serde_json::to_string(&line)
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
    /// The version of the protocol that the adapter speaks: [`OLDEST_VERSION`] to [`VERSION`].
    pub protocol: u32,
    /// The name of the tool.
    pub name: String,
    /// The version of the tool.
    pub version: String,
    /// The supported requests: the name of a request, and the formats that it is supported for.
    pub can: BTreeMap<String, Vec<String>>,
    /// Whether it reads data from the backing file.
    #[serde(default)]
    pub backing: bool,
    /// Whether it takes the data of a write from the file that `data_file` names, where `byte` is missing.
    #[serde(default)]
    pub data_from_files: bool,
    /// Whether it takes the modes of convert, rebase, commit, measure and bitmap, that is, their other fields. Without
    /// it, it is asked for these requests in their usual form only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub modes: bool,
    /// The unsupported features of these formats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Lack>,
}

/// An unsupported feature, known from an image's creation options.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lack {
    /// The format.
    pub format: String,
    /// The creation option: `NAME=VALUE`, or `NAME` for any value.
    pub option: String,
    /// The name of the feature.
    pub feature: String,
}

impl Hello {
    /// Returns the capabilities for plain images. Unknown names and formats are ignored.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::of_formats(|request| {
            let offered = self.can.get(request).map_or(&[][..], Vec::as_slice);
            let is_offered = |format: &Format| offered.iter().any(|name| name == format.name());
            Format::all().filter(is_offered).collect()
        })
    }

    /// Returns why the tool does not support the request; `None` if it does.
    pub fn objection(&self, request: &Request) -> Option<String> {
        let name = &self.name;
        let Some(formats) = self.can.get(request.name()) else {
            return Some(format!("{name} has no {}", request.name()));
        };
        if let Request::Session { file, requests } = request {
            if self.protocol == OLDEST_VERSION {
                return Some(format!(
                    "{name} speaks a version of the protocol without sessions"
                ));
            }
            let objection = self.objection_in_session(file, requests);
            if objection.is_some() {
                return objection;
            }
        }
        let files = request.images();
        let can = |format: Format| formats.iter().any(|offered| offered == format.name());
        let foreign = files.iter().find(|file| !can(file.format));
        if let Some(file) = foreign {
            return Some(format!("{name} cannot {} {}", request.name(), file.format));
        }
        let of_mode = request.objection_of_mode(name);
        if let Some(objection) = of_mode.filter(|_| !self.modes) {
            return Some(objection);
        }
        if !self.data_from_files && !DataFile::needed_by(request).is_empty() {
            return Some(format!("{name} writes repeated bytes only"));
        }
        files.into_iter().find_map(|file| self.cannot_open(file))
    }

    /// Returns which of the requests of a session the tool does not even support outside one.
    fn objection_in_session(
        &self,
        file: &ImageFile,
        requests: &[SessionRequest],
    ) -> Option<String> {
        let is_offered = |name: &str| {
            let formats = self.can.get(name).map_or(&[][..], Vec::as_slice);
            formats.iter().any(|offered| offered == file.format.name())
        };
        let mut needed = singles(requests).filter_map(SessionRequest::needs);
        let missing = needed.find(|name| !is_offered(name))?;
        Some(format!("{} cannot {missing} {}", self.name, file.format))
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

/// The answer to a request. Without `refused`, `unsupported` and `panicked`, the tool performed it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// The error, if the tool refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The feature, if the tool reports an unknown feature of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
    /// The message, if the tool panicked or an unexpected exception was thrown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panicked: Option<String>,
    /// The output, in the shape of qemu-img's JSON; missing facts are not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<serde_json::Value>,
    /// For contents: the name of a raw file in the directory, preferably sparse; the harness reads and removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// For contents within imgduel: the contents themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
    /// For a session within imgduel: the outcomes themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Vec<SessionOutcome>>,
    /// The CPU time in nanoseconds.
    #[serde(default)]
    pub cpu_ns: u64,
    /// The peak memory of the worker during the request, in bytes.
    #[serde(default)]
    pub peak_memory_bytes: u64,
}

#[cfg(test)]
mod tests;
