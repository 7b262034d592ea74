//! A persistent child that exchanges lines with the harness.
//!
//! The worker of the library tools uses it. Each line that is sent gets one line in return, within a limit. If the
//! child ends or times out instead, the dialogue is over and returns the ending.

use std::io::Write;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::capture::{CAPTURE_LIMIT_BYTES, Capture, Captured};
use super::child::{Child, Started};
use super::ending::Ending;
use super::invocation::Invocation;
use super::pulse::Kin;
use super::watch::Watch;
use super::{interrupt, memory, spawning};
use crate::base::error::{Error, Result};

/// The maximum length of a line of the child (a reading of a full gigabyte takes about 16 MiB); a longer one never ends
/// and becomes a timeout.
const LINE_LIMIT_BYTES: usize = 64 << 20;

/// A persistent child.
pub struct Dialogue {
    child: Child,
    kin: Kin,
    stdin: ChildStdin,
    stdout: Capture,
    stderr: Capture,
    memory_bytes_max: Option<u64>,
}

/// The reply to a line.
pub enum Reply {
    /// A line; the dialogue continues.
    Line {
        /// The line, with its line feed.
        line: Vec<u8>,
        /// What the child wrote to standard error meanwhile.
        stderr: Captured,
        /// The child, ready for the next line.
        dialogue: Box<Dialogue>,
    },
    /// The child has ended.
    Ended {
        /// How it ended.
        ending: Ending,
        /// What it wrote to standard error.
        stderr: Captured,
        /// The CPU time of its whole life.
        cpu: Duration,
        /// Its peak memory, in bytes.
        peak_memory_bytes: u64,
    },
}

impl Dialogue {
    /// Starts the child. The invocation's limit is not used, because each [`Dialogue::ask`] has its own.
    pub fn start(invocation: &Invocation<'_>) -> Result<Self> {
        spawning::spawn(invocation, true, |child, pipes| {
            let Some(stdin) = pipes.stdin else {
                unreachable!("standard input was asked for as a pipe");
            };
            let (child, kin) = match child.await_start()? {
                Started::Yes(started) => started,
                Started::No(why) => return Ok(Started::No(why)),
            };
            Ok(Started::Yes(Self {
                child,
                kin,
                stdin,
                stdout: Capture::new(pipes.stdout, LINE_LIMIT_BYTES),
                stderr: Capture::new(pipes.stderr, CAPTURE_LIMIT_BYTES),
                memory_bytes_max: invocation.memory_bytes_max,
            }))
        })
    }

    /// Sets the maximum address space of the child from now on, in bytes; `None` for no limit.
    pub fn limit_memory(&mut self, bytes: Option<u64>) -> Result<()> {
        if self.memory_bytes_max != bytes {
            memory::limit(self.kin.leader, bytes)?;
            self.memory_bytes_max = bytes;
        }
        Ok(())
    }

    /// Sends `line` (without line feed) and waits for a line in return, with the limit, grace, sandbox and directory of
    /// `terms`.
    pub fn ask(mut self, line: &str, terms: &Invocation<'_>) -> Result<Reply> {
        memory::forget_peak(self.kin.leader);
        // A child that has already ended is detected below, by its closed output.
        let _ = writeln!(self.stdin, "{line}").and_then(|()| self.stdin.flush());
        let Invocation {
            directory,
            limit,
            grace,
            sandbox,
            ..
        } = *terms;
        let mut watch =
            Watch::of_kin(self.kin, Instant::now(), limit, grace).limited(sandbox, directory);
        let mut ended = false;
        loop {
            self.stdout.read_what_is_there()?;
            self.stderr.read_what_is_there()?;
            if let Some(line) = self.stdout.take_line() {
                let stderr = self.stderr.take();
                return Ok(Reply::Line {
                    line,
                    stderr,
                    dialogue: Box::new(self),
                });
            }
            if ended {
                return self.end(None);
            }
            if let Some(ending) = watch.look() {
                return self.end(Some(ending));
            }
            let mut waits = vec![PollFd::from_borrowed_fd(self.child.end(), PollFlags::IN)];
            waits.extend(
                self.stdout
                    .pipe()
                    .map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)),
            );
            waits.extend(
                self.stderr
                    .pipe()
                    .map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN)),
            );
            interrupt::wait(&mut waits, watch.next())?;
            // Checked before the streams are read for the last time, so that no output is missed.
            ended = self.child.has_ended()?;
        }
    }

    fn end(mut self, cut_short: Option<Ending>) -> Result<Reply> {
        let Started::Yes(reaped) = self.child.kill_and_reap()? else {
            return Err(Error::system("a tool's process was lost".to_owned()));
        };
        self.stderr
            .read_what_is_there()
            .map_err(|error| Error::system(error.to_string()))?;
        let ending = cut_short.unwrap_or(reaped.ending);
        Ok(Reply::Ended {
            ending,
            stderr: self.stderr.finish(),
            cpu: reaped.cpu,
            peak_memory_bytes: reaped.peak_memory_bytes,
        })
    }
}
