//! The model as reference: our own readers and writers in place of a tool.
//!
//! It is what `--reference model` names. It works inside this program, on the files of the side that it is asked about, and knows raw, qcow2,
//! vmdk, vpc, vhdx and vdi as far as [`plain`](crate::disk_format::plain) does. What a guest must see it does not decide: the operations hold every answer against the
//! [`Model`](crate::image::model::Model), which goes the same way without any file.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::{CallContext, Capabilities, Reproducer, Support, Tool, ToolEnv, ToolSpec, qemu_img};
use crate::base::error;
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::Contents;
use crate::image::format::Format;
use crate::image::options::{Compression, Subformat};
use crate::process::Captured;
use crate::tool::request::{Answer, Exit, ImageFile, Report, Request, SessionOutcome};

mod changes;
mod copies;
mod readings;
mod sessions;

/// What it is called in a tool spec.
pub const NAME: &str = "model";

/// The formats of the images that it reads and writes.
const FORMATS: [Format; 6] = [
    Format::Raw,
    Format::Qcow2,
    Format::Vmdk,
    Format::Vpc,
    Format::Vhdx,
    Format::Vdi,
];

/// What came of a request.
#[derive(Default)]
struct Done {
    /// The JSON that a tool would print.
    json: Option<Value>,
    /// What a guest sees.
    contents: Option<Contents>,
    /// What came of the requests of a session.
    session: Option<Vec<SessionOutcome>>,
    /// The exit code of an answer that is no success and no error: the images differ, or something is wrong with one.
    code: i32,
}

struct ModelTool {
    capabilities: Capabilities,
    /// Whether zeros that qemu-img would write out take space on the host.
    takes_space: bool,
}

pub(super) fn open(_: &ToolSpec, _: &ToolEnv) -> error::Result<Arc<dyn Tool>> {
    Ok(tool())
}

/// The model as a tool.
pub fn tool() -> Arc<dyn Tool> {
    Arc::new(ModelTool {
        capabilities: capabilities(),
        takes_space: true,
    })
}

/// The model where nobody compares how much space the images that it makes take: it writes no zeros out.
pub fn sparing_tool() -> Arc<dyn Tool> {
    Arc::new(ModelTool {
        capabilities: capabilities(),
        takes_space: false,
    })
}

fn capabilities() -> Capabilities {
    let qcow2 = &FORMATS[1..2];
    Capabilities::of_formats(|_| FORMATS.to_vec())
        .with(&["amend", "rebase", "commit", "snapshot", "check"], qcow2)
        .with(&["resize", "measure"], &FORMATS[..2])
        .with(&["bitmap"], &[])
}

impl Tool for ModelTool {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn program(&self) -> Option<&Path> {
        None
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn support(&self, request: &Request) -> Support {
        let objection = match request {
            Request::Bitmap { .. } | Request::Repair { .. } | Request::SnapshotList { .. } => {
                Some(format!("the model has no {}", request.name()))
            }
            Request::Commit { base: Some(_), .. } => {
                Some("the model commits into the next image only".to_owned())
            }
            Request::Convert {
                target, compress, ..
            }
            | Request::ConvertSnapshot {
                target, compress, ..
            } if *compress && (target.format != Format::Qcow2 || target.data_file().is_some()) => {
                Some("the model compresses clusters of a plain qcow2 only".to_owned())
            }
            Request::Resize { file, .. } | Request::Measure { source: file, .. }
                if file.format == Format::Vmdk =>
            {
                Some(format!("the model has no {} of vmdk", request.name()))
            }
            _ => None,
        };
        let objection = objection.or_else(|| request.objection_of_mode("the model"));
        let unknown = || request.images().into_iter().find_map(unknown);
        Support::unless(objection.or_else(unknown))
    }

    fn lack(&self, request: &Request) -> Option<String> {
        match self.support(request) {
            Support::Yes => None,
            Support::No(what) => Some(what),
        }
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> error::Result<Answer> {
        let started = Instant::now();
        let outcome = answered(request, call_context.directory, self.takes_space);
        let command = [NAME, request.name(), &request.file().path];
        let mut answer = Answer::from(Exit::Success);
        answer.transcript.command = command.map(str::to_owned).into();
        answer.usage.calls = 1;
        match outcome {
            Ok(done) => {
                if let Some(json) = done.json {
                    answer.transcript.stdout = Captured::from_text(json.to_string());
                    answer.report = Report::from_json(request.kind(), json, true);
                }
                if let Some(contents) = done.contents {
                    answer.report = Report::Contents(contents);
                }
                if let Some(outcomes) = done.session {
                    answer.report = Report::Session(outcomes);
                }
                if done.code != 0 {
                    answer.exit = Exit::Refused(done.code);
                }
            }
            Err(why) => answer.refuse(1, why),
        }
        answer.usage.duration = started.elapsed();
        Ok(answer)
    }

    /// The model has no command line: a person asks qemu-img.
    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let [image, io] = ["qemu-img", "qemu-io"].map(Path::new);
        qemu_img::by_hand(request, image, Some(io))
    }
}

/// What of an image, or of one below it, is not known here.
fn unknown(file: &ImageFile) -> Option<String> {
    let own = match file.format {
        _ if !file.placement.is_usual() => Some("images in directories"),
        Format::Raw => None,
        Format::Qcow2 if file.is_encrypted() => Some("encryption"),
        Format::Qcow2 if file.options.has_extended_l2() => Some("extended_l2"),
        Format::Qcow2 if file.options.compression_type() == Some(Compression::Zstd) => Some("zstd"),
        Format::Qcow2 => None,
        Format::Vmdk if file.options.subformat() == Some(Subformat::StreamOptimized) => {
            Some("streamOptimized vmdk")
        }
        Format::Vmdk | Format::Vpc | Format::Vhdx | Format::Vdi if file.backing.is_some() => {
            Some("differencing images")
        }
        Format::Vmdk | Format::Vpc | Format::Vhdx | Format::Vdi => None,
        other => Some(other.name()),
    };
    let own = own.map(|what| format!("the model does not support {what}"));
    own.or_else(|| unknown(file.backing.as_deref()?))
}

fn answered(request: &Request, directory: &Path, takes_space: bool) -> Result<Done, Unparsable> {
    match request {
        Request::Create { .. }
        | Request::Resize { .. }
        | Request::Write { .. }
        | Request::WriteZeroes { .. }
        | Request::Discard { .. }
        | Request::Amend { .. }
        | Request::Bench { .. }
        | Request::Snapshot { .. } => changes::answered(request, directory),
        Request::Convert { .. }
        | Request::ConvertSnapshot { .. }
        | Request::Dd { .. }
        | Request::Rebase { .. }
        | Request::Commit { .. } => copies::answered(request, directory, takes_space),
        Request::Info { .. }
        | Request::Check { .. }
        | Request::Measure { .. }
        | Request::Contents { .. }
        | Request::Map { .. }
        | Request::Compare { .. }
        | Request::SnapshotContents { .. } => readings::answered(request, directory),
        Request::Session { file, requests } => sessions::answered(file, requests, directory),
        Request::Bitmap { .. } | Request::Repair { .. } | Request::SnapshotList { .. } => {
            Err(no(request))
        }
    }
}

/// The refusal of what [`ModelTool::support`] excludes.
fn no(request: &Request) -> Unparsable {
    Unparsable::new(format!("the model has no {}", request.name()))
}
