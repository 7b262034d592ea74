//! What a child writes on one of its streams, kept up to a limit.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};

/// How much of one stream is kept; the rest is read, counted and dropped.
pub const CAPTURE_LIMIT_BYTES: usize = 4 << 20;

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// How much room is made for the first reading of a stream.
const FIRST_BYTES: usize = 4 << 10;

/// The bytes of one stream, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// What was kept: the beginning of the stream.
    pub bytes: Vec<u8>,
    /// How many bytes came after that and were dropped.
    pub dropped_bytes: u64,
}

impl Captured {
    /// The text of a library tool, which had no stream.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self {
            bytes: text.into().into_bytes(),
            dropped_bytes: 0,
        }
    }

    /// As text; what is not UTF-8 shows as U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The first line that is not blank, trimmed; empty when there is none.
    pub fn first_line(&self) -> String {
        let text = self.text();
        text.lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or_default()
            .to_owned()
    }
}

/// One stream being read.
pub(super) struct Capture {
    pipe: Option<File>,
    captured: Captured,
    limit_bytes: usize,
}

impl Capture {
    /// Takes over the reading end of a pipe.
    pub(super) fn new(pipe: OwnedFd, limit_bytes: usize) -> Self {
        Self {
            pipe: Some(File::from(pipe)),
            captured: Captured::default(),
            limit_bytes,
        }
    }

    /// The pipe to wait for, while it is open.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Whether the last writer has closed it.
    pub(super) fn is_closed(&self) -> bool {
        self.pipe.is_none()
    }

    /// Reads until nothing more is there at the moment.
    pub(super) fn read_what_is_there(&mut self) -> Result<()> {
        const AT_ONCE: Timespec = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let cannot_read = |error| Error::system(format!("cannot read a tool's output: {error}"));
        while let Some(pipe) = &self.pipe {
            let mut waits = [PollFd::new(pipe, PollFlags::IN)];
            match poll(&mut waits, Some(&AT_ONCE)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(cannot_read(error)),
            }
            let found = waits[0].revents();
            let is_last = found.contains(PollFlags::HUP);
            if is_last && !found.contains(PollFlags::IN) {
                self.pipe = None;
                break;
            }
            let bytes = &mut self.captured.bytes;
            let room = self.limit_bytes.saturating_sub(bytes.len());
            let read = if room == 0 {
                let mut dropped = [0; READ_BYTES];
                let read = rustix::io::read(pipe, &mut dropped);
                self.captured.dropped_bytes += read.unwrap_or_default() as u64;
                read
            } else {
                // Into what is there already: most of what tools say fits into the first piece.
                bytes.reserve(FIRST_BYTES.max(bytes.len().min(READ_BYTES)).min(room));
                rustix::io::read(pipe, spare_capacity(bytes))
            };
            match read {
                Ok(0) => self.pipe = None,
                Ok(_) => self.cut(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(cannot_read(error)),
            }
        }
        Ok(())
    }

    /// Takes the bytes up to and including the first line feed, when one has come.
    pub(super) fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.captured.bytes.iter().position(|byte| *byte == b'\n')?;
        let rest = self.captured.bytes.split_off(end + 1);
        Some(std::mem::replace(&mut self.captured.bytes, rest))
    }

    /// What was kept.
    pub(super) fn finish(self) -> Captured {
        self.captured
    }

    /// Takes what has been kept so far.
    pub(super) fn take(&mut self) -> Captured {
        std::mem::take(&mut self.captured)
    }

    /// Drops what came beyond the limit: the room that is reserved may be more than was asked for.
    fn cut(&mut self) {
        let beyond = self.captured.bytes.len().saturating_sub(self.limit_bytes);
        self.captured.bytes.truncate(self.limit_bytes);
        self.captured.dropped_bytes += beyond as u64;
    }
}
