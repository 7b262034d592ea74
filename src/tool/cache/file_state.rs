//! The state of a file, as far as an answer can depend on it.
//!
//! The cache needs the state of all files in a directory before each answer. A file is read once, and again if somebody
//! may have written to it, because several successive requests use the same images.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use xxhash_rust::xxh3::Xxh3;

use crate::image::content::{data_segments, each_piece, is_zero, open_regular};
use crate::process::write_watch::{WriteWatch, identity};

/// The maximum number of files whose state a thread remembers.
const REMEMBERED_MAX: usize = 64;

/// The block size in which zeros are distinguished from data.
const BLOCK_BYTES: u64 = 4096;

/// The unit of stat(2)'s st_blocks.
const HOST_BLOCK_BYTES: u64 = 512;

/// The host space beyond its data that a file may take without counting as reserved: blocks of the file system, in
/// bytes.
const BESIDE_DATA_MAX: u64 = 1 << 20;

/// How much of a file's space without data is reserved on the host (fallocate). No byte shows it, but it is space that
/// the tool took, and a copy without it takes less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserve {
    /// No more than a file system needs.
    Nothing,
    /// All of it.
    Everything,
    /// An unknown part.
    Part,
}

impl Reserve {
    /// Returns the class of a file with this length, data and host space; all in bytes.
    fn from_sizes(length: u64, data: u64, allocated: u64) -> Self {
        let reserved = allocated.saturating_sub(data);
        if reserved <= BESIDE_DATA_MAX {
            return Self::Nothing;
        }
        // Space that is reserved beyond the end of the file does not count.
        match reserved.abs_diff(length - data) <= BESIDE_DATA_MAX {
            true => Self::Everything,
            false => Self::Part,
        }
    }
}

/// The contents of a file and their layout: holes are distinguished from zeros, as tools do.
#[derive(Clone)]
pub(super) struct FileState {
    length: u64,
    segments: Arc<[Range<u64>]>,
    reserve: Reserve,
    /// A hash of the blocks that hold more than zeros, and of their places: with the length and the segments, it tells all bytes.
    hash: u128,
    /// The modification time.
    modified: Option<SystemTime>,
}

impl PartialEq for FileState {
    fn eq(&self, other: &Self) -> bool {
        let known = |it: &Self| (it.length, it.reserve, it.hash);
        known(self) == known(other) && self.segments == other.segments
    }
}

/// The text has only what an answer depends on, so not the modification time.
impl fmt::Debug for FileState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            length,
            segments,
            reserve,
            hash,
            ..
        } = self;
        write!(formatter, "{length} {segments:?} {reserve:?} {hash:032x}")
    }
}

impl FileState {
    /// Returns the states of all files in a directory, by name.
    pub(super) fn of_all(directory: &Path) -> io::Result<BTreeMap<String, Self>> {
        thread_local! {
            /// Each thread works on one case at a time.
            static MEMORY: RefCell<Memory> = RefCell::default();
        }
        MEMORY.with_borrow_mut(|memory| {
            memory.forget_what_changed();
            let mut states = BTreeMap::new();
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    states.insert(name, memory.state(&entry.path())?);
                }
            }
            Ok(states)
        })
    }

    fn read_from(path: &Path) -> io::Result<Self> {
        let file = open_regular(path)?;
        let segments = data_segments(&file)?;
        let mut hash = Xxh3::new();
        for segment in &segments {
            each_piece(&file, segment.clone(), |start, bytes| {
                // Blocks are aligned to the file, not to the segment.
                let mut place = start;
                let mut rest = bytes;
                while !rest.is_empty() {
                    let end = (place / BLOCK_BYTES + 1) * BLOCK_BYTES;
                    let (block, behind) = rest.split_at(rest.len().min((end - place) as usize));
                    if !is_zero(block) {
                        hash.update(&place.to_le_bytes());
                        hash.update(block);
                    }
                    place += block.len() as u64;
                    rest = behind;
                }
            })?;
        }
        let found = file.metadata()?;
        let length = found.len();
        let data = segments.iter().map(|segment| segment.end - segment.start);
        // Data may have been appended since.
        let data = data.sum::<u64>().min(length);
        Ok(Self {
            length,
            reserve: Reserve::from_sizes(length, data, found.blocks() * HOST_BLOCK_BYTES),
            segments: segments.into(),
            hash: hash.digest128(),
            modified: found.modified().ok(),
        })
    }

    /// Whether a file in this state is unchanged, or at least was not written to: the system may later report the holes
    /// of reserved, unused space differently.
    pub(super) fn is_as_before(&self, now: &Self) -> bool {
        let same_bytes = (self.length, self.hash) == (now.length, now.hash);
        self == now || (same_bytes && self.modified == now.modified)
    }

    /// Returns the length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns how much space without data is reserved.
    pub(super) fn reserve(&self) -> Reserve {
        self.reserve
    }

    /// Returns the ranges with data.
    pub(super) fn segments(&self) -> &[Range<u64>] {
        &self.segments
    }
}

/// The files that were read.
#[derive(Default)]
struct Memory {
    /// By device and inode.
    files: HashMap<(u64, u64), Remembered>,
    watch: Option<WriteWatch>,
}

/// A file that was read, and has been watched since before that.
struct Remembered {
    state: FileState,
    /// The watch's number of it.
    number: i32,
}

impl Memory {
    fn forget_what_changed(&mut self) {
        let seen = self.watch.as_ref().and_then(WriteWatch::seen);
        match seen {
            Some(seen) if self.files.len() < REMEMBERED_MAX => {
                self.files.retain(|_, file| !seen.contains(&file.number));
            }
            _ => {
                self.files.clear();
                self.watch = WriteWatch::begin().ok();
            }
        }
    }

    fn state(&mut self, path: &Path) -> io::Result<FileState> {
        let identity = identity(path)?;
        if let Some(file) = self.files.get(&identity) {
            return Ok(file.state.clone());
        }
        let number = self.watch.as_mut().and_then(|watch| watch.add(path).ok());
        let state = FileState::read_from(path)?;
        if let Some(number) = number {
            let state = state.clone();
            self.files.insert(identity, Remembered { state, number });
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests;
