//! A child that leads a process group of its own, from its start to its reaping.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use wait4::Wait4;

use super::cage::SetLimit;
use super::interrupt::readable_within;
use super::pulse::Kin;
use super::server::{Call, Ended, NotStarted, Server, TURN_PATIENCE, Word, environment};
use super::{Cage, Ending, ForkServer, Invocation, Omissions, scratch, starter};
use crate::base::error::{Error, Result};

/// How long a killed child may take to be gone (one in an uninterruptible wait takes its time) before its reaping is
/// left to a thread.
const KILL_GRACE: Duration = Duration::from_millis(500);

/// How often a start is tried again while the program's file is still open for writing somewhere (ETXTBSY).
const START_TRIES: u32 = 20;

/// The pause before each.
const START_PAUSE: Duration = Duration::from_millis(5);

/// A child and its group.
pub(super) struct Group {
    parent: Option<Parent>,
    /// None: a server's child, whose id was not needed yet.
    leader: Option<Pid>,
    /// What its server has said of its end.
    told: Option<Told>,
    /// When it was started.
    pub(super) started: Instant,
}

/// Whose child it is, and so who reaps it.
enum Parent {
    /// Ours; the descriptor can be read when it has ended.
    Us(Child, OwnedFd),
    /// A starter's, for calls in such a cage in such a run's directory.
    Starter(Box<Server>, Cage, Option<PathBuf>),
    /// A fork server's.
    ForkServer(Box<Server>),
}

impl Parent {
    fn server(&self) -> Option<&Server> {
        match self {
            Self::Us(..) => None,
            Self::Starter(server, ..) | Self::ForkServer(server) => Some(server),
        }
    }
}

/// How a server's child came to its end.
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

/// A child that is gone.
pub(super) struct Reaped {
    pub(super) ending: Ending,
    pub(super) elapsed: Duration,
    pub(super) cpu: Duration,
    pub(super) peak_memory_bytes: u64,
    /// The fork server that it came from.
    pub(super) server: Option<ForkServer>,
}

impl Group {
    /// Starts the program as the leader of a new group, standard input a pipe when `spoken_to`, else empty, and has `attend` see it through.
    pub(super) fn spawn<T>(
        invocation: &Invocation<'_>,
        spoken_to: bool,
        attend: impl Fn(Self, Pipes) -> Result<std::result::Result<T, NotStarted>>,
    ) -> Result<T> {
        let cage = invocation.cage.unwrap_or(&Cage::OPEN);
        let wall = invocation.limit + invocation.patience;
        let limits = cage.set_limits((!spoken_to).then_some(wall), invocation.memory_bytes_max);
        // One that is named by its file alone is looked for on PATH, which a starter does not do.
        let is_path = invocation.program.components().nth(1).is_some();
        let mut tries = 0;
        let place = scratch::run_directory_of(invocation.directory);
        while is_path && let Ok(starter) = starter::take(cage, place) {
            let parent = |starter| {
                Parent::Starter(Box::new(starter), cage.clone(), place.map(Path::to_owned))
            };
            let omissions = Omissions::default();
            let put = by_server(invocation, omissions, spoken_to, &limits, starter, parent)?;
            let attended = match put {
                Ok((group, pipes)) => attend(group, pipes)?,
                Err(not_started) => Err(not_started),
            };
            match attended {
                Ok(attended) => return Ok(attended),
                Err(NotStarted::ByServer) => break,
                Err(NotStarted::BySystem(error)) if may_pass(&error) && tries < START_TRIES => {
                    tries += 1;
                    std::thread::sleep(START_PAUSE);
                }
                Err(NotStarted::BySystem(error)) => return Err(cannot_start(invocation, &error)),
            }
        }
        let (group, pipes) = by_us(invocation, spoken_to, &limits)?;
        let attended = attend(group, pipes)?;
        attended.map_err(|_| Error::system("a tool's process was lost".to_owned()))
    }

    /// The same by a fork of a tool that is loaded already. `None` when the server does not take the call.
    pub(super) fn fork(
        invocation: &Invocation<'_>,
        omissions: Omissions,
        server: ForkServer,
    ) -> Result<Option<(Self, Pipes)>> {
        let cage = invocation.cage.unwrap_or(&Cage::OPEN);
        let wall = invocation.limit + invocation.patience;
        let limits = cage.set_limits(Some(wall), invocation.memory_bytes_max);
        let ForkServer(server) = server;
        let parent = |server| Parent::ForkServer(Box::new(server));
        let put = by_server(invocation, omissions, false, &limits, server, parent)?;
        Ok(put.ok())
    }

    /// The leader's process id, which is also the group's, as soon as it is there; `None` when it has not come to be, or nothing is heard of
    /// it.
    pub(super) fn leader(&mut self) -> Option<Pid> {
        let server = self.parent.as_ref().and_then(Parent::server);
        self.leader = self.leader.or_else(|| server?.child());
        self.leader
    }

    /// The group and, where it is known, the session that all of it is in.
    pub(super) fn kin(&mut self) -> Option<Kin> {
        let leader = self.leader()?;
        let server = self.parent.as_ref().and_then(Parent::server);
        let session = server.and_then(Server::session);
        Some(Kin { leader, session })
    }

    /// Waits until the leader of a group that is spoken to has become the tool; the group again, and who belongs to it.
    pub(super) fn await_start(mut self) -> Result<std::result::Result<(Self, Kin), NotStarted>> {
        if self.leader.is_none() {
            self.ends_within(TURN_PATIENCE)?;
        }
        Ok(match self.kin() {
            Some(kin) => Ok((self, kin)),
            None => Err(self.kill_and_reap()?.err().unwrap_or(NotStarted::ByServer)),
        })
    }

    /// Becomes readable when the leader has ended.
    pub(super) fn end(&self) -> BorrowedFd<'_> {
        match self.parent.as_ref().expect("a group is reaped once") {
            Parent::Us(_, pidfd) => pidfd.as_fd(),
            Parent::Starter(server, ..) | Parent::ForkServer(server) => server.socket(),
        }
    }

    /// Whether the leader has ended (it may still be unreaped), or has not come to be.
    pub(super) fn has_ended(&mut self) -> Result<bool> {
        self.ends_within(Duration::ZERO)
    }

    /// Whether the leader has ended, and its server, which may stand in a long line for a processor, has still to tell of it, which is then
    /// waited for.
    pub(super) fn ended_unheard(&mut self) -> Result<bool> {
        let watched = self
            .leader()
            .and_then(|leader| pidfd_open(leader, PidfdFlags::empty()).ok());
        let is_gone = watched
            .is_some_and(|leader| readable_within(leader.as_fd(), Duration::ZERO).unwrap_or(false));
        Ok(is_gone && self.ends_within(TURN_PATIENCE)?)
    }

    /// Kills the whole group and reaps its leader. The leader is reaped last, so that its group id cannot have been
    /// given to somebody else when the group is killed.
    pub(super) fn kill_and_reap(mut self) -> Result<std::result::Result<Reaped, NotStarted>> {
        self.kill();
        let gone = self.ends_within(KILL_GRACE)? || self.ended_unheard()?;
        let elapsed = self.started.elapsed();
        let lost = Reaped {
            ending: Ending::Signaled(Signal::KILL.as_raw()),
            elapsed,
            cpu: Duration::ZERO,
            peak_memory_bytes: 0,
            server: None,
        };
        let told = self.told.take();
        let (server, starter_for) = match self.parent.take().expect("a group is reaped once") {
            Parent::Us(child, _) if !gone => {
                std::thread::spawn(move || child.wait4());
                return Ok(Ok(lost));
            }
            Parent::Us(child, _) => {
                let used = child.wait4().map_err(|error| {
                    Error::system(format!("cannot reap a tool's process: {error}"))
                })?;
                return Ok(Ok(Reaped {
                    ending: Ending::of_status(used.status),
                    cpu: used.rusage.utime + used.rusage.stime,
                    peak_memory_bytes: used.rusage.maxrss,
                    ..lost
                }));
            }
            Parent::Starter(server, cage, place) => (server, Some((cage, place))),
            Parent::ForkServer(server) => (server, None),
        };
        let ended = match told {
            Some(Told::Ended(ended)) => ended,
            Some(Told::NotStarted(not_started)) => {
                if let (Some((cage, place)), NotStarted::BySystem(_)) = (starter_for, &not_started)
                {
                    starter::put_back(&cage, place.as_deref(), *server);
                }
                return Ok(Err(not_started));
            }
            Some(Told::Nothing) if self.leader.is_none() => return Ok(Err(NotStarted::ByServer)),
            // A server that cannot reap it is ended, and leaves it to the system.
            Some(Told::Nothing) | None => return Ok(Ok(lost)),
        };
        let reaped = Reaped {
            ending: ended.ending,
            cpu: ended.cpu,
            ..lost
        };
        let is_there = server.reap();
        let Some((cage, place)) = starter_for else {
            // A fork has the memory of its server as well: what is its own is not told.
            let server = is_there.then_some(ForkServer(*server));
            return Ok(Ok(Reaped { server, ..reaped }));
        };
        if is_there {
            starter::put_back(&cage, place.as_deref(), *server);
        }
        Ok(Ok(Reaped {
            peak_memory_bytes: ended.peak_memory_bytes,
            ..reaped
        }))
    }

    fn kill(&mut self) {
        // One that has not come to be may have left a number that is somebody else's by now.
        if matches!(self.told, Some(Told::NotStarted(_))) {
            return;
        }
        if let Some(leader) = self.leader() {
            // The group may be gone already, which is as good; the leader may have left it, and is there until it is reaped.
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

impl Drop for Group {
    /// Reached with the child still there only when the harness gives up half-way: nothing may stay behind.
    fn drop(&mut self) {
        if self.parent.is_some() {
            self.kill();
        }
        // A fork server ends when it is dropped.
        if let Some(Parent::Us(mut child, _)) = self.parent.take() {
            let _ = child.wait();
        }
    }
}

type Put = std::result::Result<(Group, Pipes), NotStarted>;

/// Puts a call to a server: its child to be, with its streams.
fn by_server(
    invocation: &Invocation<'_>,
    omissions: Omissions,
    spoken_to: bool,
    limits: &[SetLimit],
    mut server: Server,
    parent: impl FnOnce(Server) -> Parent,
) -> Result<Put> {
    let started = Instant::now();
    let pipe = || {
        pipe_with(PipeFlags::CLOEXEC)
            .map_err(|error| Error::system(format!("cannot make a pipe: {error}")))
    };
    let (stdout, stdout_end) = pipe()?;
    let (stderr, stderr_end) = pipe()?;
    let stdin = spoken_to.then(pipe).transpose()?;
    let ruleset = match invocation.cage {
        Some(cage) => cage
            .ruleset(invocation.directory)
            .map_err(|error| cannot_start(invocation, &error))?,
        None => None,
    };
    let put = server.put(&Call {
        invocation,
        omissions,
        limits,
        stdin: stdin.as_ref().map(|(end, _)| end.as_fd()),
        stdout: stdout_end.as_fd(),
        stderr: stderr_end.as_fd(),
        ruleset: ruleset.as_ref().map(AsFd::as_fd),
        tells_start: spoken_to,
    });
    let started = |()| {
        let group = Group {
            parent: Some(parent(server)),
            leader: None,
            told: None,
            started,
        };
        let pipes = Pipes {
            stdin: stdin.map(|(_, end)| end.into()),
            stdout,
            stderr,
        };
        (group, pipes)
    };
    Ok(put.map(started))
}

/// By this process, where there is no starter: confined in a thread of its own, limited as soon as can be after the start.
fn by_us(
    invocation: &Invocation<'_>,
    spoken_to: bool,
    limits: &[SetLimit],
) -> Result<(Group, Pipes)> {
    let started = Instant::now();
    let mut command = Command::new(invocation.program);
    command
        .args(invocation.arguments)
        .current_dir(invocation.directory)
        .env_clear()
        .envs(environment(invocation))
        .stdin(if spoken_to {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let cage = invocation.cage.unwrap_or(&Cage::OPEN);
    let scratch = Some(invocation.directory);
    let start = || {
        let child = start(&mut command)?;
        cage.limit_late(Pid::from_child(&child), limits);
        Ok(child)
    };
    let mut child = cage
        .confine(scratch, start)
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
    let group = Group {
        parent: Some(Parent::Us(child, pidfd)),
        leader: Some(leader),
        told: None,
        started,
    };
    Ok((group, pipes))
}

/// A directory that is gone shows as a program that is not there.
fn cannot_start(invocation: &Invocation<'_>, error: &io::Error) -> Error {
    let Invocation {
        program, directory, ..
    } = invocation;
    match directory.is_dir() {
        true => Error::io("start", program, error),
        false => Error::io("work in", directory, error),
    }
}

/// Starts a program, again when it is being written to by a fork of this process that has not come to its own program yet.
pub(super) fn start(command: &mut Command) -> io::Result<Child> {
    let mut tries = 0;
    loop {
        match command.spawn() {
            Err(error) if may_pass(&error) && tries < START_TRIES => {
                tries += 1;
                std::thread::sleep(START_PAUSE);
            }
            started => return started,
        }
    }
}

/// Whether what kept a program from being started may be over in a moment: ETXTBSY, or (EAGAIN) no process to spare.
fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ExecutableFileBusy | io::ErrorKind::WouldBlock
    )
}
