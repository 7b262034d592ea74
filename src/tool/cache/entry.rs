//! One cached answer with its files, and the format of an entry on disk.
//!
//! An entry is a line with the version of the format and a checksum of the rest; a line of JSON; and the data of the
//! files, concatenated. Holes and long runs of written zeros are not stored as data, but are distinguished and restored
//! as they were. So is reserved host space without data, because images are compared by their host space. If only a
//! part of the space without data is reserved, it is unknown which part, and the answer is not cached.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::file_state::{FileState, Reserve};
use crate::image::content::Contents;
use crate::process::Captured;
use crate::tool::request::{
    Answer, CallUsage, Exit, Report, RequestKind, SessionOutcome, Transcript,
};

/// The first word of an entry, with the version of the format.
const MAGIC: &str = "imgduel-reference-cache-4";

/// The maximum number of bytes of file data in an entry.
const DATA_BYTES_MAX: u64 = 32 << 20;

/// The alignment of runs of zeros that are searched for.
const GRAIN_BYTES: u64 = 64 << 10;
static ZEROS: [u8; GRAIN_BYTES as usize] = [0; GRAIN_BYTES as usize];

/// A cached answer.
pub(super) struct Entry {
    head: Head,
    /// The data of the files, from `start` on.
    data: Vec<u8>,
    start: usize,
    /// The original duration; zero for an entry from disk, which another machine may have written on another day.
    duration: Duration,
    peak_memory_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Head {
    exit: Exit,
    command: Vec<String>,
    stdout: Captured,
    stderr: Captured,
    contents: Option<Contents>,
    /// The outcomes of a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<Vec<SessionOutcome>>,
    partial: bool,
    /// The files that are new or changed; their data follows the head in this order.
    written: Vec<Written>,
    /// The files that were removed.
    removed: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    name: String,
    length: u64,
    /// Whether host space is reserved for the whole file, even without data.
    is_reserved: bool,
    segments: Vec<Range<u64>>,
    /// The parts of the segments that contain only zeros, in order; their bytes are not stored.
    zeros: Vec<Range<u64>>,
}

impl Written {
    /// Returns the parts of the segments, and whether each contains only zeros.
    fn parts(&self) -> Vec<(Range<u64>, bool)> {
        let mut parts = Vec::new();
        let mut zeros = self.zeros.iter().peekable();
        for segment in &self.segments {
            let mut place = segment.start;
            while let Some(zero) = zeros.next_if(|zero| zero.start < segment.end) {
                parts.push((place..zero.start, false));
                parts.push((zero.clone(), true));
                place = zero.end;
            }
            parts.push((place..segment.end, false));
        }
        parts.retain(|(part, _)| !part.is_empty());
        parts
    }

    fn data_bytes(&self) -> u64 {
        let parts = self.parts().into_iter();
        let data = parts.filter(|(_, is_zero)| !is_zero);
        data.map(|(part, _)| part.end - part.start).sum()
    }
}

impl Entry {
    /// Returns the entry of a new answer, in a directory that was in the state `before`.
    pub(super) fn from_answer(
        answer: &Answer,
        directory: &Path,
        before: &BTreeMap<String, FileState>,
    ) -> io::Result<Self> {
        let after = FileState::of_all(directory)?;
        let mut data = Vec::new();
        let mut written = Vec::new();
        for (name, state) in &after {
            if before
                .get(name)
                .is_some_and(|before| before.is_as_before(state))
            {
                continue;
            }
            if state.reserve() == Reserve::Part {
                return Err(io::Error::other("a copy would take other space"));
            }
            let file = File::open(directory.join(name))?;
            let mut zeros: Vec<Range<u64>> = Vec::new();
            let mut grain = vec![0; GRAIN_BYTES as usize];
            for segment in state.segments() {
                for start in (segment.start..segment.end).step_by(GRAIN_BYTES as usize) {
                    let end = segment.end.min(start + GRAIN_BYTES);
                    let grain = &mut grain[..(end - start) as usize];
                    file.read_exact_at(grain, start)?;
                    if *grain != ZEROS[..grain.len()] {
                        data.extend_from_slice(grain);
                        continue;
                    }
                    match zeros.last_mut() {
                        Some(last) if last.end == start => last.end = end,
                        _ => zeros.push(start..end),
                    }
                }
            }
            if data.len() as u64 > DATA_BYTES_MAX {
                return Err(io::Error::other("too large to be kept"));
            }
            written.push(Written {
                name: name.clone(),
                length: state.length(),
                is_reserved: state.reserve() == Reserve::Everything,
                segments: state.segments().to_vec(),
                zeros,
            });
        }
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        let head = Head {
            exit: answer.exit.clone(),
            command: answer.transcript.command.clone(),
            stdout: answer.transcript.stdout.clone(),
            stderr: answer.transcript.stderr.clone(),
            contents: answer.report.contents().cloned(),
            session: answer.report.session().map(<[_]>::to_vec),
            partial: answer.report.is_partial(),
            written,
            removed: gone.cloned().collect(),
        };
        Ok(Self {
            head,
            data,
            start: 0,
            duration: answer.usage.duration,
            peak_memory_bytes: answer.usage.peak_memory_bytes,
        })
    }

    /// Returns the number of bytes of file data.
    pub(super) fn data_bytes(&self) -> u64 {
        (self.data.len() - self.start) as u64
    }

    /// Repeats the tool's changes of the files in a directory.
    pub(super) fn put_files(&self, directory: &Path) -> io::Result<()> {
        let mut place = self.start;
        for file in &self.head.written {
            let path = directory.join(&file.name);
            // The file is overwritten in place: the tool would keep its links, if any.
            let target = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .open(path)?;
            target.set_len(file.length)?;
            if file.is_reserved {
                reserve(&target, file.length)?;
            }
            for (part, is_zero) in file.parts() {
                if is_zero {
                    for start in (part.start..part.end).step_by(ZEROS.len()) {
                        let length = (part.end - start).min(GRAIN_BYTES) as usize;
                        target.write_all_at(&ZEROS[..length], start)?;
                    }
                    continue;
                }
                let length = (part.end - part.start) as usize;
                target.write_all_at(&self.data[place..][..length], part.start)?;
                place += length;
            }
        }
        for name in &self.head.removed {
            fs::remove_file(directory.join(name))?;
        }
        Ok(())
    }

    /// Returns the answer to a request of this kind; no tool was called.
    pub(super) fn answer(&self, kind: RequestKind) -> Answer {
        let head = &self.head;
        Answer {
            exit: head.exit.clone(),
            report: match (&head.contents, &head.session) {
                (Some(contents), _) => Report::Contents(contents.clone()),
                (None, Some(outcomes)) => Report::Session(outcomes.clone()),
                (None, None) => Report::parse(kind, &head.stdout.bytes, head.partial),
            },
            usage: CallUsage {
                duration: self.duration,
                peak_memory_bytes: self.peak_memory_bytes,
                ..CallUsage::default()
            },
            transcript: Transcript {
                command: head.command.clone(),
                stdout: head.stdout.clone(),
                stderr: head.stderr.clone(),
            },
        }
    }

    /// Serializes the entry.
    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut body = serde_json::to_vec(&self.head)?;
        body.push(b'\n');
        body.extend_from_slice(&self.data[self.start..]);
        let mut bytes = format!("{MAGIC} {:032x}\n", xxh3_128(&body)).into_bytes();
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// Parses the output of [`Entry::to_bytes`]; returns `None` for anything else, to the bit.
    pub(super) fn read(mut from: impl Read) -> Option<Self> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).ok()?;
        let first = bytes.iter().position(|byte| *byte == b'\n')?;
        let (line, body) = (&bytes[..first], &bytes[first + 1..]);
        if line != format!("{MAGIC} {:032x}", xxh3_128(body)).as_bytes() {
            return None;
        }
        let end = body.iter().position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(&body[..end]).ok()?;
        let start = first + 1 + end + 1;
        let wanted: u64 = head.written.iter().map(Written::data_bytes).sum();
        (wanted == (bytes.len() - start) as u64).then_some(Self {
            head,
            data: bytes,
            start,
            duration: Duration::ZERO,
            peak_memory_bytes: 0,
        })
    }
}

/// Reserves host space for a whole file, like the tool. A file system that cannot do so could not have done it for the
/// tool.
fn reserve(file: &File, length: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests;
