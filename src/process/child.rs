//! A child that leads its own process group, from its start to its reaping.
//!
//! It knows the server that forked it, but not whether that is a zygote or a fork server; the caller provides where the
//! server goes after the child is reaped. `spawning.rs` uses it, and so do `call.rs` and `dialogue.rs`, which watch a
//! child to its end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use wait4::Wait4;

use super::ending::Ending;
use super::interrupt::readable_within;
use super::invocation::{Invocation, Omissions, environment};
use super::launch::launch;
use super::limits::SetLimit;
use super::memory_file::MemoryFile;
use super::policy::SandboxPolicy;
use super::pulse::Kin;
use super::server::{Call, Ended, NotStarted, Server, TURN_PATIENCE, Word};
use super::{confined_thread, confinement};
use crate::base::error::{Error, Result};

/// How long a killed child may take to end, for example in an uninterruptible wait, before its reaping is left to a
/// thread.
const KILL_GRACE: Duration = Duration::from_millis(500);

/// A child and its group.
pub(super) struct Child {
    parent: Option<Parent>,
    /// `None` for a server's child whose id was not needed yet.
    leader: Option<Pid>,
    /// The server's message about its end.
    told: Option<Told>,
    /// When it was started.
    pub(super) started: Instant,
}

/// The result of a start.
pub(super) enum Started<T> {
    /// The tool runs.
    Yes(T),
    /// The tool does not run.
    No(NotStarted),
}

/// Takes back a server that waits for the next call.
pub(super) type Home = Box<dyn FnOnce(Server) + Send + Sync>;

/// The parent of a child, which reaps it.
enum Parent {
    /// This process; the descriptor becomes readable when the child has ended.
    Us(process::Child, OwnedFd),
    /// A server, and where it goes afterwards; `None` for the caller that has the child reaped.
    Server(Box<Server>, Option<Home>),
}

impl Parent {
    fn server(&self) -> Option<&Server> {
        match self {
            Self::Us(..) => None,
            Self::Server(server, _) => Some(server),
        }
    }
}

/// How a server's child ended.
enum Told {
    Ended(Ended),
    NotStarted(NotStarted),
    /// The server is gone.
    Nothing,
}

/// The reading ends of a child's streams.
pub(super) struct Pipes {
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// A child that has ended.
pub(super) struct Reaped {
    pub(super) ending: Ending,
    pub(super) elapsed: Duration,
    pub(super) cpu: Duration,
    pub(super) peak_memory_bytes: u64,
    /// Its server, if it has no home and still exists.
    pub(super) server: Option<Server>,
}

impl Child {
    /// Returns the leader's process id, which is also the group's, as soon as it exists; `None` if it was not created,
    /// or if the server does not answer.
    pub(super) fn leader(&mut self) -> Option<Pid> {
        let server = self.parent.as_ref().and_then(Parent::server);
        self.leader = self.leader.or_else(|| server?.child());
        self.leader
    }

    /// Returns the group and, if known, the session of all its members.
    pub(super) fn kin(&mut self) -> Option<Kin> {
        let leader = self.leader()?;
        let server = self.parent.as_ref().and_then(Parent::server);
        let session = server.and_then(Server::session);
        Some(Kin { leader, session })
    }

    /// Waits until the leader of a persistent group has become the tool; returns the child and its group.
    pub(super) fn await_start(mut self) -> Result<Started<(Self, Kin)>> {
        if self.leader.is_none() {
            self.ends_within(TURN_PATIENCE)?;
        }
        if let Some(kin) = self.kin() {
            return Ok(Started::Yes((self, kin)));
        }
        Ok(Started::No(match self.kill_and_reap()? {
            Started::Yes(_) => NotStarted::ByServer,
            Started::No(why) => why,
        }))
    }

    /// Returns a descriptor that becomes readable when the leader has ended.
    pub(super) fn end(&self) -> BorrowedFd<'_> {
        match self.parent.as_ref().expect("a child is reaped once") {
            Parent::Us(_, pidfd) => pidfd.as_fd(),
            Parent::Server(server, _) => server.socket(),
        }
    }

    /// Whether the leader has ended (it may be unreaped), or was not created.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        self.ends_within(Duration::ZERO)
    }

    /// Whether the leader has ended but its server has not reported it yet, because it may be waiting for a processor.
    /// The server's message is then awaited.
    pub(super) fn ended_unheard(&mut self) -> Result<bool> {
        let watched = self
            .leader()
            .and_then(|leader| pidfd_open(leader, PidfdFlags::empty()).ok());
        let is_gone = watched
            .is_some_and(|leader| readable_within(leader.as_fd(), Duration::ZERO).unwrap_or(false));
        Ok(is_gone && self.ends_within(TURN_PATIENCE)?)
    }

    /// Kills the whole group and reaps its leader. The leader is reaped last, so that its group id cannot have been
    /// reused when the group is killed.
    pub(super) fn kill_and_reap(mut self) -> Result<Started<Reaped>> {
        self.kill();
        let gone = self.ends_within(KILL_GRACE)? || self.ended_unheard()?;
        let lost = Reaped {
            ending: Ending::Signaled(Signal::KILL.as_raw()),
            elapsed: self.started.elapsed(),
            cpu: Duration::ZERO,
            peak_memory_bytes: 0,
            server: None,
        };
        match self.parent.take().expect("a child is reaped once") {
            Parent::Us(child, _) if !gone => {
                std::thread::spawn(move || child.wait4());
                Ok(Started::Yes(lost))
            }
            Parent::Us(child, _) => {
                let used = child.wait4().map_err(|error| {
                    Error::system(format!("cannot reap a tool's process: {error}"))
                })?;
                Ok(Started::Yes(Reaped {
                    ending: Ending::from_status(used.status),
                    cpu: used.rusage.utime + used.rusage.stime,
                    peak_memory_bytes: used.rusage.maxrss,
                    ..lost
                }))
            }
            Parent::Server(server, home) => Ok(self.reaped_by_server(*server, home, lost)),
        }
    }

    /// Handles a server's message about its child's end. If there is none, the child is `lost`. A server that still
    /// exists goes home.
    fn reaped_by_server(
        &mut self,
        server: Server,
        home: Option<Home>,
        lost: Reaped,
    ) -> Started<Reaped> {
        let ended = match self.told.take() {
            Some(Told::Ended(ended)) => ended,
            Some(Told::NotStarted(why)) => {
                if let (Some(home), NotStarted::BySystem(_)) = (home, &why) {
                    home(server);
                }
                return Started::No(why);
            }
            Some(Told::Nothing) if self.leader.is_none() => {
                return Started::No(NotStarted::ByServer);
            }
            // A server that cannot reap it is ended, so that the system reaps it.
            Some(Told::Nothing) | None => return Started::Yes(lost),
        };
        let mut left = server.reap().then_some(server);
        if let Some(home) = home
            && let Some(server) = left.take()
        {
            home(server);
        }
        Started::Yes(Reaped {
            ending: ended.ending,
            cpu: ended.cpu,
            peak_memory_bytes: ended.peak_memory_bytes,
            server: left,
            ..lost
        })
    }

    fn kill(&mut self) {
        // A child that was not created may have left a number that another process has by now.
        if matches!(self.told, Some(Told::NotStarted(_))) {
            return;
        }
        if let Some(leader) = self.leader() {
            // The group may have ended already, which is as good; the leader may have left it, and exists until it is
            // reaped.
            let _ = kill_process_group(leader, Signal::KILL);
            let _ = kill_process(leader, Signal::KILL);
        }
    }

    fn ends_within(&mut self, grace: Duration) -> Result<bool> {
        let cannot_watch = |error| Error::system(format!("cannot watch a tool's process: {error}"));
        if self.told.is_some() {
            return Ok(true);
        }
        let server = self.parent.as_ref().and_then(Parent::server);
        let Some(server) = server else {
            return readable_within(self.end(), grace).map_err(cannot_watch);
        };
        self.told = match server.word(grace) {
            Ok(Some(Word::Ended(ended))) => {
                self.leader = Some(ended.process);
                Some(Told::Ended(ended))
            }
            Ok(Some(Word::NotStarted(not_started))) => Some(Told::NotStarted(not_started)),
            Ok(Some(Word::Started(leader))) => {
                self.leader = Some(leader);
                None
            }
            Ok(None) => None,
            Err(_) => Some(Told::Nothing),
        };
        Ok(self.told.is_some())
    }
}

impl Drop for Child {
    /// The child still exists here only if the harness gives up half-way: nothing may stay behind.
    fn drop(&mut self) {
        if self.parent.is_some() {
            self.kill();
        }
        // A server ends when it is dropped.
        if let Some(Parent::Us(mut child, _)) = self.parent.take() {
            let _ = child.wait();
        }
    }
}

/// A call that is about to be sent to a server.
pub(super) struct Put<'call> {
    pub(super) invocation: &'call Invocation<'call>,
    pub(super) omissions: Omissions,
    /// Whether standard input is a pipe.
    pub(super) spoken_to: bool,
    pub(super) limits: &'call [SetLimit],
}

impl Put<'_> {
    /// Sends the call; returns the future child with its streams. The server goes home when the child is reaped.
    pub(super) fn by_server(
        &self,
        mut server: Server,
        home: Option<Home>,
    ) -> Result<Started<(Child, Pipes)>> {
        let started = Instant::now();
        let invocation = self.invocation;
        let pipe = || {
            pipe_with(PipeFlags::CLOEXEC)
                .map_err(|error| Error::system(format!("cannot make a pipe: {error}")))
        };
        let (stdout, stdout_end) = pipe()?;
        let (stderr, stderr_end) = pipe()?;
        let stdin = self.spoken_to.then(pipe).transpose()?;
        let input = input(invocation)?;
        let ruleset = match invocation.sandbox {
            Some(policy) => confinement::ruleset_of_policy(policy, invocation.directory)
                .map_err(|error| cannot_start(invocation, &error))?,
            None => None,
        };
        let put = server.put(&Call {
            invocation,
            omissions: self.omissions,
            limits: self.limits,
            stdin: match &stdin {
                Some((end, _)) => Some(end.as_fd()),
                None => input.as_ref().map(AsFd::as_fd),
            },
            stdout: stdout_end.as_fd(),
            stderr: stderr_end.as_fd(),
            ruleset: ruleset.as_ref().map(AsFd::as_fd),
            tells_start: self.spoken_to,
        });
        if let Err(why) = put {
            return Ok(Started::No(why));
        }
        let child = Child {
            parent: Some(Parent::Server(Box::new(server), home)),
            leader: None,
            told: None,
            started,
        };
        let pipes = Pipes {
            stdin: stdin.map(|(_, end)| end.into()),
            stdout,
            stderr,
        };
        Ok(Started::Yes((child, pipes)))
    }
}

/// Starts a child from this process, if there is no zygote: confined in a separate thread, and limited as soon as
/// possible after the start.
pub(super) fn by_us(
    invocation: &Invocation<'_>,
    spoken_to: bool,
    limits: &[SetLimit],
) -> Result<(Child, Pipes)> {
    let started = Instant::now();
    let mut command = Command::new(invocation.program);
    command
        .args(invocation.arguments)
        .current_dir(invocation.directory)
        .env_clear()
        .envs(environment(invocation))
        .stdin(match input(invocation)? {
            _ if spoken_to => Stdio::piped(),
            Some(input) => Stdio::from(input),
            None => Stdio::null(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let policy = invocation.sandbox.unwrap_or(&SandboxPolicy::OPEN);
    let scratch = Some(invocation.directory);
    let start = || {
        let child = launch(&mut command)?;
        confined_thread::limit_late(Pid::from_child(&child), limits);
        Ok(child)
    };
    let mut child = confined_thread::confine(policy, scratch, start)
        .flatten()
        .map_err(|error| cannot_start(invocation, &error))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        unreachable!("both streams were asked for as pipes");
    };
    let pipes = Pipes {
        stdin: child.stdin.take(),
        stdout: stdout.into(),
        stderr: stderr.into(),
    };
    let leader = Pid::from_child(&child);
    let pidfd = pidfd_open(leader, PidfdFlags::empty())
        .map_err(|error| Error::system(format!("cannot watch a tool's process: {error}")))?;
    let child = Child {
        parent: Some(Parent::Us(child, pidfd)),
        leader: Some(leader),
        told: None,
        started,
    };
    Ok((child, pipes))
}

/// Returns what a program reads from its standard input, as a file in memory: unlike a pipe, it needs nobody who fills it.
fn input(invocation: &Invocation<'_>) -> Result<Option<File>> {
    let Some(bytes) = invocation.input else {
        return Ok(None);
    };
    let file = MemoryFile::holding("imgduel-input", bytes).and_then(|file| file.opened());
    let opened =
        file.map_err(|error| Error::system(format!("cannot keep a tool's input: {error}")));
    opened.map(Some)
}

/// A missing directory is reported like a missing program.
pub(super) fn cannot_start(invocation: &Invocation<'_>, error: &io::Error) -> Error {
    let Invocation {
        program, directory, ..
    } = invocation;
    match directory.is_dir() {
        true => Error::io("start", program, error),
        false => Error::io("work in", directory, error),
    }
}
