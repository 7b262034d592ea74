//! A call of a program from its start to its end: as a new process, or as a fork of a tool that is already loaded.
//!
//! The command-line tools use it. `dialogue.rs` is for persistent processes.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::capture::{CAPTURE_LIMIT_BYTES, Capture, Captured};
use super::child::{Child, Pipes, Started};
use super::ending::Ending;
use super::fork_server::ForkServer;
use super::invocation::{Invocation, Omissions};
use super::server::{NotStarted, Server};
use super::watch::Watch;
use super::{interrupt, protocol, spawning};
use crate::base::error::Result;

/// How long a pipe may stay open after the child has ended, because a grandchild holds it.
pub const DRAIN_GRACE: Duration = Duration::from_millis(300);

/// A call that ends within this time is short.
const SHORT: Duration = Duration::from_millis(40);

/// The result of a call.
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
    /// The CPU time of the child and of its own children that it waited for, from the system.
    pub cpu: Duration,
    /// The peak memory of the child in bytes, from the system; at least that of this program when it started the child.
    pub peak_memory_bytes: u64,
}

/// Runs a program to its end or its limit. An error means that it could not be started or watched.
pub fn run(invocation: &Invocation<'_>) -> Result<Finished> {
    let attend = |child, pipes| watch(child, pipes, invocation);
    spawning::spawn(invocation, false, attend).map(|(finished, _)| finished)
}

/// The result of a call to a fork server.
pub enum Forked {
    /// The call was not made: its message is too long, or the server is gone. Nothing has happened.
    NotMade,
    /// The call was made.
    Made {
        /// The result.
        finished: Box<Finished>,
        /// The server, ready for the next call; `None` if the child could not be reaped.
        server: Option<ForkServer>,
    },
}

/// Like [`run`], by a fork of a tool that is already loaded.
pub fn run_forked(
    invocation: &Invocation<'_>,
    omissions: Omissions,
    server: ForkServer,
) -> Result<Forked> {
    let Started::Yes((child, pipes)) = spawning::fork(invocation, omissions, server.0)? else {
        return Ok(Forked::NotMade);
    };
    let Started::Yes((mut finished, server)) = watch(child, pipes, invocation)? else {
        return Ok(Forked::NotMade);
    };
    // The memory of a fork includes its server's, so its own peak is unknown.
    finished.peak_memory_bytes = 0;
    // A child whose setup failed ends like this before the tool's main, without output: the call was not made.
    let is_silent = finished.stdout.bytes.is_empty() && finished.stderr.bytes.is_empty();
    if finished.ending == Ending::Exited(protocol::EXIT_LOST) && is_silent {
        return Ok(Forked::NotMade);
    }
    Ok(Forked::Made {
        finished: Box::new(finished),
        server: server.map(ForkServer),
    })
}

/// Watches a child to its end or its limit; returns why there is none otherwise.
fn watch(
    mut child: Child,
    pipes: Pipes,
    invocation: &Invocation<'_>,
) -> Result<Started<(Finished, Option<Server>)>> {
    let mut stdout = Capture::new(pipes.stdout, CAPTURE_LIMIT_BYTES);
    let mut stderr = Capture::new(pipes.stderr, CAPTURE_LIMIT_BYTES);
    let mut cut_short = None;
    // The first output waits in its pipes, so that a short call wakes this thread only once.
    let mut end = [PollFd::from_borrowed_fd(child.end(), PollFlags::IN)];
    interrupt::wait(&mut end, child.started + SHORT)?;
    let mut ended = child.has_ended()?;
    let kin = if ended { None } else { child.kin() };
    let mut watch = kin.map(|kin| Watch::new(kin, child.started, invocation));
    let mut drain_deadline = None;
    loop {
        ended = ended || child.has_ended()?;
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
                    if child.ended_unheard()? {
                        ended = true;
                        continue;
                    }
                    cut_short = Some(limit);
                    break;
                }
                watch.next()
            }
            // The server did not answer for so long that the call is made elsewhere.
            (None, false) => return Ok(Started::No(NotStarted::ByServer)),
        };
        let mut waits: Vec<PollFd<'_>> = Vec::with_capacity(3);
        let pipes = [stdout.pipe(), stderr.pipe()].into_iter().flatten();
        waits.extend(pipes.map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)));
        if !ended {
            waits.push(PollFd::from_borrowed_fd(child.end(), PollFlags::IN));
        }
        interrupt::wait(&mut waits, until)?;
    }
    finish(child, stdout, stderr, cut_short, invocation)
}

/// Reaps a child, and returns its result or why there was none. `cut_short` is the ending of a child that must be
/// killed.
fn finish(
    child: Child,
    mut stdout: Capture,
    mut stderr: Capture,
    cut_short: Option<Ending>,
    invocation: &Invocation<'_>,
) -> Result<Started<(Finished, Option<Server>)>> {
    // Even after a clean exit, everything that it left running in its group is killed.
    let reaped = match child.kill_and_reap()? {
        Started::Yes(reaped) => reaped,
        Started::No(why) => return Ok(Started::No(why)),
    };
    stdout.read_what_is_there()?;
    stderr.read_what_is_there()?;
    let stderr = stderr.finish();
    let hit = |ending: &Ending| ending.limit_hit(invocation.sandbox?.limits.as_ref()?, &stderr);
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
    Ok(Started::Yes((finished, reaped.server)))
}

/// Returns the CPU time that this process has used so far, without its children.
pub fn own_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}
