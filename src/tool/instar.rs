//! instar, a qemu-img replacement that parses images inside a KVM guest.
//!
//! Its dialect and its limits follow its documentation. Its deliberate differences belong into the catalogue of known
//! divergences, not here; only what it does not support at all is unsupported.

use std::path::Path;
use std::sync::Arc;

use super::command_line::{self, Introduction, Program, flat, words};
use super::{CallContext, Capabilities, Reproducer, Support, Tool, ToolEnv, ToolSpec};
use crate::base::error::Result;
use crate::image::format::Format;
use crate::tool::request::qemu_words::{self, InWords};
use crate::tool::request::{Answer, ImageFile, Request};

struct Instar {
    capabilities: Capabilities,
    program: Program,
    version: String,
}

/// How instar identifies itself.
const INTRODUCTION: Introduction = Introduction {
    argument: "--version",
    begins: &["instar "],
};

pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let program = command_line::find(spec)?;
    let version = command_line::version(spec, &program, &INTRODUCTION, tool_env)?;
    Ok(Arc::new(Instar {
        capabilities: capabilities(),
        program: Program::new(program, tool_env),
        version,
    }))
}

impl Tool for Instar {
    fn name(&self) -> &str {
        "instar"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn program(&self) -> Option<&Path> {
        Some(&self.program.path)
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn support(&self, request: &Request) -> Support {
        let objection = match request {
            Request::Info { file } if file.format == Format::Raw => {
                Some("instar refuses raw images without a partition table".to_owned())
            }
            Request::Check { file } if file.format == Format::Raw => {
                Some("instar cannot check raw".to_owned())
            }
            Request::Create { file, .. } => create_objection(file),
            Request::SnapshotContents { .. } | Request::ConvertSnapshot { .. } => Some(
                "how instar's convert --snapshot finds a snapshot is not documented".to_owned(),
            ),
            Request::Convert { target, .. } if !target.options.is_empty() => {
                Some("instar's convert takes no create options".to_owned())
            }
            Request::Convert {
                target,
                compress: true,
                ..
            } if target.format != Format::Qcow2 => Some(format!(
                "instar compresses qcow2 only, not {}",
                target.format
            )),
            Request::Amend { file, .. }
            | Request::Rebase { file, .. }
            | Request::Commit { file, .. }
            | Request::Bitmap { file, .. }
                if file.format != Format::Qcow2 =>
            {
                Some(format!(
                    "{} is asked of instar for qcow2 only",
                    request.name()
                ))
            }
            Request::Write { .. } | Request::WriteZeroes { .. } | Request::Discard { .. } => {
                Some("instar has no command that writes guest data".to_owned())
            }
            _ => None,
        };
        Support::unless(objection.or_else(|| request.objection_of_format()))
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        match request {
            Request::Contents { file } => self.program.contents(file, flatten, call_context),
            _ => self
                .program
                .run(arguments(request), request.kind(), call_context),
        }
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let arguments = match request {
            Request::Write { .. }
            | Request::WriteZeroes { .. }
            | Request::Discard { .. }
            | Request::SnapshotContents { .. }
            | Request::ConvertSnapshot { .. } => return None,
            Request::Contents { file } => flatten(&file.path, &flat(file)),
            _ => arguments(request),
        };
        Some(Reproducer::CommandLine(self.program.line(arguments)))
    }
}

fn capabilities() -> Capabilities {
    let formatted: Vec<Format> = Format::all()
        .filter(|format| *format != Format::Raw)
        .collect();
    Capabilities::everything()
        .with(&["info", "check"], &formatted)
        .with(&["amend", "rebase", "commit", "bitmap"], &[Format::Qcow2])
        .with(&["write", "write_zeroes", "discard"], &[])
}

fn flatten(from: &str, to: &str) -> Vec<String> {
    words(["convert", "-O", "raw", from, to])
}

/// Returns why instar's documentation excludes creating such an image.
fn create_objection(file: &ImageFile) -> Option<String> {
    let preallocates = file.options.preallocates();
    let has_extended_l2 = file.options.has_extended_l2();
    let refused = match file.format {
        Format::Qcow2 if preallocates && has_extended_l2 => "preallocation with extended_l2",
        Format::Vmdk | Format::Vpc | Format::Vhdx if preallocates => "preallocation",
        _ => return None,
    };
    Some(format!(
        "instar cannot create {} with {refused}",
        file.format
    ))
}

/// Returns the arguments of a request, without the program.
fn arguments(request: &Request) -> Vec<String> {
    match request {
        Request::Info { file } => words(["info", "--output", "json", &file.path]),
        Request::Check { file } => words(["check", "--output", "json", &file.path]),
        Request::Map { file, window } => {
            let mut arguments = words(["map"]);
            arguments.extend(window.words());
            arguments.extend(words(["--output", "json", &file.path]));
            arguments
        }
        Request::Convert {
            source,
            target,
            compress,
        } => {
            let mut arguments = words(["convert", "-O", target.format.name()]);
            arguments.extend(compress.then(|| "--compress".to_owned()));
            arguments.extend(words([&source.path, &target.path]));
            arguments
        }
        Request::Measure { source, target } => words([
            "measure",
            "-O",
            target.name(),
            "--output",
            "json",
            &source.path,
        ]),
        Request::Snapshot {
            file,
            action,
            snapshot,
        } => {
            let [flag, named] = qemu_words::snapshot_change(*action, snapshot);
            words(["snapshot", &flag, &named, &file.path])
        }
        Request::Repair { file, tier } => {
            let repair = format!("--repair={}", tier.name());
            words(["check", &repair, "--output", "json", &file.path])
        }
        Request::Create { .. }
        | Request::Resize { .. }
        | Request::SnapshotList { .. }
        | Request::Amend { .. }
        | Request::Rebase { .. }
        | Request::Commit { .. }
        | Request::Dd { .. }
        | Request::Bitmap { .. }
        | Request::Bench { .. }
        | Request::Compare { .. } => command_line::shared_words(request),
        Request::Contents { .. }
        | Request::Write { .. }
        | Request::WriteZeroes { .. }
        | Request::Discard { .. }
        | Request::SnapshotContents { .. }
        | Request::ConvertSnapshot { .. } => {
            unreachable!("contents are read through a conversion, and support() refuses the rest")
        }
    }
}
