//! A process that starts tools on request: the starter, or a tool that was stopped before its `main`.
//!
//! The two ends speak over a socket of sequenced packets: a call goes in with the writing ends of its streams, the child's
//! process id comes back, or the error that kept it from being started; later [`REAP`] goes in, and its status, CPU time and peak of memory come back. Until
//! then the id is the child's own. A server whose socket closes ends, and ends its child with it. The other end is
//! `preload/message.rs`.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, send, sendmsg, socketpair,
};
use rustix::process::Pid;

use super::cage::SetLimit;
use super::interrupt::readable_within;
use super::{CHILD_ENVIRONMENT, Ending, Invocation, Omissions};

/// The version of the messages.
const PROTOCOL: u32 = 3;

/// The request to reap the child.
const REAP: &[u8] = b"reap";

/// The longest call, with its arguments and environment.
const MESSAGE_BYTES: usize = 120 << 10;

/// How long a program may take to be there that may turn out to be no server.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one that is there may take for a fork or a wait: it needs but a processor, for which it may stand in a long line. One that is gone
/// is told at once.
const TURN_PATIENCE: Duration = Duration::from_secs(30);

/// Flags of a call: flushes reach the disk; standard input and a Landlock ruleset are among the descriptors; the destructors of the
/// tool's libraries are left out.
const IS_DURABLE: u64 = 1;
const HAS_STDIN: u64 = 2;
const HAS_RULESET: u64 = 4;
const SPARES_LIBRARIES: u64 = 8;

/// A process that waits for calls.
pub(super) struct Server {
    process: Child,
    socket: OwnedFd,
}

/// A call, as it is put to a server.
pub(super) struct Call<'call> {
    pub(super) invocation: &'call Invocation<'call>,
    pub(super) omissions: Omissions,
    pub(super) limits: &'call [SetLimit],
    /// None: nothing is there to read.
    pub(super) stdin: Option<BorrowedFd<'call>>,
    pub(super) stdout: BorrowedFd<'call>,
    pub(super) stderr: BorrowedFd<'call>,
    /// What the child restricts itself by.
    pub(super) ruleset: Option<BorrowedFd<'call>>,
}

/// A child that was reaped.
pub(super) struct Ended {
    pub(super) ending: Ending,
    pub(super) cpu: Duration,
    pub(super) peak_memory_bytes: u64,
}

/// Why there is no child.
pub(super) enum NotStarted {
    /// The call is too long, or the server is of no use (any more).
    ByServer,
    /// The system refused it; the server waits for the next call.
    BySystem(io::Error),
}

impl Server {
    /// Starts a server by this command, with `start` to do it; or why it does not wait for calls.
    pub(super) fn start(
        command: &mut Command,
        start: impl FnOnce(&mut Command) -> io::Result<Child>,
    ) -> Result<Self, String> {
        let (socket, other) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|error| error.to_string())?;
        command
            .current_dir("/")
            .stdin(Stdio::from(other))
            .stdout(Stdio::null())
            .process_group(0);
        let process = start(command).map_err(|error| error.to_string())?;
        // The command holds the server's end of the socket, whose closing shows that the server is gone.
        command.stdin(Stdio::null());
        let mut server = Self { process, socket };
        match server.receive(PATIENCE) {
            Ok([PROTOCOL, ..]) => Ok(server),
            _ => {
                server.end();
                Err("it does not wait for calls".to_owned())
            }
        }
    }

    /// Starts a child for a call.
    pub(super) fn start_child(&self, call: &Call<'_>) -> Result<Pid, NotStarted> {
        let message = message(call).ok_or(NotStarted::ByServer)?;
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
        let answer = sent.and_then(|_| self.receive(TURN_PATIENCE));
        let Ok([process, error, ..]) = answer else {
            return Err(NotStarted::ByServer);
        };
        match (Pid::from_raw(process as i32), error) {
            (Some(process), _) => Ok(process),
            (None, 0) => Err(NotStarted::ByServer),
            (None, error) => Err(NotStarted::BySystem(io::Error::from_raw_os_error(
                error as i32,
            ))),
        }
    }

    /// Reaps the child, which has ended; `None` when the server is gone.
    pub(super) fn reap(&self) -> Option<Ended> {
        send(&self.socket, REAP, SendFlags::NOSIGNAL).ok()?;
        let [status, low, kibibytes, high] = self.receive(TURN_PATIENCE).ok()?;
        let status = ExitStatus::from_raw(status as i32);
        Some(Ended {
            ending: Ending::of_status(status),
            cpu: Duration::from_micros(u64::from(high) << 32 | u64::from(low)),
            peak_memory_bytes: u64::from(kibibytes) << 10,
        })
    }

    fn receive(&self, patience: Duration) -> Result<[u32; 4], Errno> {
        if !readable_within(self.socket.as_fd(), patience)? {
            return Err(Errno::TIMEDOUT);
        }
        let mut bytes = [0; 16];
        let (received, _) = recv(&self.socket, &mut bytes[..], RecvFlags::empty())?;
        if received != bytes.len() {
            return Err(Errno::PIPE);
        }
        let number = |index: usize| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|byte| bytes[index * 4 + byte]);
            u32::from_ne_bytes([a, b, c, d])
        };
        Ok([0, 1, 2, 3].map(number))
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    /// The kill also reaches a server that does not look at its socket; a child of its own it has ended, or the caller
    /// has killed with its group.
    fn drop(&mut self) {
        self.end();
    }
}

/// What a child sees as its environment.
pub(super) fn environment(invocation: &Invocation<'_>) -> Vec<(OsString, OsString)> {
    let path = std::env::var_os("PATH").map(|path| ("PATH".into(), path));
    let fixed = CHILD_ENVIRONMENT.map(|(name, value)| (name.into(), value.into()));
    let mut environment: Vec<(OsString, OsString)> = path.into_iter().chain(fixed).collect();
    environment.extend(invocation.environment.iter().cloned());
    environment.push(("TMPDIR".into(), invocation.directory.into()));
    environment
}

/// The message of a call: its flags and the numbers of limits, arguments and variables, eight bytes each; the limits, three numbers
/// each; then, each ended by a zero byte, the program, the directory, the arguments and the variables. `None` when it cannot be said.
fn message(call: &Call<'_>) -> Option<Vec<u8>> {
    let Call {
        invocation, limits, ..
    } = call;
    let environment = environment(invocation);
    let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
    let head = [
        flag(!call.omissions.flushes, IS_DURABLE)
            | flag(call.omissions.library_destructors, SPARES_LIBRARIES)
            | flag(call.stdin.is_some(), HAS_STDIN)
            | flag(call.ruleset.is_some(), HAS_RULESET),
        limits.len() as u64,
        invocation.arguments.len() as u64 + 1,
        environment.len() as u64,
    ];
    let limits = limits
        .iter()
        .flat_map(|limit| [limit.resource.into(), limit.soft, limit.hard]);
    let numbers = head.into_iter().chain(limits);
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
    (!has_zeros && message.len() <= MESSAGE_BYTES).then_some(message)
}
