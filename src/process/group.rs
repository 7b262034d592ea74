//! A child that leads a process group of its own, from its start to its reaping.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use wait4::Wait4;

use super::cage::SetLimit;
use super::interrupt::readable_within;
use super::server::{Call, Ended, NotStarted, Server, environment};
use super::{Cage, Ending, ForkServer, Invocation, Omissions, starter};
use crate::error::{Error, Result};

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
    pidfd: OwnedFd,
    leader: Pid,
    /// When it was started.
    pub(super) started: Instant,
}

/// Whose child it is, and so who reaps it.
enum Parent {
    /// Ours.
    Us(Child),
    /// A starter's, for calls in such a cage.
    Starter(Box<Server>, Cage),
    /// A fork server's.
    ForkServer(Box<Server>),
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
    /// Starts the program as the leader of a new group; standard input is a pipe when `spoken_to`, else empty.
    pub(super) fn spawn(invocation: &Invocation<'_>, spoken_to: bool) -> Result<(Self, Pipes)> {
        let started = Instant::now();
        let cage = invocation.cage.unwrap_or(&Cage::OPEN);
        let wall = invocation.limit + invocation.patience;
        let limits = cage.set_limits((!spoken_to).then_some(wall), invocation.memory_bytes_max);
        // One that is named by its file alone is looked for on PATH, which a starter does not do.
        let is_path = invocation.program.components().nth(1).is_some();
        let by_starter = match is_path.then(|| starter::take(cage)) {
            Some(Ok(starter)) => by_starter(invocation, spoken_to, &limits, starter)?,
            _ => None,
        };
        let (parent, leader, pipes) = match by_starter {
            Some(started) => started,
            None => by_us(invocation, spoken_to, &limits)?,
        };
        Ok((Self::of(parent, leader, started)?, pipes))
    }

    /// The same by a fork of a tool that is loaded already. `None` when the server did not make the call.
    pub(super) fn fork(
        invocation: &Invocation<'_>,
        omissions: Omissions,
        server: ForkServer,
    ) -> Result<Option<(Self, Pipes)>> {
        let started = Instant::now();
        let cage = invocation.cage.unwrap_or(&Cage::OPEN);
        let wall = invocation.limit + invocation.patience;
        let limits = cage.set_limits(Some(wall), invocation.memory_bytes_max);
        let ForkServer(server) = server;
        let made = start_child(invocation, omissions, false, &limits, &server)?;
        let Ok((leader, pipes)) = made else {
            return Ok(None);
        };
        let group = Self::of(Parent::ForkServer(Box::new(server)), leader, started)?;
        Ok(Some((group, pipes)))
    }

    fn of(parent: Parent, leader: Pid, started: Instant) -> Result<Self> {
        let pidfd = pidfd_open(leader, PidfdFlags::empty())
            .map_err(|error| Error::system(format!("cannot watch a tool's process: {error}")))?;
        Ok(Self {
            parent: Some(parent),
            pidfd,
            leader,
            started,
        })
    }

    /// The leader's process id, which is also the group's.
    pub(super) fn leader(&self) -> Pid {
        self.leader
    }

    /// Becomes readable when the leader has ended.
    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether the leader has ended (it may still be unreaped).
    pub(super) fn has_ended(&self) -> Result<bool> {
        self.ends_within(Duration::ZERO)
    }

    /// Kills the whole group and reaps its leader. The leader is reaped last, so that its group id cannot have been
    /// given to somebody else when the group is killed.
    pub(super) fn kill_and_reap(mut self) -> Result<Reaped> {
        self.kill();
        let gone = self.ends_within(KILL_GRACE)?;
        let elapsed = self.started.elapsed();
        let lost = || Reaped {
            ending: Ending::Signaled(Signal::KILL.as_raw()),
            elapsed,
            cpu: Duration::ZERO,
            peak_memory_bytes: 0,
            server: None,
        };
        let child = match self.parent.take().expect("a group is reaped once") {
            Parent::Us(child) => child,
            // A server that cannot reap it is ended, and leaves it to the system.
            Parent::Starter(starter, cage) => {
                let Some(ended) = gone.then(|| starter.reap()).flatten() else {
                    return Ok(lost());
                };
                starter::put_back(&cage, *starter);
                return Ok(Reaped::by_server(ended, elapsed, None));
            }
            Parent::ForkServer(server) => {
                let Some(ended) = gone.then(|| server.reap()).flatten() else {
                    return Ok(lost());
                };
                // A fork has the memory of its server as well: what is its own is not told.
                let ended = Ended {
                    peak_memory_bytes: 0,
                    ..ended
                };
                return Ok(Reaped::by_server(ended, elapsed, Some(ForkServer(*server))));
            }
        };
        if !gone {
            std::thread::spawn(move || child.wait4());
            return Ok(lost());
        }
        let used = child
            .wait4()
            .map_err(|error| Error::system(format!("cannot reap a tool's process: {error}")))?;
        Ok(Reaped {
            ending: Ending::of_status(used.status),
            elapsed,
            cpu: used.rusage.utime + used.rusage.stime,
            peak_memory_bytes: used.rusage.maxrss,
            server: None,
        })
    }

    fn kill(&self) {
        // The group may be gone already, which is as good.
        let _ = kill_process_group(self.leader, Signal::KILL);
    }

    fn ends_within(&self, grace: Duration) -> Result<bool> {
        readable_within(self.pidfd.as_fd(), grace)
            .map_err(|error| Error::system(format!("cannot watch a tool's process: {error}")))
    }
}

impl Drop for Group {
    /// Reached with the child still there only when the harness gives up half-way: nothing may stay behind.
    fn drop(&mut self) {
        if self.parent.is_some() {
            self.kill();
        }
        // A fork server ends when it is dropped.
        if let Some(Parent::Us(mut child)) = self.parent.take() {
            let _ = child.wait();
        }
    }
}

impl Reaped {
    fn by_server(ended: Ended, elapsed: Duration, server: Option<ForkServer>) -> Self {
        Self {
            ending: ended.ending,
            elapsed,
            cpu: ended.cpu,
            peak_memory_bytes: ended.peak_memory_bytes,
            server,
        }
    }
}

type Started = (Parent, Pid, Pipes);

/// By a starter: limited and confined before its first instruction. `None` when the starter is of no use.
fn by_starter(
    invocation: &Invocation<'_>,
    spoken_to: bool,
    limits: &[SetLimit],
    starter: Server,
) -> Result<Option<Started>> {
    let cage = invocation.cage.unwrap_or(&Cage::OPEN);
    let mut tries = 0;
    loop {
        match start_child(
            invocation,
            Omissions::default(),
            spoken_to,
            limits,
            &starter,
        )? {
            Ok((leader, pipes)) => {
                let parent = Parent::Starter(Box::new(starter), cage.clone());
                return Ok(Some((parent, leader, pipes)));
            }
            Err(NotStarted::ByServer) => return Ok(None),
            Err(NotStarted::BySystem(error)) if may_pass(&error) && tries < START_TRIES => {
                tries += 1;
                std::thread::sleep(START_PAUSE);
            }
            Err(NotStarted::BySystem(error)) => {
                starter::put_back(cage, starter);
                return Err(cannot_start(invocation, &error));
            }
        }
    }
}

/// A child of a server, with its streams.
fn start_child(
    invocation: &Invocation<'_>,
    omissions: Omissions,
    spoken_to: bool,
    limits: &[SetLimit],
    server: &Server,
) -> Result<std::result::Result<(Pid, Pipes), NotStarted>> {
    let pipe = || {
        pipe_with(PipeFlags::CLOEXEC)
            .map_err(|error| Error::system(format!("cannot make a pipe: {error}")))
    };
    let (stdout, stdout_end) = pipe()?;
    let (stderr, stderr_end) = pipe()?;
    let stdin = spoken_to.then(pipe).transpose()?;
    // A child that is kept outlives any scratch directory; it confines itself anew for each thing it is asked.
    let ruleset = match (invocation.cage, spoken_to) {
        (Some(cage), false) => cage
            .ruleset(invocation.directory)
            .map_err(|error| cannot_start(invocation, &error))?,
        _ => None,
    };
    let made = server.start_child(&Call {
        invocation,
        omissions,
        limits,
        stdin: stdin.as_ref().map(|(end, _)| end.as_fd()),
        stdout: stdout_end.as_fd(),
        stderr: stderr_end.as_fd(),
        ruleset: ruleset.as_ref().map(AsFd::as_fd),
    });
    let pipes = |leader| {
        let stdin = stdin.map(|(_, end)| end.into());
        let pipes = Pipes {
            stdin,
            stdout,
            stderr,
        };
        (leader, pipes)
    };
    Ok(made.map(pipes))
}

/// By this process, where there is no starter: confined in a thread of its own, limited as soon as can be after the start.
fn by_us(invocation: &Invocation<'_>, spoken_to: bool, limits: &[SetLimit]) -> Result<Started> {
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
    let scratch = (!spoken_to).then_some(invocation.directory);
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
    Ok((Parent::Us(child), leader, pipes))
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
