//! Common parts of all tools that are programs: finding them, running them, reading their results.
//!
//! The dialects are in the tools' own files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CallContext, FLAT_SUFFIX, Row, ToolEnv, ToolSpec};
use crate::base::error::{Error, Result};
use crate::image::content::Contents;
use crate::image::format::Format;
use crate::image::options::CreateOptions;
use crate::process::{self, Ending, Finished, Invocation, SandboxPolicy};
use crate::tool::launcher::Launcher;
use crate::tool::request::qemu_words::InWords;
use crate::tool::request::{
    Answer, CallUsage, Exit, Fault, ImageFile, Report, Request, RequestKind, Transcript,
};

/// The names of Linux signals that end tools, signal(7), for messages.
const SIGNAL_NAMES: [(i32, &str); 15] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (15, "SIGTERM"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (31, "SIGSYS"),
];

/// How a program identifies itself.
pub(super) struct Introduction {
    /// The argument that makes it do so.
    pub(super) argument: &'static str,
    /// The possible beginnings of its line.
    pub(super) begins: &'static [&'static str],
}

/// The maximum length of a program's output in a message, in characters.
const OUTPUT_CHARACTERS_MAX: usize = 100;

/// Finds the program of `spec`: its path, or its name on `PATH`.
pub(super) fn find(spec: &ToolSpec) -> Result<PathBuf> {
    if let Some(path) = &spec.path {
        return named(path);
    }
    let row = Row::named(&spec.name)?;
    which::which(row.name).map_err(|_| {
        let (name, install) = (row.name, row.install);
        Error::missing_tool(format!("{name} is not there or cannot be run ({install})"))
    })
}

/// Finds a program by a path, or by a name on `PATH`.
pub(super) fn named(path: &Path) -> Result<PathBuf> {
    which::which(path).map_err(|_| {
        let what = match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                "is a directory: name the program that lies in it".to_owned()
            }
            Ok(found) if !found.is_file() => "is no file, so it is no program".to_owned(),
            Ok(_) => "is not executable: name a program, or make it one (chmod +x)".to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                match path.components().count() {
                    1 => "is not on PATH".to_owned(),
                    _ => "is not there".to_owned(),
                }
            }
            Err(error) => format!("cannot be looked at: {error}"),
        };
        Error::usage(format!("{} {what}", path.display()))
    })
}

/// Runs a program in an empty directory, in the sandbox, to see what it is.
pub(super) fn tried(program: &Path, arguments: &[String], tool_env: &ToolEnv) -> Result<Finished> {
    let scratch = tempfile::tempdir()
        .map_err(|error| Error::io("make a directory in", &std::env::temp_dir(), &error))?;
    process::run(&Invocation {
        program,
        arguments,
        directory: scratch.path(),
        limit: tool_env.limit,
        grace: Duration::ZERO,
        sandbox: Some(&SandboxPolicy::default()),
        environment: &[],
        input: None,
        memory_bytes_max: None,
    })
}

/// Returns the version that a program reports: the first word of its first line that has at least a digit and a dot. A
/// program that identifies itself as another one is refused.
pub(super) fn version(
    spec: &ToolSpec,
    program: &Path,
    introduction: &Introduction,
    tool_env: &ToolEnv,
) -> Result<String> {
    let finished = tried(program, &[introduction.argument.to_owned()], tool_env)?;
    let (argument, shown) = (introduction.argument, program.display());
    if finished.ending != Ending::Exited(0) {
        let how = exit(&finished.ending).describe();
        let output = quoted(&finished.stderr.first_line());
        return Err(Error::missing_tool(format!(
            "{shown} {argument}: {how}, it says {output}"
        )));
    }
    let line = finished.stdout.first_line();
    let is_version = |word: &&str| {
        word.starts_with(|letter: char| letter.is_ascii_digit()) && word.contains('.')
    };
    let is_the_tool = introduction
        .begins
        .iter()
        .any(|begins| line.starts_with(begins));
    match line.split_whitespace().find(is_version) {
        Some(version) if is_the_tool => Ok(version.to_owned()),
        _ => {
            let expected = introduction.begins.join("' or '");
            let message = format!(
                "{shown} is not {}: asked {argument}, it says {}, which does not begin with '{expected}' and tell a version",
                spec.name,
                quoted(&line)
            );
            Err(match spec.path {
                Some(_) => Error::usage(message),
                None => Error::missing_tool(message),
            })
        }
    }
}

/// Returns a program's output as text for a message of one line.
pub(super) fn quoted(output: &str) -> String {
    match output.trim() {
        "" => "nothing".to_owned(),
        output => {
            let start: String = output.chars().take(OUTPUT_CHARACTERS_MAX).collect();
            let rest = if start.len() < output.len() {
                "..."
            } else {
                ""
            };
            format!("'{}{rest}'", start.escape_debug())
        }
    }
}

/// What a program is given beside its arguments.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside<'call> {
    /// Its standard input; `None` for nothing.
    pub(super) input: Option<&'call [u8]>,
    /// The call that fails.
    pub(super) fault: Option<&'call Fault>,
}

/// The program of a tool.
pub(super) struct Program {
    /// Its path.
    pub(super) path: PathBuf,
    launcher: Arc<Launcher>,
}

impl Program {
    pub(super) fn new(path: PathBuf, tool_env: &ToolEnv) -> Self {
        let launcher = Arc::clone(&tool_env.launcher);
        Self { path, launcher }
    }

    /// Runs it for a request of this kind, which says how to parse its standard output.
    pub(super) fn run(
        &self,
        arguments: Vec<String>,
        kind: RequestKind,
        call_context: &CallContext<'_>,
    ) -> Result<Answer> {
        self.run_with(arguments, Beside::default(), kind, call_context)
    }

    /// Like [`Program::run`], with an input, or with a call that fails.
    pub(super) fn run_with(
        &self,
        arguments: Vec<String>,
        beside: Beside<'_>,
        kind: RequestKind,
        call_context: &CallContext<'_>,
    ) -> Result<Answer> {
        let environment = beside.fault.map(Fault::variable);
        let invocation = Invocation {
            input: beside.input,
            environment: environment.as_slice(),
            ..call_context.invocation(&self.path, &arguments)
        };
        let Finished {
            ending,
            stdout,
            stderr,
            elapsed,
            cpu,
            peak_memory_bytes,
        } = self.launcher.run(&invocation)?;
        Ok(Answer {
            exit: exit(&ending),
            report: Report::parse(kind, &stdout.bytes, false),
            usage: CallUsage {
                duration: elapsed,
                cpu,
                peak_memory_bytes,
                calls: 1,
            },
            transcript: Transcript {
                command: self.line(arguments),
                stdout,
                stderr,
            },
        })
    }

    /// Reads the guest-visible contents of `file`. A raw image is read directly; any other is first flattened by the
    /// command that `flatten` returns for the names of the two files.
    pub(super) fn contents(
        &self,
        file: &ImageFile,
        flatten: impl Fn(&str, &str) -> Vec<String>,
        call_context: &CallContext<'_>,
    ) -> Result<Answer> {
        match file.format {
            Format::Raw => Ok(read_raw(file, call_context)),
            _ => self.flattened(file, flatten, call_context),
        }
    }

    /// Reads the output of `flatten` for `file`, whatever its format.
    pub(super) fn flattened(
        &self,
        file: &ImageFile,
        flatten: impl Fn(&str, &str) -> Vec<String>,
        call_context: &CallContext<'_>,
    ) -> Result<Answer> {
        let flat = flat(file);
        let arguments = flatten(&file.path, &flat);
        let mut answer = self.run(arguments, RequestKind::Contents, call_context)?;
        let flat = call_context.directory.join(flat);
        if answer.succeeded() {
            match Contents::of_raw_file(&flat) {
                Ok(contents) => answer.report = Report::Contents(contents),
                // A tool that reports success without creating the file has refused.
                Err(error) => answer.refuse(0, error),
            }
        }
        // The file does not exist if the tool refused.
        let _ = std::fs::remove_file(flat);
        Ok(answer)
    }

    /// Whether its calls can fail on purpose: only those of a program that is forked.
    pub(super) fn takes_faults(&self) -> bool {
        self.launcher.objection(&self.path).is_none()
    }

    /// Returns a command line in full.
    pub(super) fn line(&self, arguments: Vec<String>) -> Vec<String> {
        let program = self.path.display().to_string();
        std::iter::once(program).chain(arguments).collect()
    }
}

fn read_raw(file: &ImageFile, call_context: &CallContext<'_>) -> Answer {
    let started = Instant::now();
    let mut answer = Answer::from(Exit::Success);
    match Contents::of_raw_file(&call_context.directory.join(&file.path)) {
        Ok(contents) => answer.report = Report::Contents(contents),
        Err(error) => answer.refuse(1, error),
    }
    answer.transcript.command = words(["(read)", &file.path]);
    answer.usage.duration = started.elapsed();
    answer
}

/// Returns the arguments that qemu-img and instar have in common, without the program.
pub(super) fn shared_words(request: &Request) -> Vec<String> {
    let verb = match request {
        Request::SnapshotList { .. } => "snapshot",
        other => other.name(),
    };
    [
        words([verb]),
        told_formats(request),
        flags(request),
        operands(request),
    ]
    .concat()
}

/// Returns the arguments that name the formats of the files.
fn told_formats(request: &Request) -> Vec<String> {
    match request {
        Request::Dd { target, .. } => words(["-O", target.format.name()]),
        Request::Compare { first, second } => {
            [format_flag("-f", first), format_flag("-F", second)].concat()
        }
        Request::Commit { file, .. } | Request::Bitmap { file, .. } => format_flag("-f", file),
        Request::SnapshotList { .. } => Vec::new(),
        other => words(["-f", other.file().format.name()]),
    }
}

/// Returns the arguments between the formats and the operands.
fn flags(request: &Request) -> Vec<String> {
    match request {
        Request::Create { file, .. } => {
            let unopened = file.placement.unopened.then(|| "-u".to_owned());
            let options = option_flags(&file.options).into_iter();
            unopened.into_iter().chain(options).collect()
        }
        Request::Amend { options, .. } => option_flags(options),
        Request::Resize {
            shrink,
            preallocation,
            ..
        } => {
            let preallocated = preallocation.map(|mode| words(["--preallocation", mode.name()]));
            let shrink = shrink.then(|| words(["--shrink"]));
            [shrink.unwrap_or_default(), preallocated.unwrap_or_default()].concat()
        }
        Request::Rebase {
            new_backing, mode, ..
        } => {
            // An empty name removes the backing file.
            let onto = new_backing.as_deref().unwrap_or_default();
            [words(["-b", onto]), mode.words()].concat()
        }
        Request::Commit { base, keeps, .. } => {
            let base = base.as_deref().map(|base| words(["-b", base]));
            let keeps = keeps.then(|| words(["-d"]));
            [base.unwrap_or_default(), keeps.unwrap_or_default()].concat()
        }
        Request::Bitmap {
            actions,
            merged_from,
            ..
        } => {
            let other = merged_from.as_ref();
            let other = other.map(|file| words(["-b", &file.path, "-F", file.format.name()]));
            [actions.words(), other.unwrap_or_default()].concat()
        }
        Request::Bench { plan, .. } => plan.words(),
        Request::SnapshotList { .. } => words(["-l"]),
        _ => Vec::new(),
    }
}

fn operands(request: &Request) -> Vec<String> {
    match request {
        Request::Create { file, size } => words([&file.path, size.as_str()]),
        Request::Resize { file, size, .. } => words([&file.path, &size.to_string()]),
        Request::Bitmap { file, name, .. } => words([&file.path, name]),
        Request::Compare { first, second } => words([&first.path, &second.path]),
        Request::Dd {
            source,
            target,
            block_size,
            count,
            skip,
        } => {
            let (from, to) = (&source.path, &target.path);
            let files = [format!("if={from}"), format!("of={to}")].into_iter();
            files
                .chain([format!("bs={block_size}")])
                .chain(count.map(|count| format!("count={count}")))
                .chain((*skip > 0).then(|| format!("skip={skip}")))
                .collect()
        }
        other => words([&other.file().path]),
    }
}

/// Returns the arguments for options, each with its own `-o`.
pub(super) fn option_flags(options: &CreateOptions) -> Vec<String> {
    let flags = options
        .iter()
        // A comma would end the value.
        .map(|option| ["-o".to_owned(), option.to_string().replace(',', ",,")]);
    flags.flatten().collect()
}

/// Returns the arguments for a file's format, if it is to be given.
pub(super) fn format_flag(flag: &str, file: &ImageFile) -> Vec<String> {
    match file.format_is_told {
        true => words([flag, file.format.name()]),
        false => Vec::new(),
    }
}

/// Returns the name of a file's flattened image.
pub(super) fn flat(file: &ImageFile) -> String {
    format!("{}{FLAT_SUFFIX}", file.path)
}

/// Returns the words of a command line.
pub(super) fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// Returns the exit that an ending stands for.
pub(super) fn exit(ending: &Ending) -> Exit {
    match ending {
        Ending::Exited(0) => Exit::Success,
        Ending::Exited(code) => Exit::Refused(*code),
        Ending::Signaled(signal) => {
            let name = SIGNAL_NAMES.iter().find(|(number, _)| number == signal);
            let name = name
                .map(|(_, name)| format!(" ({name})"))
                .unwrap_or_default();
            Exit::Crashed(format!("signal {signal}{name}"))
        }
        Ending::TimedOut(post_mortem) => Exit::TimedOut(post_mortem.clone()),
        Ending::HitLimit(hit) => Exit::HitLimit(hit.clone()),
    }
}
