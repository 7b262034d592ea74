//! Captures a stream of a child, up to a limit.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};

/// The maximum number of bytes of a stream that are kept; the rest is read, counted and dropped.
pub const CAPTURE_LIMIT_BYTES: usize = 4 << 20;

/// The number of bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// The size of the first buffer of a stream.
const FIRST_BYTES: usize = 4 << 10;

/// The captured bytes of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The beginning of the stream.
    pub bytes: Vec<u8>,
    /// The number of bytes after that, which were dropped.
    pub dropped_bytes: u64,
}

impl Captured {
    /// Returns the text of a library tool, which has no stream.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self {
            bytes: text.into().into_bytes(),
            dropped_bytes: 0,
        }
    }

    /// Returns the bytes as text; invalid UTF-8 becomes U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Returns the first line that is not blank, trimmed; empty if there is none.
    pub fn first_line(&self) -> String {
        let text = self.text();
        text.lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or_default()
            .to_owned()
    }
}

/// A stream that is being read.
pub(super) struct Capture {
    pipe: Option<File>,
    captured: Captured,
    limit_bytes: usize,
    /// How many of the captured bytes are known to have no line feed: long lines come in many pieces.
    searched: usize,
}

impl Capture {
    /// Takes ownership of the reading end of a pipe.
    pub(super) fn new(pipe: OwnedFd, limit_bytes: usize) -> Self {
        Self {
            pipe: Some(File::from(pipe)),
            captured: Captured::default(),
            limit_bytes,
            searched: 0,
        }
    }

    /// Returns the pipe to wait for, while it is open.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Whether the last writer has closed it.
    pub(super) fn is_closed(&self) -> bool {
        self.pipe.is_none()
    }

    /// Reads everything that is available.
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
                // Into the existing buffer: most outputs fit into the first piece.
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

    /// Removes and returns the bytes up to and including the first line feed, if there is one.
    pub(super) fn take_line(&mut self) -> Option<Vec<u8>> {
        let bytes = &self.captured.bytes;
        let found = bytes[self.searched.min(bytes.len())..]
            .iter()
            .position(|byte| *byte == b'\n');
        let Some(found) = found else {
            self.searched = bytes.len();
            return None;
        };
        let end = self.searched + found;
        self.searched = 0;
        let rest = self.captured.bytes.split_off(end + 1);
        Some(std::mem::replace(&mut self.captured.bytes, rest))
    }

    /// Returns the captured bytes.
    pub(super) fn finish(self) -> Captured {
        self.captured
    }

    /// Removes and returns the bytes that were captured so far.
    pub(super) fn take(&mut self) -> Captured {
        self.searched = 0;
        std::mem::take(&mut self.captured)
    }

    /// Drops the bytes beyond the limit: a buffer may have more capacity than was requested.
    fn cut(&mut self) {
        let beyond = self.captured.bytes.len().saturating_sub(self.limit_bytes);
        self.captured.bytes.truncate(self.limit_bytes);
        self.captured.dropped_bytes += beyond as u64;
    }
}
