//! A process that starts tools on request: a zygote, or a tool that is stopped before its `main`.
//!
//! `preload/protocol.rs` describes the protocol, and both ends include it; the other end is `preload/attendance.rs`.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown,
    SocketFlags, SocketType, recv, send, sendmsg, shutdown, socketpair,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::ending::Ending;
use super::interrupt::readable_within;
use super::invocation::{Invocation, Omissions, environment};
use super::limits::SetLimit;
use super::protocol::{self, CallHead, MESSAGE_BYTES, PidFileEntry, REAP, Reply, call_flag};
use super::setup::Setup;

/// How long a program that may turn out to be no server may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a server may take for a fork: it only needs a processor, for which it may have to wait. A server that ended
/// is detected at once.
pub(super) const TURN_PATIENCE: Duration = Duration::from_secs(30);

/// The message about a program that is not a server.
pub(super) const NOT_WAITING: &str = "it does not wait for calls";

/// How long a server may take to end by itself.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// The interval for checking the pid file for a child that does not exist yet.
const PID_FILE_PAUSE: Duration = Duration::from_millis(1);

/// A process that waits for calls.
pub(super) struct Server {
    process: Child,
    socket: OwnedFd,
    /// Where a child writes the number of its call and its own id, eight bytes each.
    pid_file: File,
    /// The number of calls that were sent.
    calls: u64,
    leads_session: bool,
}

/// A call, as it is sent to a server.
pub(super) struct Call<'call> {
    pub(super) invocation: &'call Invocation<'call>,
    pub(super) omissions: Omissions,
    pub(super) limits: &'call [SetLimit],
    /// `None` for an empty standard input.
    pub(super) stdin: Option<BorrowedFd<'call>>,
    pub(super) stdout: BorrowedFd<'call>,
    pub(super) stderr: BorrowedFd<'call>,
    /// The ruleset with which the child restricts itself.
    pub(super) ruleset: Option<BorrowedFd<'call>>,
    /// Whether the server sends a message at the start of the child.
    pub(super) tells_start: bool,
}

/// A server's message about its child.
pub(super) enum Word {
    /// It has become the tool.
    Started(Pid),
    /// It has ended; its id is not reused until it is reaped.
    Ended(Ended),
    /// It has not become the tool.
    NotStarted(NotStarted),
}

/// A child that has ended.
pub(super) struct Ended {
    pub(super) process: Pid,
    pub(super) ending: Ending,
    pub(super) cpu: Duration,
    pub(super) peak_memory_bytes: u64,
}

/// Why there is no child.
pub(super) enum NotStarted {
    /// The message of the call is too long, or the server is unusable.
    ByServer,
    /// The system refused it; the server waits for the next call.
    BySystem(io::Error),
}

impl Server {
    /// Starts a server by this command, with `start`; the error says why it does not wait for calls. With a `setup`,
    /// the command is a zygote, which enters it first and leads its own session.
    pub(super) fn start(
        command: &mut Command,
        setup: Option<&Setup<'_>>,
        start: impl FnOnce(&mut Command) -> io::Result<Child>,
    ) -> Result<Self, String> {
        let (socket, other) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|error| error.to_string())?;
        let pid_file = memfd_create("imgduel-pid-file", MemfdFlags::CLOEXEC)
            .map_err(io::Error::from)
            .and_then(|pid_file| Ok((File::from(pid_file.try_clone()?), pid_file)));
        let (pid_file, for_server) = pid_file.map_err(|error| error.to_string())?;
        command
            .current_dir("/")
            .stdin(Stdio::from(other))
            .stdout(Stdio::from(for_server));
        match setup {
            Some(setup) => setup.send(&socket).map_err(|error| error.to_string())?,
            None => {
                command.process_group(0);
            }
        }
        let process = start(command).map_err(|error| error.to_string())?;
        // The command holds the server's end of the socket; its closing shows that the server has ended.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = Self {
            process,
            socket,
            pid_file,
            calls: 0,
            leads_session: setup.is_some(),
        };
        let why = match server.receive(PATIENCE) {
            Ok(Reply::Hello {
                version: protocol::VERSION,
            }) => return Ok(server),
            Ok(Reply::CannotEnter { error }) => io::Error::from_raw_os_error(error).to_string(),
            _ => NOT_WAITING.to_owned(),
        };
        server.end();
        Err(why)
    }

    /// Sends a call; returns an error if its message is too long or the server has ended. The result is reported later.
    pub(super) fn put(&mut self, call: &Call<'_>) -> Result<(), NotStarted> {
        self.calls += 1;
        let message = message(call, self.calls).ok_or(NotStarted::ByServer)?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let streams = [call.stdout, call.stderr];
        let descriptors = streams.into_iter().chain(call.stdin).chain(call.ruleset);
        let descriptors: Vec<BorrowedFd<'_>> = descriptors.collect();
        if !rights.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(NotStarted::ByServer);
        }
        let slices = [IoSlice::new(&message)];
        let sent = sendmsg(&self.socket, &slices, &mut rights, SendFlags::NOSIGNAL);
        sent.map(drop).map_err(|_| NotStarted::ByServer)
    }

    /// Returns a descriptor that becomes readable when there is a message, or the server has ended.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Returns the next message about the child of the last call, within `grace`; `None` if none came. A server that
    /// has ended, and with it the child's status, is an error: if the pid file has no child, the call was not made.
    pub(super) fn word(&self, grace: Duration) -> Result<Option<Word>, Errno> {
        match self.receive(grace) {
            Ok(said) => Self::understood(said).map(Some),
            Err(Errno::TIMEDOUT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn understood(reply: Reply) -> Result<Word, Errno> {
        let id = |process| Pid::from_raw(process).ok_or(Errno::PROTO);
        Ok(match reply {
            Reply::Started { process } => Word::Started(id(process)?),
            Reply::Ended {
                process,
                status,
                cpu_microseconds,
                peak_kibibytes,
            } => Word::Ended(Ended {
                process: id(process)?,
                ending: Ending::from_status(ExitStatus::from_raw(status as i32)),
                cpu: Duration::from_micros(cpu_microseconds),
                peak_memory_bytes: u64::from(peak_kibibytes) << 10,
            }),
            Reply::NotStarted { error } => {
                Word::NotStarted(NotStarted::BySystem(io::Error::from_raw_os_error(error)))
            }
            Reply::TooLong => Word::NotStarted(NotStarted::ByServer),
            Reply::Hello { .. } | Reply::CannotEnter { .. } => return Err(Errno::PROTO),
        })
    }

    /// Returns the child of the last call, once it exists; `None` if it was not created, which the next message
    /// reports.
    pub(super) fn child(&self) -> Option<Pid> {
        let until = Instant::now() + TURN_PATIENCE;
        loop {
            // Checked before the pid file: a child that is not there now, without a message to come, will not be there.
            let is_over = readable_within(self.socket(), Duration::ZERO).unwrap_or(true);
            let entered = self.entered();
            if entered.is_some() || is_over || Instant::now() > until {
                return entered;
            }
            std::thread::sleep(PID_FILE_PAUSE);
        }
    }

    fn entered(&self) -> Option<Pid> {
        let mut entry = [0; PidFileEntry::BYTES];
        self.pid_file.read_exact_at(&mut entry, 0).ok()?;
        let PidFileEntry { call, process } = PidFileEntry::decode(&entry);
        let process = i32::try_from(process).ok().and_then(Pid::from_raw);
        process.filter(|_| call == self.calls)
    }

    /// Lets the server reap the child, which has ended; returns whether the server still exists for the next call.
    pub(super) fn reap(&self) -> bool {
        send(&self.socket, REAP, SendFlags::NOSIGNAL).is_ok()
    }

    fn receive(&self, grace: Duration) -> Result<Reply, Errno> {
        if !grace.is_zero() && !readable_within(self.socket(), grace)? {
            return Err(Errno::TIMEDOUT);
        }
        // One byte more than a reply, so that a longer message is not taken for one.
        let mut bytes = [0; Reply::BYTES + 1];
        match recv(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((received, _)) => Reply::decode(&bytes[..received]).ok_or(Errno::PIPE),
            Err(Errno::AGAIN) => Err(Errno::TIMEDOUT),
            Err(error) => Err(error),
        }
    }

    /// Returns the session of the server and everything that it starts, which no process can leave; `None` if it has no
    /// session of its own.
    pub(super) fn session(&self) -> Option<Pid> {
        self.leads_session.then(|| Pid::from_child(&self.process))
    }

    /// If its socket is closed, the server ends itself and everything that it started; one that does not notice is
    /// killed.
    fn end(&mut self) {
        let watched = pidfd_open(Pid::from_child(&self.process), PidfdFlags::empty());
        if shutdown(&self.socket, Shutdown::Both).is_ok()
            && let Ok(watched) = watched
        {
            let _ = readable_within(watched.as_fd(), END_PATIENCE);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the message of a call, as described by [`CallHead`]; `None` if it is too long.
fn message(call: &Call<'_>, number: u64) -> Option<Vec<u8>> {
    let Call {
        invocation, limits, ..
    } = call;
    let environment = environment(invocation);
    let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
    let head = CallHead {
        flags: flag(!call.omissions.flushes, call_flag::IS_DURABLE)
            | flag(
                call.omissions.library_destructors,
                call_flag::SPARES_LIBRARIES,
            )
            | flag(
                call.omissions.key_benchmarks,
                call_flag::SHORTENS_BENCHMARKS,
            )
            | flag(call.omissions.worker_threads, call_flag::SHARES_ITS_THREAD)
            | flag(call.stdin.is_some(), call_flag::HAS_STDIN)
            | flag(call.ruleset.is_some(), call_flag::HAS_RULESET)
            | flag(call.tells_start, call_flag::TELLS_START),
        limits: limits.len() as u64,
        arguments: invocation.arguments.len() as u64 + 1,
        variables: environment.len() as u64,
        number,
    };
    let limits = limits
        .iter()
        .flat_map(|limit| [limit.resource.into(), limit.soft, limit.hard]);
    let numbers = head.encode().into_iter().chain(limits);
    let mut message: Vec<u8> = numbers.flat_map(u64::to_ne_bytes).collect();
    let mut has_zeros = false;
    let mut say = |parts: &[&[u8]]| {
        has_zeros |= parts.iter().any(|part| part.contains(&0));
        parts
            .iter()
            .for_each(|part| message.extend_from_slice(part));
        message.push(0);
    };
    let program = invocation.program.as_os_str().as_bytes();
    say(&[program]);
    say(&[invocation.directory.as_os_str().as_bytes()]);
    say(&[program]);
    for argument in invocation.arguments {
        say(&[argument.as_bytes()]);
    }
    for (name, value) in &environment {
        say(&[name.as_bytes(), b"=", value.as_bytes()]);
    }
    (!has_zeros && message.len() < MESSAGE_BYTES).then_some(message)
}
