//! The scratch directories of a run: all below one directory of its own, which is marked and locked.
//!
//! Made by the sandbox, the fixtures and the pools of kept tools; removed by whoever made them, else by the reaper or the next run
//! (`mark.rs` tells how those know ours).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::mark::{Mark, PREFIX, run_token};
use super::removal::remove;
use super::zygote_pool;
use crate::base::error::{Error, Result};

/// The beginning of the name of a case's directory that is to stay.
pub const KEPT_PREFIX: &str = "imgduel-kept-";

/// The directory of a run in one place, with all its scratch directories. It goes with the last of those who hold it.
pub struct RunDirectory {
    path: PathBuf,
    /// Held for as long as the directory is there, so that no other run takes it for one that was left behind.
    _lock: File,
}

/// Those of this process.
static OPEN: Mutex<Option<HashMap<PathBuf, Weak<RunDirectory>>>> = Mutex::new(None);

fn open() -> MutexGuard<'static, Option<HashMap<PathBuf, Weak<RunDirectory>>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunDirectory {
    /// This run's in `workdir`.
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
        // A file system without locks: then the mark alone tells that its run is there.
        let _ = lock.try_lock();
        Mark::new(made.path())?.write(made.path())?;
        Ok(Self {
            path: made.keep(),
            _lock: lock,
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it was made in.
    pub fn workdir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }
}

/// The directory of this run in which a directory of a side lies; none, where it lies elsewhere.
pub(super) fn run_directory_of(side: &Path) -> Option<&Path> {
    side.ancestors().take(3).find_map(is_run_directory)
}

/// The place in which this run has, or would have, its directory so that what lies beside `side` is in the same file system.
pub fn workdir_of(side: &Path) -> PathBuf {
    let run = run_directory_of(side);
    let workdir = run.unwrap_or(side).parent();
    workdir.unwrap_or(side).to_owned()
}

/// The same path when it is a directory of this run.
pub(super) fn is_run_directory(path: &Path) -> Option<&Path> {
    let open = open();
    let run = open.as_ref()?.get(path.parent()?)?.upgrade()?;
    // Its end is not to come under the lock.
    drop(open);
    (run.path == path).then_some(path)
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        zygote_pool::forget(&self.path);
        remove(&self.path);
    }
}

/// A scratch directory: a case's, or one for something that is kept.
pub struct Root {
    path: PathBuf,
    is_kept: bool,
    run: Arc<RunDirectory>,
}

impl Root {
    /// Makes one whose name begins with `name` among those of this run in `workdir`.
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

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What all of them are made in.
    pub fn workdir(&self) -> &Path {
        self.run.workdir()
    }

    /// Leaves it, under a name that no clean-up goes by, beside the directories of runs.
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
