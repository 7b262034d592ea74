//! A child that is kept and spoken to in lines.
//!
//! The library tools' worker lives behind one. A line goes in, a line comes out, within a limit; when the child ends
//! or its time runs out instead, the dialogue is over and says how.

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

/// The longest line a child may answer with (a reading of a full gigabyte takes some 16 MiB); what is longer never
/// comes to its end and is a timeout.
const LINE_LIMIT_BYTES: usize = 64 << 20;

/// A kept child.
pub struct Dialogue {
    child: Child,
    kin: Kin,
    stdin: ChildStdin,
    stdout: Capture,
    stderr: Capture,
    memory_bytes_max: Option<u64>,
}

/// What a line was answered with.
pub enum Reply {
    /// A line; the dialogue goes on.
    Line {
        /// The line, with its line feed.
        line: Vec<u8>,
        /// What the child wrote on standard error meanwhile.
        stderr: Captured,
        /// The child, ready for the next line.
        dialogue: Box<Dialogue>,
    },
    /// The child is gone.
    Ended {
        /// How it ended.
        ending: Ending,
        /// What it had written on standard error.
        stderr: Captured,
        /// CPU time over its whole life.
        cpu: Duration,
        /// The most memory it had at once, in bytes.
        peak_memory_bytes: u64,
    },
}

impl Dialogue {
    /// Starts the child; the invocation's limit is not used, each [`Dialogue::ask`] has its own.
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

    /// How large the child's address space may become from here on, in bytes; nothing: as large as it likes.
    pub fn limit_memory(&mut self, bytes: Option<u64>) -> Result<()> {
        if self.memory_bytes_max != bytes {
            memory::limit(self.kin.leader, bytes)?;
            self.memory_bytes_max = bytes;
        }
        Ok(())
    }

    /// Sends `line` (without line feed) and waits for a line in return, with the limit, grace, sandbox and directory of `terms`.
    pub fn ask(mut self, line: &str, terms: &Invocation<'_>) -> Result<Reply> {
        memory::forget_peak(self.kin.leader);
        // A child that is gone already shows below, by its closed output.
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
            // Looked at before the streams are read a last time, so that no last word is missed.
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
