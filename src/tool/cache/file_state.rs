//! What a file holds, as far as an answer can follow from it.
//!
//! Asked for all files of a directory before each answer. A file is read once, and again when somebody may have written to it:
//! several requests in turn look at the same images.

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

use crate::image::content::{data_segments, each_piece, open_regular};
use crate::process::write_watch::{WriteWatch, identity};

/// How many files a thread remembers.
const REMEMBERED_MAX: usize = 64;

/// The grain in which zeros are told from other bytes.
const BLOCK_BYTES: u64 = 4096;

/// The unit of stat(2)'s st_blocks.
const HOST_BLOCK_BYTES: u64 = 512;

/// What a file may take of the host beside its data before that counts as reserved: a file system's own blocks, in bytes.
const BESIDE_DATA_MAX: u64 = 1 << 20;

/// How much of the space in which a file has no data the host keeps for it (fallocate). That is seen in no byte, but it is space that
/// a tool took, and a copy that leaves it out takes less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserve {
    /// No more than a file system needs.
    Nothing,
    /// All of it.
    Everything,
    /// A part, and nobody says which.
    Part,
}

impl Reserve {
    /// Of a file with so much data, that takes so much of the host; all in bytes.
    fn of(length: u64, data: u64, allocated: u64) -> Self {
        let reserved = allocated.saturating_sub(data);
        if reserved <= BESIDE_DATA_MAX {
            return Self::Nothing;
        }
        // What is reserved behind the end of a file is no part of the space in it.
        match reserved.abs_diff(length - data) <= BESIDE_DATA_MAX {
            true => Self::Everything,
            false => Self::Part,
        }
    }
}

/// What a file holds, and where: a hole is told from zeros, as tools do.
#[derive(Clone)]
pub(super) struct FileState {
    length: u64,
    segments: Arc<[Range<u64>]>,
    reserve: Reserve,
    hash: u128,
    /// Of what a guest could read alone: holes and zeros are the same.
    bytes_hash: u128,
    /// When it was last written to.
    modified: Option<SystemTime>,
}

impl PartialEq for FileState {
    fn eq(&self, other: &Self) -> bool {
        let known = |it: &Self| (it.length, it.reserve, it.hash);
        known(self) == known(other) && self.segments == other.segments
    }
}

/// What an answer follows from: not from when a file was written.
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
    /// Of every file in a directory, by its name.
    pub(super) fn of_all(directory: &Path) -> io::Result<BTreeMap<String, Self>> {
        thread_local! {
            /// A thread is at one case at a time.
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

    fn of(path: &Path) -> io::Result<Self> {
        let file = open_regular(path)?;
        let segments = data_segments(&file)?;
        let (mut hash, mut bytes_hash) = (Xxh3::new(), Xxh3::new());
        for segment in &segments {
            each_piece(&file, segment.clone(), |start, bytes| {
                hash.update(bytes);
                // In blocks that lie where they lie in the file, whatever the segment begins with.
                let mut place = start;
                let mut rest = bytes;
                while !rest.is_empty() {
                    let end = (place / BLOCK_BYTES + 1) * BLOCK_BYTES;
                    let (block, behind) = rest.split_at(rest.len().min((end - place) as usize));
                    if block.iter().any(|byte| *byte != 0) {
                        bytes_hash.update(&place.to_le_bytes());
                        bytes_hash.update(block);
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
            reserve: Reserve::of(length, data, found.blocks() * HOST_BLOCK_BYTES),
            segments: segments.into(),
            hash: hash.digest128(),
            bytes_hash: bytes_hash.digest128(),
            modified: found.modified().ok(),
        })
    }

    /// Whether a file that was like this is so still, or was at least not written to: where its holes lie the system may tell otherwise later, of
    /// space that it had reserved and not yet used.
    pub(super) fn is_as_before(&self, now: &Self) -> bool {
        let same_bytes = (self.length, self.bytes_hash) == (now.length, now.bytes_hash);
        self == now || (same_bytes && self.modified == now.modified)
    }

    /// In bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// What the host keeps for it beside its data.
    pub(super) fn reserve(&self) -> Reserve {
        self.reserve
    }

    /// The ranges that hold data.
    pub(super) fn segments(&self) -> &[Range<u64>] {
        &self.segments
    }
}

/// Files that were read, by device and inode, and are watched since before that.
#[derive(Default)]
struct Memory {
    states: HashMap<(u64, u64), FileState>,
    watch: Option<WriteWatch>,
}

impl Memory {
    fn forget_what_changed(&mut self) {
        let is_full = self.states.len() >= REMEMBERED_MAX;
        if is_full || self.watch.as_ref().is_none_or(WriteWatch::has_seen_any) {
            self.states.clear();
            self.watch = WriteWatch::begin().ok();
        }
    }

    fn state(&mut self, path: &Path) -> io::Result<FileState> {
        let identity = identity(path)?;
        if let Some(state) = self.states.get(&identity) {
            return Ok(state.clone());
        }
        let watched = self.watch.as_mut().map(|watch| watch.add(path));
        let state = FileState::of(path)?;
        if watched.is_some_and(|added| added.is_ok()) {
            self.states.insert(identity, state.clone());
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn space_without_data_is_reserved_completely_partly_or_not_at_all() {
        const MIB: u64 = 1 << 20;
        let cases = [
            ((64 * MIB, MIB, MIB + 8192), Reserve::Nothing),
            ((64 * MIB, MIB, 64 * MIB + 8192), Reserve::Everything),
            ((64 * MIB, MIB, 20 * MIB), Reserve::Part),
            // Behind the end.
            ((MIB, MIB, 20 * MIB), Reserve::Part),
            // A file system that compresses.
            ((64 * MIB, 64 * MIB, 4096), Reserve::Nothing),
        ];
        for ((length, data, allocated), expected) in cases {
            assert_eq!(Reserve::of(length, data, allocated), expected);
        }
    }

    #[test]
    fn a_changed_replaced_or_recreated_file_is_read_again() {
        let scratch = tempfile::tempdir().unwrap();
        let [path, other] = ["image", "other"].map(|name| scratch.path().join(name));
        let states = || FileState::of_all(scratch.path()).unwrap();
        fs::write(&path, "bytes").unwrap();
        let mut before = states();
        assert_eq!(states(), before);
        let changes: [&dyn Fn(); 5] = [
            // Of the same length.
            &|| {
                let file = File::options().write(true).open(&path).unwrap();
                file.write_all_at(b"bits!", 0).unwrap();
            },
            &|| {
                File::options()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_len(1 << 20)
                    .unwrap()
            },
            &|| {
                fs::write(&other, "others").unwrap();
                fs::rename(&other, &path).unwrap();
            },
            // Perhaps with the same inode.
            &|| {
                fs::remove_file(&path).unwrap();
                fs::write(&path, "another").unwrap();
            },
            &|| fs::remove_file(&path).unwrap(),
        ];
        for change in changes {
            change();
            let after = states();
            assert_ne!(after, before);
            before = after;
        }
    }

    #[test]
    fn an_unwritten_file_is_unchanged_even_if_its_holes_are_reported_elsewhere() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("image");
        let file = File::create(&path).unwrap();
        file.set_len(16 * BLOCK_BYTES).unwrap();
        file.write_all_at(&[1; BLOCK_BYTES as usize], 4 * BLOCK_BYTES)
            .unwrap();
        let before = FileState::of(&path).unwrap();
        // The same bytes, the zeros behind them written: what a system may tell later of space that it had reserved.
        file.write_all_at(&[0; 2 * BLOCK_BYTES as usize], 5 * BLOCK_BYTES)
            .unwrap();
        let told_otherwise = FileState::of(&path).unwrap();
        let untouched = FileState {
            modified: before.modified,
            ..told_otherwise.clone()
        };
        assert_ne!(before, untouched);
        assert!(before.is_as_before(&before) && before.is_as_before(&untouched));
        let touched = FileState {
            modified: before
                .modified
                .map(|time| time + std::time::Duration::from_secs(1)),
            ..told_otherwise
        };
        assert!(!before.is_as_before(&touched));
        file.write_all_at(&[2], 0).unwrap();
        let changed = FileState {
            modified: before.modified,
            ..FileState::of(&path).unwrap()
        };
        assert!(!before.is_as_before(&changed));
    }

    #[test]
    fn a_state_is_cached_until_somebody_may_have_written_to_the_file() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("image");
        fs::write(&path, "bytes").unwrap();
        let mut memory = Memory::default();
        let mut look = || {
            memory.forget_what_changed();
            let remembered = memory.states.len();
            memory.state(&path).unwrap();
            remembered
        };
        assert_eq!([look(), look(), look()], [0, 1, 1]);
        drop(File::options().append(true).open(&path).unwrap());
        assert_eq!([look(), look()], [0, 1]);
    }
}
