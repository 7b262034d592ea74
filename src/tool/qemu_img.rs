//! qemu-img: the reference, and a candidate if another version is to be compared.
//!
//! Its dialect follows qemu-img(1), with the arguments of the Python harness. Guest writes use the qemu-io beside it,
//! or on `PATH`.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::command_line::{self, Beside, Introduction, Program, flat, format_flag, words};
use super::{CallContext, Capabilities, Reproducer, Support, Tool, ToolEnv, ToolSpec};
use crate::base::error::{Error, Result};
use crate::image::format::Format;
use crate::tool::request::Fault;
use crate::tool::request::qemu_words::{self, InWords};
use crate::tool::request::{
    Answer, DataFile, Exit, ImageFile, Report, Request, SnapshotKey, singles,
};
use build::Build;

mod build;
mod copies;
mod secret;
mod session;
mod version;

/// The first major version whose list of snapshots has the compared layout.
const SNAPSHOT_LIST_MAJOR: u32 = 9;

/// The maximum length of a command line in bytes: longer ones go to standard input. Linux allows 128 KiB for a word and
/// 2 MiB in all; the servers that fork tools take less.
const LINE_BYTES_MAX: usize = 32 << 10;

struct QemuImg {
    capabilities: OnceLock<Capabilities>,
    program: Program,
    qemu_io: Option<Program>,
    version: String,
    build: Build,
}

/// How qemu-img identifies itself (qemu-img.c, QEMU_IMG_VERSION: since 0.10).
const INTRODUCTION: Introduction = Introduction {
    argument: "--version",
    begins: &["qemu-img version "],
};

pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let program = command_line::find(spec)?;
    let version = command_line::version(spec, &program, &INTRODUCTION, tool_env)?;
    let tool_env = &ToolEnv {
        launcher: tool_env
            .launcher
            .for_qemu(version::has_known_workers(&version)),
        ..tool_env.clone()
    };
    let beside = program.with_file_name("qemu-io");
    let qemu_io = which::which(beside)
        .or_else(|_| which::which("qemu-io"))
        .ok();
    Ok(Arc::new(QemuImg {
        capabilities: OnceLock::new(),
        build: Build::new(&program, tool_env.limit),
        program: Program::new(program, tool_env),
        qemu_io: qemu_io.map(|path| Program::new(path, tool_env)),
        version,
    }))
}

impl Tool for QemuImg {
    fn name(&self) -> &str {
        "qemu-img"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn program(&self) -> Option<&Path> {
        Some(&self.program.path)
    }

    fn capabilities(&self) -> &Capabilities {
        self.capabilities.get_or_init(|| {
            capabilities(self.qemu_io.is_some()).only(|request, format| {
                let command = match request {
                    "contents" => Some("convert"),
                    "write" | "write_zeroes" | "discard" | "session" => None,
                    other => Some(other),
                };
                self.build.has(command, format)
            })
        })
    }

    fn support(&self, request: &Request) -> Support {
        let objection = match request {
            Request::Check { file } if !file.format.is_checked() => {
                Some(format!("qemu-img cannot check {}", file.format))
            }
            Request::Measure { target, .. } if !matches!(target, Format::Raw | Format::Qcow2) => {
                Some(format!("qemu-img cannot measure for {target}"))
            }
            Request::Resize { file, .. } if !matches!(file.format, Format::Raw | Format::Qcow2) => {
                Some(format!("qemu-img cannot resize {}", file.format))
            }
            Request::Convert {
                target,
                compress: true,
                ..
            }
            | Request::ConvertSnapshot {
                target,
                compress: true,
                ..
            } if !matches!(target.format, Format::Qcow2 | Format::Qcow) => Some(format!(
                "compressed {} is not asked of qemu-img",
                target.format
            )),
            // The layout of the list changed with 9.0, and other tools follow the newer one.
            Request::SnapshotList { .. } if version::major(&self.version) < SNAPSHOT_LIST_MAJOR => {
                Some(format!(
                    "qemu-img before {SNAPSHOT_LIST_MAJOR}.0 lists snapshots in another layout"
                ))
            }
            Request::Amend { file, .. }
            | Request::Rebase { file, .. }
            | Request::Commit { file, .. }
            | Request::Snapshot { file, .. }
            | Request::Bitmap { file, .. }
                if file.format != Format::Qcow2 =>
            {
                Some(format!(
                    "{} is asked of qemu-img for qcow2 only",
                    request.name()
                ))
            }
            Request::Session { requests, .. }
                if session::read_bytes(requests) > session::READ_BYTES_MAX =>
            {
                let most = session::READ_BYTES_MAX;
                Some(format!(
                    "at most {most} bytes are read from qemu-io in a session"
                ))
            }
            request if is_for_qemu_io(request) && self.qemu_io.is_none() => Some(
                "qemu-io is not there (on Debian and Ubuntu: apt-get install qemu-utils)"
                    .to_owned(),
            ),
            _ => None,
        };
        let objection = objection.or_else(|| request.objection_of_format());
        Support::unless(objection.or_else(|| self.lack(request)))
    }

    fn lack(&self, request: &Request) -> Option<String> {
        let line = match request {
            Request::Contents { file } if file.format == Format::Raw => return None,
            Request::Contents { .. } | Request::SnapshotContents { .. } => words(["convert"]),
            request if is_for_qemu_io(request) => Vec::new(),
            request => plain_arguments(request),
        };
        let lack = self.build.lack(request, &line)?;
        Some(format!("qemu-img {} lacks {lack}", self.version))
    }

    fn lacks(&self) -> Vec<String> {
        self.build.lacks()
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        match request {
            Request::Contents { file } => {
                let flatten = |from: &str, to: &str| {
                    secret::unlocked(request, flatten(file.format, from, to), 1)
                };
                self.program.contents(file, flatten, call_context)
            }
            Request::SnapshotContents { file, id } => {
                let snapshot = qemu_words::snapshot(&SnapshotKey::Id(id.clone()));
                let flatten = |from: &str, to: &str| {
                    let format = file.format.name();
                    let line = words([
                        "convert", "-f", format, "-l", &snapshot, "-O", "raw", from, to,
                    ]);
                    secret::unlocked(request, line, 1)
                };
                self.program.flattened(file, flatten, call_context)
            }
            request if is_for_qemu_io(request) => {
                let missing =
                    || Error::missing_tool("qemu-io is not there: apt-get install qemu-utils");
                let qemu_io = self.qemu_io.as_ref().ok_or_else(missing)?;
                DataFile::around(request, call_context.directory, || {
                    ask_qemu_io(qemu_io, request, None, call_context)
                })
            }
            _ => self
                .program
                .run(arguments(request), request.kind(), call_context),
        }
    }

    fn ask_faulty(
        &self,
        request: &Request,
        fault: Fault,
        call_context: &CallContext<'_>,
    ) -> Result<Option<Answer>> {
        let fault = Some(&fault);
        let answer = match &self.qemu_io {
            Some(qemu_io) if is_for_qemu_io(request) && qemu_io.takes_faults() => {
                DataFile::around(request, call_context.directory, || {
                    ask_qemu_io(qemu_io, request, fault, call_context)
                })?
            }
            _ if is_for_qemu_io(request) || !self.program.takes_faults() => return Ok(None),
            _ => {
                let beside = Beside { input: None, fault };
                let line = arguments(request);
                self.program
                    .run_with(line, beside, request.kind(), call_context)?
            }
        };
        Ok(Some(answer))
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let qemu_io = self.qemu_io.as_ref().map(|program| program.path.as_path());
        by_hand(request, &self.program.path, qemu_io)
    }
}

/// Asks qemu-io. Its commands are words of the command line as long as they fit, and always its input in a session, so
/// that its prompts tell them apart.
fn ask_qemu_io(
    qemu_io: &Program,
    request: &Request,
    fault: Option<&Fault>,
    call_context: &CallContext<'_>,
) -> Result<Answer> {
    let line = arguments(request);
    let beside = Beside { input: None, fault };
    let length: usize = line.iter().map(String::len).sum();
    let commands = match request {
        Request::Session { requests, .. } => session::commands(request.file(), requests),
        Request::Write { file, writes } if length > LINE_BYTES_MAX => session::writes(file, writes),
        _ => return qemu_io.run_with(line, beside, request.kind(), call_context),
    };
    let plain = qemu_io_words(request.file(), []);
    let plain = match request.is_reading() {
        true => [words(["-r"]), plain].concat(),
        false => plain,
    };
    let short = secret::unlocked(request, plain, 0);
    let input = session::input(&commands);
    let beside = Beside {
        input: Some(&input),
        fault,
    };
    let mut answer = qemu_io.run_with(short, beside, request.kind(), call_context)?;
    if let Request::Session { requests, .. } = request {
        let transcript = &mut answer.transcript;
        let (stdout, stderr) = (transcript.stdout.text(), transcript.stderr.text());
        let outcomes = session::outcomes(requests, &stdout, &stderr);
        // What a person types to see the same.
        transcript.command = qemu_io.line(line);
        let is_whole = outcomes.len() == singles(requests).count();
        if is_whole && matches!(answer.exit, Exit::Success | Exit::Refused(_)) {
            // That a request was refused is its own outcome.
            answer.exit = Exit::Success;
        }
        answer.report = Report::Session(outcomes);
    }
    Ok(answer)
}

/// Returns the command line by which a person asks these programs.
pub(super) fn by_hand(
    request: &Request,
    qemu_img: &Path,
    qemu_io: Option<&Path>,
) -> Option<Reproducer> {
    let arguments = match request {
        Request::Contents { file } => {
            let flattening = flatten(file.format, &file.path, &flat(file));
            secret::unlocked(request, flattening, 1)
        }
        Request::SnapshotContents { .. } => return None,
        _ => arguments(request),
    };
    let program = match is_for_qemu_io(request) {
        true => qemu_io?,
        false => qemu_img,
    };
    let program = program.display().to_string();
    let line = std::iter::once(program).chain(arguments);
    Some(Reproducer::CommandLine(line.collect()))
}

/// Returns the capabilities of a build that lacks nothing.
fn capabilities(has_qemu_io: bool) -> Capabilities {
    let checked: Vec<Format> = Format::all().filter(|format| format.is_checked()).collect();
    let written: Vec<Format> = Format::all()
        .filter(|format| has_qemu_io && format.is_written())
        .collect();
    let all: Vec<Format> = Format::all().collect();
    Capabilities::everything()
        .with(&["check"], &checked)
        .with(&["measure", "resize"], &[Format::Raw, Format::Qcow2])
        .with(
            &["amend", "rebase", "commit", "snapshot", "bitmap"],
            &[Format::Qcow2],
        )
        .with(&["write", "write_zeroes", "discard"], &written)
        .with(&["session"], if has_qemu_io { &all } else { &[] })
}

/// Whether the request changes guest data, which only qemu-io does.
fn is_for_qemu_io(request: &Request) -> bool {
    matches!(
        request,
        Request::Write { .. }
            | Request::WriteZeroes { .. }
            | Request::Discard { .. }
            | Request::Session { .. }
    )
}

fn flatten(format: Format, from: &str, to: &str) -> Vec<String> {
    words(["convert", "-f", format.name(), "-O", "raw", from, to])
}

/// Returns the arguments of a request, without the program.
fn arguments(request: &Request) -> Vec<String> {
    let verbs = usize::from(!is_for_qemu_io(request));
    secret::unlocked(request, plain_arguments(request), verbs)
}

/// Returns the arguments without regard to encryption.
fn plain_arguments(request: &Request) -> Vec<String> {
    match request {
        Request::Info { file } => reported("info", Vec::new(), file),
        Request::Check { file } => reported("check", Vec::new(), file),
        Request::Repair { file, tier } => reported("check", words(["-r", tier.name()]), file),
        Request::Map { file, window } => reported("map", window.words(), file),
        Request::Measure { .. } | Request::Convert { .. } | Request::ConvertSnapshot { .. } => {
            copies::arguments(request)
        }
        Request::Write { file, writes } => qemu_io_words(file, session::writes(file, writes)),
        Request::Session { file, requests } => session::line(request, file, requests),
        Request::Snapshot {
            file,
            action,
            snapshot,
        } => {
            let options = format!(
                "driver={},file.filename={},file.discard=ignore",
                file.format, file.path
            );
            let [flag, named] = qemu_words::snapshot_change(*action, snapshot);
            words(["snapshot", &flag, &named, "--image-opts", &options])
        }
        Request::WriteZeroes {
            file,
            offset,
            length,
            unmap,
        } => {
            let unmap = if *unmap { "-u " } else { "" };
            qemu_io_words(file, [format!("write -z {unmap}{offset} {length}")])
        }
        Request::Discard {
            file,
            offset,
            length,
        } => qemu_io_words(file, [format!("discard {offset} {length}")]),
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
        Request::Contents { .. } | Request::SnapshotContents { .. } => {
            unreachable!("contents are read through a conversion")
        }
    }
}

/// Returns a command line with JSON output.
fn reported(verb: &str, flags: Vec<String>, file: &ImageFile) -> Vec<String> {
    let json = words(["--output=json", &file.path]);
    [words([verb]), format_flag("-f", file), flags, json].concat()
}

/// Returns the arguments of qemu-io for these commands, without the program.
fn qemu_io_words(file: &ImageFile, commands: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut arguments = words(["-f", file.format.name()]);
    arguments.extend(
        commands
            .into_iter()
            .flat_map(|command| ["-c".to_owned(), command]),
    );
    arguments.push(file.path.clone());
    arguments
}
