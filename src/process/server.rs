//! A process that starts tools on request: the starter, or a tool that was stopped before its `main`.
//!
//! The two ends speak over a socket of sequenced packets: a call goes in with the writing ends of its streams; what comes back, when the child
//! has ended, is its process id, status, CPU time and peak of memory, or the error that kept it from being started. So a short call wakes
//! its caller once. Whoever must know the id earlier finds it in the ledger, a file without a name, where the child has written it before it
//! does anything else, or asks for a word at the start. The id is the child's own until [`REAP`] goes in. A server whose socket closes
//! ends, and ends its child with it. The other end is `preload/message.rs`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown,
    SocketFlags, SocketType, recv, send, sendmsg, shutdown, socketpair,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::cage::SetLimit;
use super::interrupt::readable_within;
use super::setup::Setup;
use super::{CHILD_ENVIRONMENT, Ending, Invocation, Omissions};

/// The version of the messages.
const PROTOCOL: u32 = 5;

/// Kinds of answers.
const STARTED: u32 = 1;
const ENDED: u32 = 2;
const NOT_STARTED: u32 = 3;

/// The leave to reap the child; it is not answered.
const REAP: &[u8] = b"reap";

/// The longest call, with its arguments and environment.
const MESSAGE_BYTES: usize = 120 << 10;

/// How long a program may take to be there that may turn out to be no server.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one that is there may take for a fork: it needs but a processor, for which it may stand in a long line. One that is gone
/// is told at once.
pub(super) const TURN_PATIENCE: Duration = Duration::from_secs(30);

/// What is said of a program that is no server.
pub(super) const NOT_WAITING: &str = "it does not wait for calls";

/// How long one may take to end by itself.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// How often the ledger is looked into for a child that is not there yet.
const LEDGER_PAUSE: Duration = Duration::from_millis(1);

/// Flags of a call: flushes reach the disk; standard input and a Landlock ruleset are among the descriptors; the destructors of the
/// tool's libraries are left out; the start is told as well.
const IS_DURABLE: u64 = 1;
const HAS_STDIN: u64 = 2;
const HAS_RULESET: u64 = 4;
const SPARES_LIBRARIES: u64 = 8;
const TELLS_START: u64 = 16;

/// A process that waits for calls.
pub(super) struct Server {
    process: Child,
    socket: OwnedFd,
    /// Where a child writes the number of its call and its own id, eight bytes each.
    ledger: File,
    /// How many calls were put.
    calls: u64,
    leads_session: bool,
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
    /// Whether the server has a word to say at the start.
    pub(super) tells_start: bool,
}

/// What a server says of its child.
pub(super) enum Word {
    /// It has become the tool.
    Started(Pid),
    /// It has ended; nobody else gets its id until it is reaped.
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
    /// The call is too long, or the server is of no use (any more).
    ByServer,
    /// The system refused it; the server waits for the next call.
    BySystem(io::Error),
}

impl Server {
    /// Starts a server by this command, with `start` to do it; or why it does not wait for calls. With a `setup`, the command is a
    /// starter, which enters it first and leads a session of its own.
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
        let ledger = memfd_create("imgduel-ledger", MemfdFlags::CLOEXEC)
            .map_err(io::Error::from)
            .and_then(|ledger| Ok((File::from(ledger.try_clone()?), ledger)));
        let (ledger, for_server) = ledger.map_err(|error| error.to_string())?;
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
        // The command holds the server's end of the socket, whose closing shows that the server is gone.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = Self {
            process,
            socket,
            ledger,
            calls: 0,
            leads_session: setup.is_some(),
        };
        let why = match server.receive(PATIENCE) {
            Ok([PROTOCOL, ..]) => return Ok(server),
            Ok([0, _, error, ..]) if error != 0 => {
                io::Error::from_raw_os_error(error as i32).to_string()
            }
            _ => NOT_WAITING.to_owned(),
        };
        server.end();
        Err(why)
    }

    /// Puts a call; an error when it cannot be said, or there is nobody to hear it. What comes of it is told later.
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

    /// Can be read when there is a word of the child, or the server is gone.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next word of the child of the call that was put last, within `patience`; `None` when none came. A server that is gone, and with
    /// it the child's status, is an error: the call was not made where no child is in the ledger.
    pub(super) fn word(&self, patience: Duration) -> Result<Option<Word>, Errno> {
        match self.receive(patience) {
            Ok(said) => Self::understood(said).map(Some),
            Err(Errno::TIMEDOUT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn understood([kind, process, status, low, high, kibibytes]: [u32; 6]) -> Result<Word, Errno> {
        let Some(process) = Pid::from_raw(process as i32) else {
            return Ok(Word::NotStarted(match kind {
                NOT_STARTED => NotStarted::BySystem(io::Error::from_raw_os_error(status as i32)),
                _ => NotStarted::ByServer,
            }));
        };
        match kind {
            STARTED => Ok(Word::Started(process)),
            ENDED => Ok(Word::Ended(Ended {
                process,
                ending: Ending::of_status(ExitStatus::from_raw(status as i32)),
                cpu: Duration::from_micros(u64::from(high) << 32 | u64::from(low)),
                peak_memory_bytes: u64::from(kibibytes) << 10,
            })),
            _ => Err(Errno::PROTO),
        }
    }

    /// The child of the call that was put last, once it is there; `None` when it has not come to be, which the next word tells of.
    pub(super) fn child(&self) -> Option<Pid> {
        let until = Instant::now() + TURN_PATIENCE;
        loop {
            // Looked at before the ledger: what is not there now, and has no word to come, will not be there.
            let is_over = readable_within(self.socket(), Duration::ZERO).unwrap_or(true);
            let entered = self.entered();
            if entered.is_some() || is_over || Instant::now() > until {
                return entered;
            }
            std::thread::sleep(LEDGER_PAUSE);
        }
    }

    fn entered(&self) -> Option<Pid> {
        let mut entry = [0; 16];
        self.ledger.read_exact_at(&mut entry, 0).ok()?;
        let (call, process) = entry.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes).ok();
        if number(call)? != self.calls {
            return None;
        }
        Pid::from_raw(i32::try_from(number(process)?).ok()?)
    }

    /// Lets the child be reaped, which has ended; whether the server is still there for the next call.
    pub(super) fn reap(&self) -> bool {
        send(&self.socket, REAP, SendFlags::NOSIGNAL).is_ok()
    }

    fn receive(&self, patience: Duration) -> Result<[u32; 6], Errno> {
        if !patience.is_zero() && !readable_within(self.socket(), patience)? {
            return Err(Errno::TIMEDOUT);
        }
        let mut bytes = [0; 24];
        let received = match recv(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((received, _)) => received,
            Err(Errno::AGAIN) => return Err(Errno::TIMEDOUT),
            Err(error) => return Err(error),
        };
        if received != bytes.len() {
            return Err(Errno::PIPE);
        }
        let number = |index: usize| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|byte| bytes[index * 4 + byte]);
            u32::from_ne_bytes([a, b, c, d])
        };
        Ok([0, 1, 2, 3, 4, 5].map(number))
    }

    /// The session in which it and all that comes from it are, which nobody leaves; none where it has none of its own.
    pub(super) fn session(&self) -> Option<Pid> {
        self.leads_session.then(|| Pid::from_child(&self.process))
    }

    /// With its socket closed, it ends whatever comes from it and itself; one that does not look is killed.
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

static PASSED: OnceLock<Vec<(OsString, OsString)>> = OnceLock::new();

/// Lets every child see these variables as this program does; those that are not set are none. Once, before any tool is started.
pub fn pass_on(names: &[String]) {
    let variables = names
        .iter()
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let _ = PASSED.set(variables.collect());
}

/// What was named so.
pub(super) fn passed() -> &'static [(OsString, OsString)] {
    PASSED.get().map_or(&[], Vec::as_slice)
}

/// What a child sees as its environment.
pub(super) fn environment(invocation: &Invocation<'_>) -> Vec<(OsString, OsString)> {
    let path = std::env::var_os("PATH").map(|path| ("PATH".into(), path));
    let fixed = CHILD_ENVIRONMENT.map(|(name, value)| (name.into(), value.into()));
    let mut environment: Vec<(OsString, OsString)> = path.into_iter().chain(fixed).collect();
    environment.extend(passed().iter().cloned());
    environment.extend(invocation.environment.iter().cloned());
    environment.push(("TMPDIR".into(), invocation.directory.into()));
    environment
}

/// The message of a call: its flags, how many limits, arguments and variables, and its own number, eight bytes each; the limits, three numbers
/// each; then, each ended by a zero byte, the program, the directory, the arguments and the variables. `None` when it cannot be said.
fn message(call: &Call<'_>, number: u64) -> Option<Vec<u8>> {
    let Call {
        invocation, limits, ..
    } = call;
    let environment = environment(invocation);
    let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
    let head = [
        flag(!call.omissions.flushes, IS_DURABLE)
            | flag(call.omissions.library_destructors, SPARES_LIBRARIES)
            | flag(call.stdin.is_some(), HAS_STDIN)
            | flag(call.ruleset.is_some(), HAS_RULESET)
            | flag(call.tells_start, TELLS_START),
        limits.len() as u64,
        invocation.arguments.len() as u64 + 1,
        environment.len() as u64,
        number,
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
