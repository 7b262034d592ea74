//! A tool that was stopped just before its `main`, and is forked for every call.
//!
//! Loading and linking a tool costs more than most calls do: qemu-img uses 3.3 ms of CPU from `execve` to the end of
//! `info`, and 1.3 ms when it is forked at this point. Kept in pools by the launcher; a call that was forked is watched
//! like any other ([`Group`](super::group::Group)). The other half, inside the tool, is `preload/fork_server.rs`.
//!
//! The two speak over a socket of sequenced packets: a call goes in with the writing ends of its streams, the child's
//! process id comes back; later [`REAP`] goes in, and its status and CPU time come back. Until then the id is the child's
//! own. A server whose socket closes ends, and ends its child with it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, send, sendmsg, socketpair,
};
use rustix::process::Pid;

use super::{CHILD_ENVIRONMENT, Cage, Ending, Invocation, group};

/// The preloaded half, as `build.rs` made it; empty where it could not be made.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fork_server.so"));

/// The version of the messages.
const PROTOCOL: u32 = 1;

/// What tells a preloaded tool that its standard input is a server's socket.
const MARK: (&str, &str) = ("IMGDUEL_FORK_SERVER", "1");

/// The request to reap the child.
const REAP: &[u8] = b"reap";

/// The longest call, with its arguments and environment; a longer one is spawned plainly.
const MESSAGE_BYTES: usize = 120 << 10;

/// Where the loader finds the library: at the standard error of the process itself. In a cage, /proc tells nothing of other processes,
/// and nothing else is inherited.
const LIBRARY_PATH: &str = "/proc/self/fd/2";

/// How long a tool may take to be loaded, and a server to fork.
const PATIENCE: Duration = Duration::from_secs(5);

/// The preloaded half in a file without a name, for as long as servers may be started.
pub struct Preload {
    file: File,
}

impl Preload {
    /// Makes it ready; or why that cannot be.
    pub fn new() -> Result<Self, String> {
        if LIBRARY.is_empty() {
            return Err("this program was built without a fork server".to_owned());
        }
        let made = memfd_create("imgduel-fork-server", MemfdFlags::CLOEXEC);
        let mut file = made.map(File::from).map_err(|error| error.to_string())?;
        file.write_all(LIBRARY).map_err(|error| error.to_string())?;
        Ok(Self { file })
    }

    /// The library, to be read only.
    fn opened(&self) -> io::Result<File> {
        File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

/// A tool that waits for calls.
pub struct ForkServer {
    process: Child,
    socket: OwnedFd,
}

/// A forked child that has ended.
pub(super) struct Ended {
    pub(super) ending: Ending,
    pub(super) cpu: Duration,
}

impl ForkServer {
    /// Loads the tool; or why it does not answer as a fork server. Its children are confined as it is: it is kept for many scratch directories,
    /// so they may write below `place`, in which those lie.
    pub fn start(
        program: &Path,
        preload: &Preload,
        cage: &Cage,
        place: Option<&Path>,
    ) -> Result<Self, String> {
        let (socket, other) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|error| error.to_string())?;
        let library = preload.opened().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command
            .current_dir("/")
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(CHILD_ENVIRONMENT)
            .env("LD_PRELOAD", LIBRARY_PATH)
            // What is bound here need not be bound in every child.
            .env("LD_BIND_NOW", "1")
            .env(MARK.0, MARK.1)
            .stdin(Stdio::from(other))
            .stdout(Stdio::null())
            .stderr(Stdio::from(library))
            .process_group(0);
        let process = cage
            .confine(place, || group::start(&mut command))
            .flatten()
            .map_err(|error| error.to_string())?;
        drop(command);
        let mut server = Self { process, socket };
        match server.receive(PATIENCE) {
            Ok([PROTOCOL, _, _]) => Ok(server),
            _ => {
                server.end();
                Err("it does not wait to be forked".to_owned())
            }
        }
    }

    /// Forks a child for a call. With a Landlock `ruleset`, the child restricts itself by it before the tool's `main`. `None` when
    /// there is no child: the call was not made, and the server is of no more use.
    pub(super) fn fork(
        &self,
        invocation: &Invocation<'_>,
        is_durable: bool,
        streams: [BorrowedFd<'_>; 2],
        ruleset: Option<BorrowedFd<'_>>,
    ) -> Option<Pid> {
        let message = call(invocation, is_durable)?;
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = streams.into_iter().chain(ruleset).collect();
        if !rights.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return None;
        }
        let slices = [IoSlice::new(&message)];
        sendmsg(&self.socket, &slices, &mut rights, SendFlags::NOSIGNAL).ok()?;
        let [process, _, _] = self.receive(PATIENCE).ok()?;
        Pid::from_raw(process as i32)
    }

    /// Reaps the child, which has ended; `None` when the server is gone or the child is not.
    pub(super) fn reap(&self, patience: Duration) -> Option<Ended> {
        send(&self.socket, REAP, SendFlags::NOSIGNAL).ok()?;
        let [status, low, high] = self.receive(patience).ok()?;
        let status = ExitStatus::from_raw(status as i32);
        Some(Ended {
            ending: match (status.code(), status.signal()) {
                (Some(code), _) => Ending::Exited(code),
                (None, signal) => Ending::Signaled(signal.unwrap_or_default()),
            },
            cpu: Duration::from_micros(u64::from(high) << 32 | u64::from(low)),
        })
    }

    fn receive(&self, patience: Duration) -> Result<[u32; 3], Errno> {
        let timeout = Timespec {
            tv_sec: patience.as_secs() as i64,
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        let mut waits = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        loop {
            match poll(&mut waits, Some(&timeout)) {
                Ok(0) => return Err(Errno::TIMEDOUT),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        let mut bytes = [0; 12];
        let (received, _) = recv(&self.socket, &mut bytes[..], RecvFlags::empty())?;
        if received != bytes.len() {
            return Err(Errno::PIPE);
        }
        let number = |index: usize| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|byte| bytes[index * 4 + byte]);
            u32::from_ne_bytes([a, b, c, d])
        };
        Ok([0, 1, 2].map(number))
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for ForkServer {
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

/// The message of a call: whether flushes reach the disk and the numbers of limits, arguments and variables, eight bytes
/// each; then, each ended by a zero byte, the directory, the arguments and the variables. `None` when it cannot be said.
fn call(invocation: &Invocation<'_>, is_durable: bool) -> Option<Vec<u8>> {
    let environment = environment(invocation);
    let numbers = [
        u64::from(is_durable),
        0,
        invocation.arguments.len() as u64 + 1,
        environment.len() as u64,
    ];
    let mut message: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_ne_bytes())
        .collect();
    let mut has_zeros = false;
    let mut say = |parts: &[&[u8]]| {
        has_zeros |= parts.iter().any(|part| part.contains(&0));
        parts
            .iter()
            .for_each(|part| message.extend_from_slice(part));
        message.push(0);
    };
    say(&[invocation.directory.as_os_str().as_bytes()]);
    say(&[invocation.program.as_os_str().as_bytes()]);
    for argument in invocation.arguments {
        say(&[argument.as_bytes()]);
    }
    for (name, value) in &environment {
        say(&[name.as_bytes(), b"=", value.as_bytes()]);
    }
    (!has_zeros && message.len() <= MESSAGE_BYTES).then_some(message)
}
