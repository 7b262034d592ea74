//! The disposable process in which a library tool works.
//!
//! The program starts itself again with [`ARGUMENT`] and is spoken to in JSON lines. A panic, an abort, a hang or a runaway allocation costs that
//! process alone and becomes an answer. Workers are kept and used again; one that panicked is not.

use std::io::{self, BufRead, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Scene, command_line, imago};
use crate::content::Contents;
use crate::error::{Error, Result};
use crate::process::warden::{RUN_VARIABLE, run_token};
use crate::process::{self, Cage, Captured, Dialogue, Ending, Invocation, OwnPeak, Reply};
use crate::request::{Answer, Exit, Request};

/// The hidden argument with which the program becomes a worker.
pub const ARGUMENT: &str = "__imgduel-worker";

/// What a library makes of a request, in the directory that the request's files lie in.
type Library = fn(&Request, &Path) -> LibraryAnswer;

/// The libraries that a worker can host, by the name of their tool.
const LIBRARIES: [(&str, Library); 1] = [("imago", imago::library::answer)];

/// What a library did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LibraryAnswer {
    /// The error, when it refused.
    pub(super) refused: Option<String>,
    /// The panic's message, when it panicked.
    panicked: Option<String>,
    /// What it says, in the shape of qemu-img's JSON.
    pub(super) json: Option<serde_json::Value>,
    /// The guest-visible contents.
    pub(super) contents: Option<Contents>,
    /// CPU time in nanoseconds.
    cpu_ns: u64,
    /// The most memory that the worker had at once meanwhile, in bytes.
    peak_memory_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Asked {
    library: String,
    #[serde(default)]
    is_confined: bool,
    #[serde(default)]
    flushes_off: bool,
    directory: PathBuf,
    request: Request,
}

/// Becomes a worker when the program was started as one: serves until standard input closes. To be called first in `main`.
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let served = serve(io::stdin().lock(), io::stdout().lock());
    Some(if served.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn serve(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    for line in input.lines() {
        let asked: Asked = serde_json::from_str(&line?)?;
        let started = process::own_cpu_time();
        let peak = OwnPeak::begin();
        let mut answer = answer(&asked);
        answer.peak_memory_bytes = peak.end();
        answer.cpu_ns = (process::own_cpu_time() - started).as_nanos() as u64;
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(asked: &Asked) -> LibraryAnswer {
    let Some((_, library)) = LIBRARIES.iter().find(|(name, _)| *name == asked.library) else {
        return LibraryAnswer {
            refused: Some(format!("no library {}", asked.library)),
            ..Default::default()
        };
    };
    let cage = Cage {
        limits: None,
        is_confined: asked.is_confined,
        flushes_off: asked.flushes_off,
    };
    // The worker is thrown away after a panic, so no broken state is seen again.
    let answered = cage.confine(Some(&asked.directory), || {
        panic::catch_unwind(AssertUnwindSafe(|| {
            library(&asked.request, &asked.directory)
        }))
    });
    let answered = answered.unwrap_or_else(|error| {
        Ok(LibraryAnswer {
            panicked: Some(format!("cannot enter the cage: {error}")),
            ..Default::default()
        })
    });
    answered.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| {
            payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
        });
        let panicked = Some(text.unwrap_or_else(|| "a panic without a message".to_owned()));
        LibraryAnswer {
            panicked,
            ..Default::default()
        }
    })
}

/// The workers of one library.
pub(super) struct Workers {
    library: &'static str,
    program: PathBuf,
    idle: Mutex<Vec<Dialogue>>,
}

impl Workers {
    /// None yet: they are started when they are needed.
    pub(super) fn new(library: &'static str, program: PathBuf) -> Self {
        Self {
            library,
            program,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Asks one. `words` is the request in words, for evidence.
    pub(super) fn ask(
        &self,
        request: &Request,
        words: Vec<String>,
        scene: &Scene<'_>,
    ) -> Result<Answer> {
        let asked = Asked {
            library: self.library.to_owned(),
            is_confined: scene.cage.is_confined,
            flushes_off: scene.cage.flushes_off,
            directory: scene.directory.to_owned(),
            request: request.clone(),
        };
        let line =
            serde_json::to_string(&asked).map_err(|error| Error::system(error.to_string()))?;
        let dialogue = match self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
        {
            Some(dialogue) => dialogue,
            None => self.start(scene)?,
        };
        dialogue.limit_memory(scene.memory_bytes_max)?;
        let started = Instant::now();
        let reply = dialogue.ask(&line, &scene.invocation(&self.program, &[]))?;
        let mut answer = self.read(reply)?;
        answer.duration = started.elapsed();
        answer.command = words;
        Ok(answer)
    }

    fn start(&self, scene: &Scene<'_>) -> Result<Dialogue> {
        let arguments = [ARGUMENT.to_owned()];
        // Not the scene's directory: the worker outlives it.
        let directory = std::env::temp_dir();
        let program = &self.program;
        Dialogue::start(&Invocation {
            directory: &directory,
            environment: &[(RUN_VARIABLE.into(), run_token().into())],
            memory_bytes_max: None,
            ..scene.invocation(program, &arguments)
        })
    }

    fn read(&self, reply: Reply) -> Result<Answer> {
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
                return Ok(Answer {
                    peak_memory_bytes,
                    ..ended(&ending, stderr, cpu)
                });
            }
        };
        let said: LibraryAnswer = serde_json::from_slice(&line).map_err(|error| {
            Error::system(format!(
                "the {} worker answered with something else than JSON: {error}",
                self.library
            ))
        })?;
        let cpu = Duration::from_nanos(said.cpu_ns);
        let mut answer = plain_answer(Exit::Success, stderr, cpu);
        if let Some(message) = said.panicked {
            answer.exit = Exit::Crashed(format!("panic: {message}"));
            answer.peak_memory_bytes = said.peak_memory_bytes;
            return Ok(answer);
        }
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(*dialogue);
        if let Some(message) = said.refused {
            answer.exit = Exit::Refused(1);
            answer.stderr = Captured::from_text(message);
        }
        answer.stdout =
            Captured::from_text(said.json.map(|json| json.to_string()).unwrap_or_default());
        answer.contents = said.contents;
        answer.peak_memory_bytes = said.peak_memory_bytes;
        Ok(answer)
    }
}

/// The answer of a worker that is gone: it died under the request, or was killed at the limit.
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
