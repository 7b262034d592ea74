//! The scratch directories of a run: all below one directory of the run, which is marked and locked.
//!
//! The sandbox, the fixtures and the pools of persistent tools create them; their creators remove them, otherwise the
//! reaper or the next run (`mark.rs` describes how those recognize ours).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::mark::{Mark, PREFIX, run_token};
use super::removal::remove;
use super::zygote_pool;
use crate::base::error::{Error, Result};

/// The prefix of the name of a case's directory that is kept.
pub const KEPT_PREFIX: &str = "imgduel-kept-";

/// The directory of a run in one place, with all its scratch directories. It is removed with its last holder.
pub struct RunDirectory {
    path: PathBuf,
    /// Held as long as the directory exists, so that no other run takes it for a remainder.
    _lock: File,
}

/// The run directories of this process.
static OPEN: Mutex<Option<HashMap<PathBuf, Weak<RunDirectory>>>> = Mutex::new(None);

fn open() -> MutexGuard<'static, Option<HashMap<PathBuf, Weak<RunDirectory>>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunDirectory {
    /// Returns this run's directory in `workdir`.
    pub fn in_place(workdir: &Path) -> Result<Arc<Self>> {
        let cannot = |error| Error::io("make a scratch directory in", workdir, &error);
        let absolute = std::path::absolute(workdir).map_err(cannot)?;
        let mut open = open();
        let open = open.get_or_insert_default();
        if let Some(there) = open.get(&absolute).and_then(Weak::upgrade) {
            return Ok(there);
        }
        open.retain(|_, run| run.strong_count() > 0);
        let made = Arc::new(Self::make(&absolute).map_err(cannot)?);
        open.insert(absolute, Arc::downgrade(&made));
        Ok(made)
    }

    fn make(workdir: &Path) -> io::Result<Self> {
        let prefix = format!("{PREFIX}{}-", run_token());
        let made = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(workdir)?;
        let lock = File::open(made.path())?;
        // On a file system without locks, only the mark shows that its run exists.
        let _ = lock.try_lock();
        Mark::new(made.path())?.write(made.path())?;
        Ok(Self {
            path: made.keep(),
            _lock: lock,
        })
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory that it was created in.
    pub fn workdir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }
}

/// Returns the directory of this run that contains a side's directory; `None` for any other.
pub(super) fn run_directory_of(side: &Path) -> Option<&Path> {
    side.ancestors().take(3).find_map(is_run_directory)
}

/// Returns the directory in which this run has, or would have, its directory so that it is in the same file system as
/// `side`.
pub fn workdir_of(side: &Path) -> PathBuf {
    let run = run_directory_of(side);
    let workdir = run.unwrap_or(side).parent();
    workdir.unwrap_or(side).to_owned()
}

/// Returns the path if it is a directory of this run.
pub(super) fn is_run_directory(path: &Path) -> Option<&Path> {
    let open = open();
    let run = open.as_ref()?.get(path.parent()?)?.upgrade()?;
    // It must not be dropped under the lock.
    drop(open);
    (run.path == path).then_some(path)
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        zygote_pool::forget(&self.path);
        remove(&self.path);
    }
}

/// A scratch directory: a case's, or a persistent process's.
pub struct Root {
    path: PathBuf,
    is_kept: bool,
    run: Arc<RunDirectory>,
}

impl Root {
    /// Creates one with this prefix of its name, in this run's directory in `workdir`.
    pub fn make(workdir: &Path, name: &str) -> Result<Self> {
        let run = RunDirectory::in_place(workdir)?;
        let cannot = |error| Error::io("make a scratch directory in", run.path(), &error);
        let made = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(run.path());
        let path = made.map_err(cannot)?.keep();
        Ok(Self {
            path,
            is_kept: false,
            run,
        })
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory that contains the run directories.
    pub fn workdir(&self) -> &Path {
        self.run.workdir()
    }

    /// Keeps it, under a name that no clean-up recognizes, beside the run directories.
    pub fn keep(mut self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let kept = self.workdir().join(format!("{KEPT_PREFIX}{name}"));
        if fs::rename(&self.path, &kept).is_err() {
            return self.path.clone();
        }
        self.is_kept = true;
        kept
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if !self.is_kept {
            remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mark::{MARK_NAME, marked};
    use super::*;

    #[test]
    fn a_mark_counts_only_where_and_as_it_was_made() {
        let place = tempfile::tempdir().expect("a directory");
        let root = Root::make(place.path(), "case").expect("a scratch directory");
        let run = RunDirectory::in_place(place.path()).expect("the same run");
        assert!(root.path().starts_with(run.path()));
        let mark = Mark::read(run.path()).expect("a mark");
        assert!(mark.run_is_there() && mark.run == run_token());
        let copy = place.path().join("imgduel-notes");
        fs::create_dir(&copy).expect("a directory");
        fs::copy(run.path().join(MARK_NAME), copy.join(MARK_NAME)).expect("a copy");
        assert!(Mark::read(&copy).is_none());
        let (path, others) = (run.path().to_owned(), marked(place.path()).len());
        assert_eq!(others, 1);
        drop((root, run));
        assert!(!path.exists() && copy.exists());
    }
}
