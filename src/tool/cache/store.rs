//! A directory of cached answers: one file each, named after its key.
//!
//! Several processes may use it at the same time: files appear atomically, and the first process that sees a damaged
//! one removes it. It may be deleted at any time. If it exceeds its limits, the least recently used entries are removed
//! first.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::entry::Entry;

/// The maximum size of a store when it is opened, in bytes.
const BYTES_MAX: u64 = 512 << 20;
const ENTRIES_MAX: usize = 20_000;

/// The extension of an entry's name.
const ENDING: &str = "answer";

/// The answers in a directory.
pub struct Store {
    directory: PathBuf,
    found: AtomicU64,
    not_found: AtomicU64,
    dropped: AtomicU64,
}

/// How a store was used since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The number of answers that were found.
    pub found: u64,
    /// The number of answers that were not found.
    pub not_found: u64,
    /// The number of damaged entries that were removed.
    pub dropped: u64,
}

impl Store {
    /// Opens the store in `directory`, which is created with the first answer.
    pub fn open(directory: &Path) -> Self {
        Self::bounded(directory, BYTES_MAX, ENTRIES_MAX)
    }

    fn bounded(directory: &Path, bytes_max: u64, entries_max: usize) -> Self {
        trim(directory, bytes_max, entries_max);
        Self {
            directory: directory.to_owned(),
            found: AtomicU64::new(0),
            not_found: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Returns how it was used.
    pub fn counts(&self) -> Counts {
        Counts {
            found: self.found.load(Ordering::Relaxed),
            not_found: self.not_found.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    pub(super) fn find(&self, key: &str) -> Option<Entry> {
        let path = self.path(key);
        let count = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        let Ok(file) = File::open(&path) else {
            count(&self.not_found);
            return None;
        };
        let entry = Entry::read(&file);
        match entry {
            Some(_) => {
                // The time of the last use; if it cannot be set, the time of creation stays.
                let _ = file.set_modified(SystemTime::now());
                count(&self.found);
            }
            None => {
                let _ = fs::remove_file(&path);
                count(&self.dropped);
            }
        }
        entry
    }

    /// A store that cannot be written keeps nothing, without other effects.
    pub(super) fn keep(&self, key: &str, entry: &Entry) {
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&self.directory)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
            file.write_all(&entry.to_bytes()?)?;
            // The first of several processes wins.
            let _ = file.persist_noclobber(self.path(key));
            Ok(())
        };
        let _ = write();
    }

    fn path(&self, key: &str) -> PathBuf {
        self.directory.join(key).with_extension(ENDING)
    }
}

/// Removes the entries beyond the limits, and more, so that there is room for a while.
fn trim(directory: &Path, bytes_max: u64, entries_max: usize) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|ending| ending == ENDING)
        })
        .filter_map(|entry| {
            let found = entry.metadata().ok()?;
            Some((found.modified().ok()?, found.len(), entry.path()))
        })
        .collect();
    let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
    if bytes <= bytes_max && files.len() <= entries_max {
        return;
    }
    files.sort();
    let mut left = files.len();
    for (_, length, path) in files {
        if bytes <= bytes_max / 4 * 3 && left <= entries_max / 4 * 3 {
            break;
        }
        if fs::remove_file(path).is_ok() {
            bytes -= length;
            left -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_entries_are_removed_first() {
        let scratch = tempfile::tempdir().unwrap();
        for age in 0..8u64 {
            let path = scratch.path().join(format!("{age}.{ENDING}"));
            fs::write(&path, [0; 100]).unwrap();
            let then = SystemTime::now() - std::time::Duration::from_secs(age * 60);
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(then)
                .unwrap();
        }
        drop(Store::bounded(scratch.path(), 1 << 20, 4));
        let mut left: Vec<String> = fs::read_dir(scratch.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        left.sort();
        assert_eq!(left, ["0.answer", "1.answer", "2.answer"]);
    }
}
