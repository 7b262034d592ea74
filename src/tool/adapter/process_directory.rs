//! The directory of a persistent process, the only one that it may write to, and how a side's directory is moved into
//! it for one request.
//!
//! Used by the pool. The confinement of a process is fixed when it starts, and the process outlives the cases. So the
//! process does not get access to a side's directory, but that directory is moved into the process's own, and back
//! after the request. The harness detects a process that moves it elsewhere.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use crate::base::error::{Error, Result};
use crate::process;
use crate::process::scratch::{self, Root};

/// Where a directory can be created if there is no directory for temporary files (shm_overview(7)).
const SHARED_MEMORY: &str = "/dev/shm";

/// The directory of a persistent process.
pub(super) struct ProcessDirectory {
    root: Root,
}

impl ProcessDirectory {
    /// Creates an empty directory in the file system of `directory`.
    pub(super) fn beside(directory: &Path) -> Result<Self> {
        Self::make(&scratch::workdir_of(directory))
    }

    /// Creates an empty directory among temporary files, for a process that gets no requests but the handshake.
    pub(super) fn apart() -> Result<Self> {
        let usual = Self::make(&std::env::temp_dir());
        usual.or_else(|error| Self::make(Path::new(SHARED_MEMORY)).map_err(|_| error))
    }

    fn make(workdir: &Path) -> Result<Self> {
        let root = Root::make(workdir, "room")?;
        Ok(Self { root })
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &Path {
        self.root.path()
    }

    /// Whether it still exists, and a directory can be moved into it.
    pub(super) fn can_admit(&self, directory: &Path) -> bool {
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
        let own = device(self.path());
        own.is_some() && own == device(directory)
    }

    /// Moves a side's directory into it. With `leaves_a_link`, the old path leads to it meanwhile: absolute names in images have that.
    pub(super) fn admit(&self, directory: &Path, leaves_a_link: bool) -> Result<MovedDirectory> {
        let cannot = |error| Error::io("give a kept tool", directory, &error);
        let name = directory.file_name().unwrap_or_default();
        let inside = self.path().join(name);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = open(directory, flags, Mode::empty()).map_err(|error| cannot(error.into()))?;
        let identity = identity(directory);
        if fs::symlink_metadata(&inside).is_ok() {
            // The process created something under this name.
            process::remove(&inside);
            let _ = fs::remove_file(&inside);
        }
        fs::rename(directory, &inside).map_err(cannot)?;
        let has_link = leaves_a_link && symlink(&inside, directory).is_ok();
        Ok(MovedDirectory {
            has_link,
            home: directory.to_owned(),
            inside,
            handle,
            identity,
            is_over: false,
        })
    }
}

/// A side's directory inside the directory of a persistent process.
pub(super) struct MovedDirectory {
    /// Whether a link to it stands in its old place, which only this program can write to.
    has_link: bool,
    home: PathBuf,
    inside: PathBuf,
    handle: OwnedFd,
    identity: Option<(u64, u64)>,
    is_over: bool,
}

impl MovedDirectory {
    /// Returns its present path.
    pub(super) fn inside(&self) -> &Path {
        &self.inside
    }

    /// Moves it back and returns whether it was in its place. If it was not, try again after the process has ended.
    pub(super) fn end(&mut self) -> bool {
        if self.is_over {
            return true;
        }
        let is_back =
            |visit: &Self| visit.identity.is_some() && identity(&visit.home) == visit.identity;
        if std::mem::take(&mut self.has_link) {
            let _ = fs::remove_file(&self.home);
        }
        // The check is made outside the process's reach.
        if fs::rename(&self.inside, &self.home).is_ok() && is_back(self) {
            self.is_over = true;
        }
        self.is_over
    }

    /// Moves it back from wherever it is, or creates an empty directory if it is gone.
    fn recover(&mut self) {
        if fs::symlink_metadata(&self.home).is_ok() {
            process::remove(&self.home);
            let _ = fs::remove_file(&self.home);
        }
        let handle = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        let is_back =
            fs::read_link(handle).is_ok_and(|place| fs::rename(place, &self.home).is_ok());
        if !is_back {
            let _ = fs::create_dir(&self.home);
        }
    }
}

impl Drop for MovedDirectory {
    fn drop(&mut self) {
        if !self.end() {
            self.recover();
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    found.is_dir().then(|| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_name_leads_to_a_directory_that_is_moved_and_the_link_goes_with_its_return() {
        let workdir = tempfile::tempdir().expect("a temporary directory");
        let side = workdir.path().join("side");
        fs::create_dir(&side).expect("its place is writable");
        fs::write(side.join("image"), "bytes").expect("its place is writable");
        let process_directory = ProcessDirectory::make(workdir.path()).expect("a directory");
        for leaves_a_link in [true, false] {
            let mut moved = process_directory
                .admit(&side, leaves_a_link)
                .expect("it is in the same file system");
            assert_eq!(side.join("image").exists(), leaves_a_link);
            assert!(moved.inside().join("image").exists());
            assert!(moved.end());
            let found = fs::symlink_metadata(&side).expect("it is back");
            assert!(found.is_dir() && side.join("image").exists());
        }
    }
}
