//! instar, a qemu-img replacement that parses images inside a KVM guest.
//!
//! Its dialect and its limits follow its documentation. Its deliberate differences belong into the catalogue of known
//! divergences, not here; only what it does not support at all is unsupported. `docs/instar.md` lists both, and says that no run has tried them.

mod limits;

use std::path::Path;
use std::sync::Arc;

use super::command_line::{self, Introduction, Program, flat, words};
use super::{CallContext, Capabilities, Reproducer, Support, Tool, ToolEnv, ToolSpec};
use crate::base::error::Result;
use crate::image::format::Format;
use crate::image::options::{CreateOption, Subformat};
use crate::tool::request::qemu_words::{self, InWords};
use crate::tool::request::{Answer, Exit, ImageFile, Request, SnapshotKey};

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
        let objection = limits::objection(request);
        Support::unless(objection.or_else(|| request.objection_of_format()))
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let answer = match request {
            Request::Contents { file } => self.program.contents(file, flatten, call_context),
            Request::SnapshotContents { file, id } => {
                let flatten = |from: &str, to: &str| flatten_snapshot(id, from, to);
                self.program.flattened(file, flatten, call_context)
            }
            _ => self
                .program
                .run(arguments(request), request.kind(), call_context),
        };
        Ok(understood(answer?))
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let arguments = match request {
            Request::Write { .. }
            | Request::WriteZeroes { .. }
            | Request::Discard { .. }
            | Request::Session { .. } => {
                return None;
            }
            Request::Contents { file } => flatten(&file.path, &flat(file)),
            Request::SnapshotContents { file, id } => flatten_snapshot(id, &file.path, &flat(file)),
            _ => arguments(request),
        };
        Some(Reproducer::CommandLine(self.program.line(arguments)))
    }
}

/// The exit for a format that a command does not know.
const UNSUPPORTED_FORMAT: i32 = 63;

/// What instar says when the code in its guest dies.
const GUEST_CRASH: &str = "guest CPU exception";

/// Returns the answer with the meaning of its exit: 63 is a format that the command does not know, and a crash in the guest is a crash.
fn understood(mut answer: Answer) -> Answer {
    if let Exit::Refused(code) = answer.exit {
        let said = answer.transcript.stderr.text();
        if said.contains(GUEST_CRASH) {
            answer.exit = Exit::Crashed(GUEST_CRASH.to_owned());
        } else if code == UNSUPPORTED_FORMAT {
            let line = answer.transcript.stderr.first_line();
            answer.exit = Exit::Unsupported(format!("instar, exit 63: {line}"));
        }
    }
    answer
}

fn capabilities() -> Capabilities {
    let written = [
        Format::Raw,
        Format::Qcow2,
        Format::Vmdk,
        Format::Vpc,
        Format::Vhdx,
    ];
    let formatted: Vec<Format> = Format::all()
        .filter(|format| *format != Format::Raw)
        .collect();
    let changing = ["amend", "rebase", "commit", "bitmap", "snapshot"];
    Capabilities::everything()
        .with(&["info"], &formatted)
        .with(&["check"], &written[1..])
        .with(&["map", "measure"], &written)
        .with(&["create", "resize", "convert", "dd"], &written)
        .with(&changing, &[Format::Qcow2])
        .with(&["write", "write_zeroes", "discard"], &[])
        .only(|_, format| !limits::is_unknown(format))
}

fn flatten(from: &str, to: &str) -> Vec<String> {
    words(["convert", "-O", "raw", from, to])
}

fn flatten_snapshot(id: &str, from: &str, to: &str) -> Vec<String> {
    words(["convert", "-O", "raw", "--snapshot", id, from, to])
}

/// Returns the arguments of a conversion.
fn conversion(
    source: &ImageFile,
    target: &ImageFile,
    compress: bool,
    snapshot: Option<&SnapshotKey>,
) -> Vec<String> {
    let mut arguments = words(["convert", "-O", target.format.name()]);
    let is_stream = target.options.subformat() == Some(Subformat::StreamOptimized);
    arguments.extend((compress || is_stream).then(|| "--compress".to_owned()));
    for option in target.options.iter() {
        arguments.extend(match option {
            CreateOption::ClusterSize(bytes) => words(["--cluster-size", &bytes.to_string()]),
            CreateOption::ExtendedL2(true) => words(["--extended-l2"]),
            CreateOption::BlockSize(size) => words(["--block-size", &size.bytes().to_string()]),
            CreateOption::Subformat(subformat) if subformat.is_flat() => {
                words(["--subformat", subformat.name()])
            }
            // The others are what instar makes anyway.
            _ => Vec::new(),
        });
    }
    let named = snapshot.map(|snapshot| match snapshot {
        SnapshotKey::Name(word) | SnapshotKey::Id(word) | SnapshotKey::IdOrName(word) => word,
        SnapshotKey::IdAndName { id, .. } => id,
    });
    arguments.extend(named.iter().flat_map(|word| words(["--snapshot", word])));
    arguments.extend(words([&source.path, &target.path]));
    arguments
}

/// Returns the arguments of a commit. A parent outside the image's own folder is merged into only if it is named.
fn commit(request: &Request, file: &ImageFile, base: Option<&String>) -> Vec<String> {
    let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let recorded = file.options.backing_file();
    let recorded = recorded.or_else(|| file.backing.as_deref().map(|backing| &backing.path));
    let elsewhere =
        recorded.filter(|name| folder(name).is_some_and(|other| Some(other) != folder(&file.path)));
    match elsewhere.filter(|_| base.is_none()) {
        Some(name) => command_line::shared_words(&Request::Commit {
            keeps: false,
            file: file.clone(),
            base: Some(name.clone()),
        }),
        None => command_line::shared_words(request),
    }
}

/// Returns the arguments of a request, without the program.
fn arguments(request: &Request) -> Vec<String> {
    match request {
        Request::Info { file } => {
            let told = command_line::format_flag("-f", file);
            [
                words(["info"]),
                told,
                words(["--output", "json", &file.path]),
            ]
            .concat()
        }
        Request::Check { file } => words(["check", "--output", "json", &file.path]),
        Request::Map { file, window } => {
            let mut arguments = words(["map"]);
            arguments.extend(command_line::format_flag("-f", file));
            arguments.extend(window.words());
            arguments.extend(words(["--output", "json", &file.path]));
            arguments
        }
        Request::Convert {
            source,
            target,
            compress,
            ..
        } => conversion(source, target, *compress, None),
        Request::ConvertSnapshot {
            source,
            target,
            compress,
            snapshot,
        } => conversion(source, target, *compress, Some(snapshot)),
        Request::Commit { file, base, .. } => commit(request, file, base.as_ref()),
        Request::Measure { source, target, .. } => {
            let told = command_line::format_flag("-f", source);
            let last = words(["--output", "json", &source.path]);
            [words(["measure", "-O", target.name()]), told, last].concat()
        }
        Request::Compare { first, second } => words(["compare", &first.path, &second.path]),
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
        | Request::Dd { .. }
        | Request::Bitmap { .. }
        | Request::Bench { .. } => command_line::shared_words(request),
        Request::Session { .. } => unreachable!("instar has no sessions"),
        Request::Contents { .. }
        | Request::Write { .. }
        | Request::WriteZeroes { .. }
        | Request::Discard { .. }
        | Request::SnapshotContents { .. } => {
            unreachable!("contents are read through a conversion, and support() refuses the rest")
        }
    }
}
