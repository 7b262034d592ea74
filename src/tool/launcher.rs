//! How a tool's calls are started: each as a new process, or as a fork of one that is already loaded.
//!
//! One launcher serves a whole run; the tools hold it. A program that cannot be forked is spawned, and the launcher
//! reports why. It can also compare the two ways call by call (`ExecMode::Check`). `process` implements the fork
//! server.

mod check;
mod program;

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::request::Fault;
use crate::base::error::{Error, Result};
use crate::process::{
    Finished, ForkServer, Forked, Invocation, Omissions, Preload, SandboxPolicy, run, run_forked,
};
pub use check::Compared;
use check::Comparison;
use program::can_be_preloaded;

/// How calls are started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExecMode {
    /// Each as a new process.
    Spawn,
    /// By a fork server, if possible.
    #[default]
    Fork,
    /// Both ways on the same files, comparing the results.
    Check,
}

impl FromStr for ExecMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "spawn" => Ok(Self::Spawn),
            "fork" => Ok(Self::Fork),
            "check" => Ok(Self::Check),
            _ => Err(Error::usage(format!(
                "there is no way '{text}' to start tools: write spawn, fork or check"
            ))),
        }
    }
}

impl fmt::Display for ExecMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Spawn => "spawn",
            Self::Fork => "fork",
            Self::Check => "check",
        })
    }
}

/// How glibc allocates in the reference (its manual, Memory Allocation Tunables): long buffers lie in the heap, which asks for huge pages and is not
/// given back. A forked call begins without memory of its own, and the faults of its pages were a third of its time.
const REFERENCE_ALLOCATION: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=16777216:glibc.malloc.trim_threshold=268435456",
);

/// Starts programs.
pub struct Launcher {
    mode: ExecMode,
    /// What forked calls omit.
    omissions: Omissions,
    /// Whether it starts the reference.
    is_for_reference: bool,
    yard: Arc<SharedCache>,
}

/// The state that the launchers of one run share.
#[derive(Default)]
struct SharedCache {
    preload: OnceLock<Result<Preload, String>>,
    /// The lock is held to look up and put back servers, never while a program runs.
    programs: Mutex<HashMap<Key, Program>>,
    comparison: Comparison,
}

/// For what a server is.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    program: PathBuf,
    /// The directory that it is confined to.
    place: Option<PathBuf>,
    is_for_reference: bool,
}

/// The state of a program.
struct Program {
    /// A program whose file was replaced is loaded again.
    identity: Identity,
    /// The idle servers; or why there can be none.
    servers: Result<Vec<ForkServer>, String>,
}

/// Device, inode, length, and time of the last change.
type Identity = (u64, u64, u64, i64, i64);

impl Launcher {
    /// Returns a launcher. `is_durable` lets flushes of forked tools reach the disk.
    pub fn new(mode: ExecMode, is_durable: bool) -> Arc<Self> {
        let omissions = Omissions {
            flushes: !is_durable,
            ..Omissions::default()
        };
        Arc::new(Self {
            mode,
            omissions,
            is_for_reference: false,
            yard: Arc::default(),
        })
    }

    /// Returns the launcher for the reference: forked calls omit the destructors of its libraries, which are a
    /// fifteenth of its CPU time and not under test, and its C library allocates as [`REFERENCE_ALLOCATION`] says.
    pub fn for_reference(&self) -> Arc<Self> {
        let omissions = Omissions {
            library_destructors: true,
            ..self.omissions
        };
        self.omitting(omissions, true)
    }

    /// Returns the launcher for a program of QEMU: forked calls omit the benchmarks of key derivation, whose outcome is
    /// the machine's speed. If it is the reference, and `hands_over_by_conditions` says that its pool of threads is one
    /// that the preloaded library knows, workers run inside the thread that hands them work.
    pub fn for_qemu(&self, hands_over_by_conditions: bool) -> Arc<Self> {
        let omissions = Omissions {
            key_benchmarks: true,
            worker_threads: self.is_for_reference && hands_over_by_conditions,
            ..self.omissions
        };
        self.omitting(omissions, self.is_for_reference)
    }

    fn omitting(&self, omissions: Omissions, is_for_reference: bool) -> Arc<Self> {
        Arc::new(Self {
            mode: self.mode,
            omissions,
            is_for_reference,
            yard: Arc::clone(&self.yard),
        })
    }

    /// Runs a program to its end or its limit. An error means that it could not be started or watched.
    pub fn run(&self, invocation: &Invocation<'_>) -> Result<Finished> {
        match self.mode {
            ExecMode::Spawn => run(invocation),
            // The peak memory of a forked child is unknown, and its memory limit is the server's.
            _ if invocation.memory_bytes_max.is_some() => run(invocation),
            ExecMode::Fork => self.fork(invocation),
            // Only a forked call can have a fault, so there is nothing to compare with.
            ExecMode::Check if Fault::is_asked_by(invocation.environment) => self.fork(invocation),
            ExecMode::Check => match self.objection(invocation.program) {
                Some(_) => run(invocation),
                None => {
                    let both: [&dyn Fn() -> Result<Finished>; 2] =
                        [&|| run(invocation), &|| self.fork(invocation)];
                    self.yard.comparison.run_both(invocation, both)
                }
            },
        }
    }

    /// Returns why this program is not forked; `None` if it is.
    pub fn objection(&self, program: &Path) -> Option<String> {
        if self.mode == ExecMode::Spawn {
            return Some("asked for by --exec-mode spawn".to_owned());
        }
        // The server is not put back: it is not confined.
        self.take(program, &SandboxPolicy::OPEN, None).err()
    }

    /// Returns one line for every program that cannot be forked.
    pub fn fallbacks(&self) -> Vec<String> {
        let programs = self.lock();
        let lines = programs.iter().filter_map(|(key, program)| {
            let reason = program.servers.as_ref().err()?;
            let path = key.program.display();
            Some(format!("{path} is started anew for every call: {reason}"))
        });
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines.dedup();
        lines
    }

    /// Returns the result of comparing the two ways; `None` in other modes.
    pub fn compared(&self) -> Option<Compared> {
        (self.mode == ExecMode::Check).then(|| self.yard.comparison.so_far())
    }

    fn fork(&self, invocation: &Invocation<'_>) -> Result<Finished> {
        let sandbox = invocation.sandbox.cloned().unwrap_or(SandboxPolicy::OPEN);
        let omissions = Omissions {
            flushes: self.omissions.flushes || sandbox.flushes_off,
            ..self.omissions
        };
        // Omitting flushes in the launcher's way works for all calls.
        let sandbox = SandboxPolicy {
            flushes_off: false,
            ..sandbox
        };
        // A side's directory is two levels below the scratch directory of all sides and cases.
        let place = invocation.directory.ancestors().nth(2);
        let place = place.filter(|_| sandbox.is_confined);
        let Ok(server) = self.take(invocation.program, &sandbox, place) else {
            return run(invocation);
        };
        match run_forked(invocation, omissions, server)? {
            Forked::NotMade => run(invocation),
            Forked::Made { finished, server } => {
                if let Some(server) = server {
                    self.put_back(invocation.program, place, server);
                }
                Ok(*finished)
            }
        }
    }

    /// Returns an idle server of the program, or a new one.
    fn take(
        &self,
        program: &Path,
        sandbox: &SandboxPolicy,
        place: Option<&Path>,
    ) -> Result<ForkServer, String> {
        let identity = identity(program)?;
        let key = self.key(program, place);
        {
            let mut programs = self.lock();
            if let Some(known) = programs.get_mut(&key)
                && known.identity == identity
            {
                match &mut known.servers {
                    Err(reason) => return Err(reason.clone()),
                    Ok(idle) => {
                        if let Some(server) = idle.pop() {
                            return Ok(server);
                        }
                    }
                }
            }
        }
        let started = can_be_preloaded(program)
            .and_then(|()| {
                self.yard
                    .preload
                    .get_or_init(Preload::new)
                    .as_ref()
                    .map_err(Clone::clone)
            })
            .and_then(|preload| {
                let own = self.is_for_reference.then_some(REFERENCE_ALLOCATION);
                ForkServer::start(program, preload, (sandbox, place), own.as_slice())
            });
        let servers = match &started {
            Ok(_) => Ok(Vec::new()),
            Err(reason) => Err(reason.clone()),
        };
        let mut programs = self.lock();
        let is_known = programs
            .get(&key)
            .is_some_and(|known| known.identity == identity);
        if !is_known {
            programs.insert(key, Program { identity, servers });
        }
        // Nobody will ask for servers of a directory that was removed; each is a process until it is dropped.
        let is_removed = |place: &Path| !place.exists();
        let removed: Vec<_> = programs
            .extract_if(|key, _| key.place.as_deref().is_some_and(is_removed))
            .collect();
        drop(programs);
        drop(removed);
        started
    }

    fn put_back(&self, program: &Path, place: Option<&Path>, server: ForkServer) {
        if let Some(Program {
            servers: Ok(idle), ..
        }) = self.lock().get_mut(&self.key(program, place))
        {
            idle.push(server);
        }
    }

    fn key(&self, program: &Path, place: Option<&Path>) -> Key {
        Key {
            program: program.to_owned(),
            place: place.map(Path::to_owned),
            is_for_reference: self.is_for_reference,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Program>> {
        self.yard
            .programs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(program: &Path) -> Result<Identity, String> {
    let found = fs::metadata(program).map_err(|error| error.to_string())?;
    Ok((
        found.dev(),
        found.ino(),
        found.len(),
        found.mtime(),
        found.mtime_nsec(),
    ))
}
