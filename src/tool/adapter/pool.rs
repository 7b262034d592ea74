//! Persistent processes that speak the adapter protocol: started when needed, reused, and replaced when they die.
//!
//! Used by every tool that is not a plain command line. The output of such a process is data: a line that violates the
//! protocol, a crash or a hang becomes an answer. The pool does not interpret requests. Each process works in its own
//! [`ProcessDirectory`], the only directory that it may write to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::outcomes;
use super::process_directory::{MovedDirectory, ProcessDirectory};
use super::protocol::{self, Hello, Message, Response};
use crate::base::error::{Error, Result};
use crate::image::content::Contents;
use crate::process::{Captured, Dialogue, Ending, Invocation, Reply, SandboxPolicy};
use crate::process::{RUN_VARIABLE, run_token};
use crate::tool::request::{Answer, Exit, Report, Request, RequestKind};
use crate::tool::{CallContext, command_line};

/// How a process is started.
#[derive(Clone, Debug)]
pub struct Start {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables of its environment in addition to the usual ones.
    pub environment: Vec<(OsString, OsString)>,
}

/// The persistent processes of one tool.
pub struct Pool {
    start: Start,
    idle: Mutex<Vec<Kept>>,
}

/// A persistent process. The process is dropped before its directory.
struct Kept {
    dialogue: Dialogue,
    process_directory: ProcessDirectory,
    /// The policy with which it was started.
    sandbox: SandboxPolicy,
}

impl Pool {
    /// Returns an empty pool.
    pub fn new(start: Start) -> Self {
        Self {
            start,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Starts a process and returns its hello, within `limit`.
    pub fn hello(&self, limit: Duration) -> Result<Hello> {
        let no_json = |error: serde_json::Error| Error::system(error.to_string());
        let hello = serde_json::to_string(&Message::hello()).map_err(no_json)?;
        let who = self.start.program.display();
        let wrong = |what: String| Error::missing_tool(format!("{who}: {what}"));
        let sandbox = SandboxPolicy::default();
        let process_directory = ProcessDirectory::apart()?;
        let directory = process_directory.path().to_owned();
        let call_context = CallContext {
            directory: &directory,
            limit,
            grace: Duration::ZERO,
            sandbox: &sandbox,
            memory_bytes_max: None,
        };
        let terms = call_context.invocation(&self.start.program, &[]);
        let dialogue = self.started(&process_directory, &call_context)?;
        let hello: Hello = match dialogue.ask(&hello, &terms)? {
            Reply::Line { line, dialogue, .. } => {
                self.give_back(Kept {
                    dialogue: *dialogue,
                    process_directory,
                    sandbox,
                });
                serde_json::from_slice(&line).map_err(|error| {
                    let output = command_line::quoted(&String::from_utf8_lossy(&line));
                    wrong(format!(
                        "its hello is not that of an adapter, it says {output}: {error}"
                    ))
                })?
            }
            Reply::Ended { ending, stderr, .. } => {
                let how = command_line::exit(&ending).describe();
                let output = command_line::quoted(&stderr.first_line());
                return Err(wrong(format!("no hello came ({how}), it says {output}")));
            }
        };
        let ours = protocol::OLDEST_VERSION..=protocol::VERSION;
        if !ours.contains(&hello.protocol) {
            let (oldest, newest) = ours.into_inner();
            return Err(wrong(format!(
                "it speaks version {} of the adapter protocol, this program {oldest} to {newest}",
                hello.protocol
            )));
        }
        Ok(hello)
    }

    /// Sends a request to a process, in this version of the protocol. `words` is the request in words, for evidence.
    pub fn ask(
        &self,
        request: &Request,
        version: u32,
        words: Vec<String>,
        call_context: &CallContext<'_>,
    ) -> Result<Answer> {
        let Kept {
            mut dialogue,
            process_directory,
            sandbox,
        } = self.taken(call_context)?;
        dialogue.limit_memory(call_context.memory_bytes_max)?;
        // Without confinement it may write anywhere.
        let mut moved = match call_context.sandbox.is_confined {
            true => {
                let is_named = request.names_its_directory();
                Some(process_directory.admit(call_context.directory, is_named)?)
            }
            false => None,
        };
        let inside = moved
            .as_ref()
            .map_or(call_context.directory, MovedDirectory::inside);
        let message = Message::line(request, inside, version)
            .map_err(|error| Error::system(error.to_string()))?;
        let started = Instant::now();
        let terms = call_context.invocation(&self.start.program, &[]);
        let terms = Invocation {
            directory: process_directory.path(),
            ..terms
        };
        let reply = dialogue.ask(&message, &terms)?;
        let is_back = moved.as_mut().is_none_or(MovedDirectory::end);
        let mut answer = match reply {
            Reply::Line {
                stderr, dialogue, ..
            } if !is_back => {
                // The process may hold the directory that it moved.
                drop(dialogue);
                let how = "it moved the directory that it was asked about".to_owned();
                plain_answer(Exit::Crashed(how), stderr, Duration::ZERO)
            }
            reply => {
                drop(moved);
                let (answer, dialogue) = read(reply, request.kind(), call_context.directory);
                if let Some(dialogue) = dialogue {
                    self.give_back(Kept {
                        dialogue,
                        process_directory,
                        sandbox,
                    });
                }
                answer
            }
        };
        answer.usage.duration = started.elapsed();
        answer.transcript.command = words;
        Ok(answer)
    }

    fn taken(&self, call_context: &CallContext<'_>) -> Result<Kept> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let waiting = idle().pop();
            match waiting {
                Some(kept)
                    if kept.sandbox == *call_context.sandbox
                        && kept.process_directory.can_admit(call_context.directory) =>
                {
                    return Ok(kept);
                }
                // Such a process is useless here, so it ends.
                Some(_) => {}
                None => break,
            }
        }
        let process_directory = ProcessDirectory::beside(call_context.directory)?;
        Ok(Kept {
            dialogue: self.started(&process_directory, call_context)?,
            process_directory,
            sandbox: call_context.sandbox.clone(),
        })
    }

    fn started(
        &self,
        process_directory: &ProcessDirectory,
        call_context: &CallContext<'_>,
    ) -> Result<Dialogue> {
        let Start {
            program,
            arguments,
            environment,
        } = &self.start;
        let mut environment = environment.clone();
        environment.push((RUN_VARIABLE.into(), run_token().into()));
        Dialogue::start(&Invocation {
            directory: process_directory.path(),
            environment: &environment,
            memory_bytes_max: None,
            ..call_context.invocation(program, arguments)
        })
    }

    fn give_back(&self, kept: Kept) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(kept);
    }
}

/// Parses a reply to a request of this kind, about files in a directory; returns the process too if it can be reused.
fn read(reply: Reply, kind: RequestKind, directory: &Path) -> (Answer, Option<Dialogue>) {
    let (line, stderr, dialogue) = match reply {
        Reply::Line {
            line,
            stderr,
            dialogue,
        } => (line, stderr, dialogue),
        Reply::Ended {
            ending,
            stderr,
            cpu,
            peak_memory_bytes,
        } => {
            let mut answer = ended(&ending, stderr, cpu);
            answer.usage.peak_memory_bytes = peak_memory_bytes;
            return (answer, None);
        }
    };
    let response: Response = match serde_json::from_slice(&line) {
        Ok(response) => response,
        Err(error) => {
            let how = format!("its answer is not that of an adapter: {error}");
            let answer = plain_answer(Exit::Crashed(how), stderr, Duration::ZERO);
            return (answer, None);
        }
    };
    let cpu = Duration::from_nanos(response.cpu_ns);
    let raw = response.raw.clone();
    let list = response.json.clone();
    match answer(kind, response, stderr, cpu) {
        (answer, true) => (answer, None),
        (mut answer, false) if kind == RequestKind::Session => {
            read_outcomes(list.as_ref(), raw.as_deref(), directory, &mut answer);
            (answer, Some(*dialogue))
        }
        (mut answer, false) => {
            if let Some(raw) = raw {
                read_raw(&raw, directory, &mut answer);
            }
            (answer, Some(*dialogue))
        }
    }
}

/// Turns an adapter's response into an answer. Also returns whether it is broken from now on.
pub(in super::super) fn answer(
    kind: RequestKind,
    response: Response,
    stderr: Captured,
    cpu: Duration,
) -> (Answer, bool) {
    let mut answer = plain_answer(Exit::Success, stderr, cpu);
    answer.usage.peak_memory_bytes = response.peak_memory_bytes;
    if let Some(message) = response.panicked {
        answer.exit = Exit::Crashed(format!("panic: {message}"));
        return (answer, true);
    }
    if let Some(feature) = response.unsupported {
        answer.exit = Exit::Unsupported(feature);
    } else if let Some(message) = response.refused {
        answer.refuse(1, message);
    }
    // A library reports what its interface offers, not all facts of qemu-img.
    let is_partial = true;
    let text = response.json.as_ref().map(ToString::to_string);
    answer.transcript.stdout = Captured::from_text(text.unwrap_or_default());
    if let Some(outcomes) = response.session {
        answer.report = Report::Session(outcomes);
        return (answer, false);
    }
    answer.report = match (response.contents, response.json) {
        (Some(contents), _) => Report::Contents(contents),
        (None, Some(tree)) => Report::from_json(kind, tree, is_partial),
        (None, None) => Report::parse(kind, b"", is_partial),
    };
    (answer, false)
}

/// Reads the contents from a raw file, and removes it.
fn read_raw(name: &str, directory: &Path, answer: &mut Answer) {
    let is_plain = Path::new(name).file_name().is_some_and(|own| own == name);
    if !is_plain {
        let how = format!("'{name}' is not the name of a file in the directory");
        answer.exit = Exit::Crashed(how);
        return;
    }
    let path = directory.join(name);
    match Contents::of_raw_file(&path) {
        Ok(contents) => answer.report = Report::Contents(contents),
        Err(error) => answer.exit = Exit::Crashed(format!("it left no contents: {error}")),
    }
    // The file does not exist if the tool wrote none.
    let _ = std::fs::remove_file(path);
}

/// Reads the outcomes of a session from the list and the raw file, which it removes, unless the answer has them already.
fn read_outcomes(list: Option<&Value>, raw: Option<&str>, directory: &Path, answer: &mut Answer) {
    if answer.report.session().is_some() || !answer.succeeded() {
        return;
    }
    let is_plain = |name: &str| Path::new(name).file_name().is_some_and(|own| own == name);
    let raw = raw
        .filter(|name| is_plain(name))
        .map(|name| directory.join(name));
    let told = list.ok_or_else(|| "there is no list".to_owned());
    match told.and_then(|list| outcomes::read(list, raw.as_deref())) {
        Ok(outcomes) => answer.report = Report::Session(outcomes),
        Err(why) => answer.exit = Exit::Crashed(format!("it left no outcomes of a session: {why}")),
    }
    if let Some(raw) = raw {
        let _ = std::fs::remove_file(raw);
    }
}

/// Returns the answer of a process that ended: it crashed during the request, or was killed at the limit.
fn ended(ending: &Ending, stderr: Captured, cpu: Duration) -> Answer {
    let exit = match command_line::exit(ending) {
        Exit::Success => Exit::Crashed("the worker ended without an answer".to_owned()),
        Exit::Refused(code) => Exit::Crashed(format!("the worker ended with exit {code}")),
        exit => exit,
    };
    plain_answer(exit, stderr, cpu)
}

fn plain_answer(exit: Exit, stderr: Captured, cpu: Duration) -> Answer {
    let mut answer = Answer::from(exit);
    answer.transcript.stderr = stderr;
    answer.usage.cpu = cpu;
    answer.usage.calls = 1;
    answer
}
