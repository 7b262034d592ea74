//! Detects whether anybody has had a file open for writing, by inotify(7).
//!
//! The sandbox and the fixtures use it for source images that must only be read, and the cache for files that it has
//! read. Writing to a file, even through a mapping, requires a descriptor that is open for writing, and its closing is
//! reported, at the latest when its process ends: so no file must be read to know that it is unchanged. It is not
//! reported who wrote. The inotify descriptors are kept, because closing one costs the kernel a grace period.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// The events of a watched file: closing by a possible writer, and truncation, which needs no descriptor.
const WRITES: WatchFlags = WatchFlags::CLOSE_WRITE.union(WatchFlags::MODIFY);

/// The size of a buffer for some events without names (`struct inotify_event`).
const EVENTS_BYTES: usize = 512;

/// Unused descriptors; events of removed files that they still report are ignored.
static IDLE: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

fn idle() -> MutexGuard<'static, Vec<OwnedFd>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watched files.
#[derive(Debug)]
pub struct WriteWatch {
    inotify: Option<OwnedFd>,
    /// Distinguishes their events from those of removed files.
    numbers: Vec<i32>,
}

impl WriteWatch {
    /// Returns an empty watch.
    pub fn begin() -> io::Result<Self> {
        let waiting = idle().pop();
        let inotify = match waiting {
            Some(inotify) => inotify,
            None => inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
        };
        let watch = Self {
            inotify: Some(inotify),
            numbers: Vec::new(),
        };
        // The pending events concern files of earlier watches.
        watch.has_seen_any();
        Ok(watch)
    }

    /// Watches a regular file from now on, whatever other names it has, and returns the number by which [`WriteWatch::seen`] names it.
    pub fn add(&mut self, path: &Path) -> io::Result<i32> {
        let inotify = self.inotify.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let number = inotify::add_watch(inotify, path, WRITES)?;
        self.numbers.push(number);
        Ok(number)
    }

    /// Whether somebody may have written to one of the files since the last query, or one was removed.
    pub fn has_seen_any(&self) -> bool {
        self.seen().is_none_or(|numbers| !numbers.is_empty())
    }

    /// The files to which somebody may have written since the last query, and those that were removed: their inodes may have been reused.
    /// `None` if it may have been any.
    pub fn seen(&self) -> Option<Vec<i32>> {
        let inotify = self.inotify.as_ref()?;
        let mut space = [MaybeUninit::uninit(); EVENTS_BYTES];
        let mut events = Reader::new(inotify, &mut space);
        let mut seen = Vec::new();
        loop {
            match events.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => return None,
                Ok(event) if self.numbers.contains(&event.wd()) => seen.push(event.wd()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Some(seen),
                Err(_) => return None,
            }
        }
    }
}

impl Drop for WriteWatch {
    fn drop(&mut self) {
        idle().extend(self.inotify.take());
    }
}

/// A file that must not be changed or replaced.
#[derive(Debug)]
pub struct Guarded {
    path: PathBuf,
    identity: (u64, u64),
    watch: WriteWatch,
}

impl Guarded {
    /// Guards the file from now on.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let mut watch = WriteWatch::begin()?;
        watch.add(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
            watch,
        })
    }

    /// Whether somebody may have written to the file or replaced it.
    pub fn may_have_changed(&self) -> bool {
        let is_there = identity(&self.path).is_ok_and(|found| found == self.identity);
        !is_there || self.watch.has_seen_any()
    }
}

/// Returns device and inode of a path.
pub fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = path.symlink_metadata()?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use super::*;

    #[test]
    fn whoever_only_reads_is_not_told_of_and_whoever_could_write_is() {
        let scratch = tempfile::tempdir().unwrap();
        let [path, other, third] = ["path", "other", "third"].map(|name| scratch.path().join(name));
        fs::write(&path, "bytes").unwrap();
        fs::hard_link(&path, &other).unwrap();
        let begin = || Guarded::begin(&path).unwrap();
        let quiet = begin();
        assert_eq!(fs::read(&other).unwrap(), b"bytes");
        assert!(!quiet.may_have_changed());
        drop(quiet);
        let changes: [&dyn Fn(); 5] = [
            &|| drop(File::options().write(true).open(&path).unwrap()),
            // By its other name, without changing its length.
            &|| {
                let mut file = File::options().write(true).open(&other).unwrap();
                file.write_all(b"bits!").unwrap();
            },
            &|| rustix::fs::ftruncate(File::options().write(true).open(&path).unwrap(), 3).unwrap(),
            &|| {
                fs::copy(&path, &third).unwrap();
                fs::rename(&third, &path).unwrap();
            },
            &|| fs::remove_file(&path).unwrap(),
        ];
        for change in changes {
            let watch = begin();
            change();
            assert!(watch.may_have_changed());
        }
    }
}
