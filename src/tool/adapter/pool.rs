//! Kept processes that speak the adapter protocol: started when they are needed, used again, replaced when they die.
//!
//! Used by every tool that is not a plain command line. What such a process says is data: a line that is not the protocol, a death, a
//! hang become answers. It does not look at what a request means.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::protocol::{self, Asked, Hello, Said};
use crate::content::Contents;
use crate::error::{Error, Result};
use crate::process::warden::{RUN_VARIABLE, run_token};
use crate::process::{Cage, Captured, Dialogue, Ending, Invocation, Reply};
use crate::request::{Answer, Exit, Request};
use crate::tool::{Scene, command_line};

/// How a process is started.
#[derive(Clone, Debug)]
pub struct Start {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it sees in its environment beside the usual.
    pub environment: Vec<(OsString, OsString)>,
}

/// The kept processes of one tool.
pub struct Pool {
    start: Start,
    idle: Mutex<Vec<Dialogue>>,
}

impl Pool {
    /// None yet.
    pub fn new(start: Start) -> Self {
        Self {
            start,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Starts one and asks who it is, within `limit`.
    pub fn hello(&self, limit: Duration) -> Result<Hello> {
        let asked = Asked::Hello {
            hello: protocol::VERSION,
        };
        let who = self.start.program.display();
        let wrong = |what: String| Error::missing_tool(format!("{who}: {what}"));
        let directory = std::env::temp_dir();
        let scene = Scene {
            directory: &directory,
            limit,
            patience: Duration::ZERO,
            cage: &Cage::default(),
            memory_bytes_max: None,
        };
        let terms = scene.invocation(&self.start.program, &[]);
        let hello: Hello = match self.taken(&scene)?.ask(&line(&asked)?, &terms)? {
            Reply::Line { line, dialogue, .. } => {
                self.give_back(*dialogue);
                serde_json::from_slice(&line).map_err(|error| {
                    let said = command_line::quoted(&String::from_utf8_lossy(&line));
                    wrong(format!(
                        "its hello is not that of an adapter, it says {said}: {error}"
                    ))
                })?
            }
            Reply::Ended { ending, stderr, .. } => {
                let how = command_line::exit(&ending).describe();
                let said = command_line::quoted(&stderr.first_line());
                return Err(wrong(format!("no hello came ({how}), it says {said}")));
            }
        };
        if hello.protocol != protocol::VERSION {
            let (theirs, ours) = (hello.protocol, protocol::VERSION);
            return Err(wrong(format!(
                "it speaks version {theirs} of the adapter protocol, this program {ours}"
            )));
        }
        Ok(hello)
    }

    /// Asks one. `words` is the request in words, for evidence.
    pub fn ask(&self, request: &Request, words: Vec<String>, scene: &Scene<'_>) -> Result<Answer> {
        let asked = Asked::request(request, scene.directory.to_owned(), scene.cage);
        let asked = line(&asked)?;
        let mut dialogue = self.taken(scene)?;
        dialogue.limit_memory(scene.memory_bytes_max)?;
        let started = Instant::now();
        let reply = dialogue.ask(&asked, &scene.invocation(&self.start.program, &[]))?;
        let mut answer = self.read(reply, scene.directory);
        answer.duration = started.elapsed();
        answer.command = words;
        Ok(answer)
    }

    fn taken(&self, scene: &Scene<'_>) -> Result<Dialogue> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dialogue) = idle().pop() {
            return Ok(dialogue);
        }
        // Not a scene's directory: the process outlives it.
        let directory = std::env::temp_dir();
        let Start {
            program,
            arguments,
            environment,
        } = &self.start;
        let mut environment = environment.clone();
        environment.push((RUN_VARIABLE.into(), run_token().into()));
        Dialogue::start(&Invocation {
            directory: &directory,
            environment: &environment,
            memory_bytes_max: None,
            ..scene.invocation(program, arguments)
        })
    }

    fn give_back(&self, dialogue: Dialogue) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(dialogue);
    }

    fn read(&self, reply: Reply, directory: &Path) -> Answer {
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
                return Answer {
                    peak_memory_bytes,
                    ..ended(&ending, stderr, cpu)
                };
            }
        };
        let said: Said = match serde_json::from_slice(&line) {
            Ok(said) => said,
            Err(error) => {
                let how = format!("its answer is not that of an adapter: {error}");
                return plain_answer(Exit::Crashed(how), stderr, Duration::ZERO);
            }
        };
        let cpu = Duration::from_nanos(said.cpu_ns);
        let mut answer = plain_answer(Exit::Success, stderr, cpu);
        if let Some(message) = said.panicked {
            answer.exit = Exit::Crashed(format!("panic: {message}"));
            answer.peak_memory_bytes = said.peak_memory_bytes;
            return answer;
        }
        self.give_back(*dialogue);
        if let Some(feature) = said.unsupported {
            answer.exit = Exit::Unsupported(feature);
        } else if let Some(message) = said.refused {
            answer.exit = Exit::Refused(1);
            answer.stderr = Captured::from_text(message);
        }
        answer.stdout =
            Captured::from_text(said.json.map(|json| json.to_string()).unwrap_or_default());
        answer.contents = said.contents;
        answer.peak_memory_bytes = said.peak_memory_bytes;
        if let Some(raw) = said.raw {
            read_raw(&raw, directory, &mut answer);
        }
        answer
    }
}

/// Reads the contents that were left in a raw file, and removes it.
fn read_raw(name: &str, directory: &Path, answer: &mut Answer) {
    let is_plain = Path::new(name).file_name().is_some_and(|own| own == name);
    if !is_plain {
        let how = format!("'{name}' is not the name of a file in the directory");
        answer.exit = Exit::Crashed(how);
        return;
    }
    let path = directory.join(name);
    match Contents::of_raw_file(&path) {
        Ok(contents) => answer.contents = Some(contents),
        Err(error) => answer.exit = Exit::Crashed(format!("it left no contents: {error}")),
    }
    // Not there when it left none.
    let _ = std::fs::remove_file(path);
}

fn line(asked: &Asked) -> Result<String> {
    serde_json::to_string(asked).map_err(|error| Error::system(error.to_string()))
}

/// The answer of a process that is gone: it died under the request, or was killed at the limit.
fn ended(ending: &Ending, stderr: Captured, cpu: Duration) -> Answer {
    let exit = match command_line::exit(ending) {
        Exit::Success => Exit::Crashed("the worker ended without an answer".to_owned()),
        Exit::Refused(code) => Exit::Crashed(format!("the worker ended with exit {code}")),
        exit => exit,
    };
    plain_answer(exit, stderr, cpu)
}

fn plain_answer(exit: Exit, stderr: Captured, cpu: Duration) -> Answer {
    Answer {
        exit,
        command: Vec::new(),
        stdout: Captured::default(),
        stderr,
        contents: None,
        host_clusters: None,
        // A library tells what its interface offers, not all that qemu-img prints.
        partial: true,
        duration: Duration::ZERO,
        cpu,
        peak_memory_bytes: 0,
        calls: 1,
    }
}
