//! The only room that starts programs: one call, its limit, and what came of it.
//!
//! The command-line tools call [`run`]; the library tools' worker is kept and spoken to through [`Dialogue`]. Each child
//! leads a process group of its own, sees a clean environment (`LC_ALL=C`, `TZ=UTC`), and is killed with its whole
//! group at its limit. A tool is put into a [`Cage`]. What the child meant by its exit is not known here: that is the tools' business.
//!
//! The `wait-timeout` crate waits for one child; here a whole process group is killed, its CPU time and peak memory are read, busy is told from
//! stuck, and a forked tool is no child of this process. Hence pidfds and `poll`.

/// Who has had a file open for writing.
pub mod write_watch;

mod cage;
mod capture;
mod confinement;
mod dialogue;
mod entropy;
mod fork_server;
mod group;
mod interrupt;
mod memory;
mod memory_file;
mod namespaces;
mod post_mortem;
/// The messages between this program and those that start tools for it; both ends include the one file.
#[path = "../preload/protocol.rs"]
#[allow(dead_code, reason = "each end uses a part")]
mod protocol;
mod pulse;
mod refusal;
pub mod scratch;
mod server;
mod setup;
mod starter;
mod usage;
pub mod warden;
mod watch;

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

pub use cage::{
    ADDRESS_SPACE_BYTES, Cage, FILE_BYTES, HitLimit, Limit, Limits, MEMORY_BYTES, OPEN_FILES,
    PROCESSES, SCRATCH_BYTES,
};
pub use capture::{CAPTURE_LIMIT_BYTES, Captured};
pub use confinement::{CageLayer, layers};
pub use dialogue::{Dialogue, Reply};
pub use entropy::fix_entropy;
pub use fork_server::{ForkServer, Preload};
pub use interrupt::{Interrupt, request_stop, stop_requested, stop_requested_for};
pub use memory::own_peak;
pub use post_mortem::PostMortem;

use crate::base::error::Result;
use capture::Capture;
use group::{Group, Pipes};
use server::NotStarted;
pub use server::pass_on;
use watch::Watch;

/// How long a pipe may stay open after the child itself has ended (a grandchild holds it) before it is given up.
pub const DRAIN_GRACE: Duration = Duration::from_millis(300);

/// A call that ends within this time is short.
const SHORT: Duration = Duration::from_millis(40);

/// The environment every child sees, beside `PATH`.
pub const CHILD_ENVIRONMENT: [(&str, &str); 2] = [("LC_ALL", "C"), ("TZ", "UTC")];

/// One call of a program.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'call> {
    /// The program, as a path.
    pub program: &'call Path,
    /// Its arguments, without the program's own name.
    pub arguments: &'call [String],
    /// The working directory, which is also the child's `TMPDIR`.
    pub directory: &'call Path,
    /// Wall time it may take.
    pub limit: Duration,
    /// Wall time that it may take beyond its limit for as long as it is busy.
    pub patience: Duration,
    /// What it may use up and touch, with `directory` as its scratch; none: it is no tool under test, but trusted.
    pub cage: Option<&'call Cage>,
    /// What it sees in its environment beside [`CHILD_ENVIRONMENT`] and `PATH`; nothing, for a tool.
    pub environment: &'call [(OsString, OsString)],
    /// How large its address space may become, in bytes; as large as it likes when nothing is said.
    pub memory_bytes_max: Option<u64>,
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It was still running at its limit and was killed with its whole group.
    TimedOut(PostMortem),
    /// It used up more than its cage allows.
    HitLimit(HitLimit),
}

impl Ending {
    /// Of a child that ended by itself or by a signal.
    fn of_status(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Signaled(signal.unwrap_or_default()),
        }
    }
}

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How the child ended.
    pub ending: Ending,
    /// Its standard output, up to [`CAPTURE_LIMIT_BYTES`].
    pub stdout: Captured,
    /// Its standard error, up to [`CAPTURE_LIMIT_BYTES`].
    pub stderr: Captured,
    /// Wall time from start to end.
    pub elapsed: Duration,
    /// CPU time of the child and of those it waited for, from the system.
    pub cpu: Duration,
    /// The most memory that the child had at once, in bytes, from the system; not below what this program had when it started it.
    pub peak_memory_bytes: u64,
}

/// Runs a program to its end or its limit. An error means that it could not be started or watched.
pub fn run(invocation: &Invocation<'_>) -> Result<Finished> {
    let attend = |group, pipes| watch(group, pipes, invocation);
    Group::spawn(invocation, false, attend).map(|(finished, _)| finished)
}

/// What came of a call to a fork server.
pub enum Forked {
    /// It was not made: too long to be said, or the server is gone. Nothing has happened.
    NotMade,
    /// It was made.
    Made {
        /// What came of it.
        finished: Box<Finished>,
        /// The server, ready for the next call; gone when the child could not be reaped.
        server: Option<ForkServer>,
    },
}

/// What a forked call leaves out of what the tool does by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Omissions {
    /// Waiting for the disk: a flush succeeds at once.
    pub flushes: bool,
    /// The destructors of its libraries. The tool's own exit handlers and destructors are run, and its streams flushed.
    pub library_destructors: bool,
}

/// The same as [`run`], by a fork of a tool that is loaded already.
pub fn run_forked(
    invocation: &Invocation<'_>,
    omissions: Omissions,
    server: ForkServer,
) -> Result<Forked> {
    let Some((group, pipes)) = Group::fork(invocation, omissions, server)? else {
        return Ok(Forked::NotMade);
    };
    let Ok((finished, server)) = watch(group, pipes, invocation)? else {
        return Ok(Forked::NotMade);
    };
    // A child that could not be set up ends so before the tool's main, and says nothing: the call was not made.
    let is_silent = finished.stdout.bytes.is_empty() && finished.stderr.bytes.is_empty();
    if finished.ending == Ending::Exited(protocol::EXIT_LOST) && is_silent {
        return Ok(Forked::NotMade);
    }
    let finished = Box::new(finished);
    Ok(Forked::Made { finished, server })
}

/// Sees a child through to its end or its limit; or why there is none.
fn watch(
    mut group: Group,
    pipes: Pipes,
    invocation: &Invocation<'_>,
) -> Result<std::result::Result<(Finished, Option<ForkServer>), NotStarted>> {
    let mut stdout = Capture::new(pipes.stdout, CAPTURE_LIMIT_BYTES);
    let mut stderr = Capture::new(pipes.stderr, CAPTURE_LIMIT_BYTES);
    let mut cut_short = None;
    // What it says at first waits in its pipes, so that a short call wakes this thread but once.
    let mut end = [PollFd::from_borrowed_fd(group.end(), PollFlags::IN)];
    interrupt::wait(&mut end, group.started + SHORT)?;
    let mut ended = group.has_ended()?;
    let kin = if ended { None } else { group.kin() };
    let mut watch = kin.map(|kin| Watch::new(kin, group.started, invocation));
    let mut drain_deadline = None;
    loop {
        ended = ended || group.has_ended()?;
        stdout.read_what_is_there()?;
        stderr.read_what_is_there()?;
        let until = match (&mut watch, ended) {
            (_, true) => {
                let drained = *drain_deadline.get_or_insert_with(|| Instant::now() + DRAIN_GRACE);
                if stdout.is_closed() && stderr.is_closed() || Instant::now() >= drained {
                    break;
                }
                drained
            }
            (Some(watch), false) => {
                if let Some(limit) = watch.look() {
                    if group.ended_unheard()? {
                        ended = true;
                        continue;
                    }
                    cut_short = Some(limit);
                    break;
                }
                watch.next()
            }
            // Nothing was heard of it for so long that it will be asked for elsewhere.
            (None, false) => return Ok(Err(NotStarted::ByServer)),
        };
        let mut waits: Vec<PollFd<'_>> = Vec::with_capacity(3);
        let pipes = [stdout.pipe(), stderr.pipe()].into_iter().flatten();
        waits.extend(pipes.map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)));
        if !ended {
            waits.push(PollFd::from_borrowed_fd(group.end(), PollFlags::IN));
        }
        interrupt::wait(&mut waits, until)?;
    }
    // Also after a clean end: whatever it left running in its group goes with it.
    let reaped = match group.kill_and_reap()? {
        Ok(reaped) => reaped,
        Err(not_started) => return Ok(Err(not_started)),
    };
    stdout.read_what_is_there()?;
    stderr.read_what_is_there()?;
    let stderr = stderr.finish();
    let hit = |ending: &Ending| invocation.cage?.hit(ending, &stderr);
    let ending = match cut_short {
        Some(ending) => ending,
        None => hit(&reaped.ending).map_or(reaped.ending, Ending::HitLimit),
    };
    let finished = Finished {
        ending,
        stdout: stdout.finish(),
        stderr,
        elapsed: reaped.elapsed,
        cpu: reaped.cpu,
        peak_memory_bytes: reaped.peak_memory_bytes,
    };
    Ok(Ok((finished, reaped.server)))
}

/// CPU time this process has used so far, without its children.
pub fn own_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}
