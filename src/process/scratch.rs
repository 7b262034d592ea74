//! The scratch directories of a run: all below one directory of its own, which is marked and locked.
//!
//! Made by the sandbox, the fixtures and the pools of kept tools; removed by whoever made them, else by the warden or the next run.
//! [`Mark`] is what tells our directories from those of other people: nothing is ever removed for its name alone.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::{Deserialize, Serialize};

use super::starter;
use super::warden::run_token;
use crate::base::error::{Error, Result};

/// The beginning of the names of all of them.
const PREFIX: &str = "imgduel-";

/// The beginning of the name of a case's directory that is to stay.
pub const KEPT_PREFIX: &str = "imgduel-kept-";

/// The file that says whose a directory is. No tool may write beside it.
const MARK_NAME: &str = ".imgduel-mark";

/// What the mark says of its maker.
const MAKER: &str = "imgduel scratch directory";

/// A mark that is longer is none of ours.
const MARK_BYTES_MAX: u64 = 4096;

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
        Mark::of(made.path())?.write(made.path())?;
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
        starter::forget(&self.path);
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

/// What a run writes into its directory, for those that come after it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    made_by: String,
    /// The directory's name and inode: a copy, or one that somebody has taken for himself, is no longer ours.
    name: String,
    inode: u64,
    pub(super) run: String,
    owner: u32,
    /// Which time the machine is up.
    boot: String,
    process: u32,
    /// When the process was started, in clock ticks since the machine is up.
    started: u64,
}

impl Mark {
    fn of(directory: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(directory)?;
        let process = std::process::id();
        Ok(Self {
            made_by: MAKER.to_owned(),
            name: name_of(directory),
            inode: found.ino(),
            run: run_token().to_owned(),
            owner: found.uid(),
            boot: boot(),
            process,
            started: start_of(process).unwrap_or_default(),
        })
    }

    fn write(&self, directory: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join(MARK_NAME))?;
        file.write_all(serde_json::to_string(self)?.as_bytes())
    }

    /// The mark of a directory that a run of this user has made and that is where and what it was; nothing for any other.
    fn read(directory: &Path) -> Option<Self> {
        let own = rustix::process::geteuid().as_raw();
        let found = fs::symlink_metadata(directory).ok()?;
        if !found.is_dir() || found.uid() != own {
            return None;
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(directory.join(MARK_NAME))
            .ok()?;
        let about = file.metadata().ok()?;
        if !about.is_file() || about.uid() != own || about.len() > MARK_BYTES_MAX {
            return None;
        }
        let mut text = String::new();
        file.take(MARK_BYTES_MAX).read_to_string(&mut text).ok()?;
        let mark: Self = serde_json::from_str(&text).ok()?;
        let is_ours = mark.made_by == MAKER
            && mark.owner == own
            && mark.name == name_of(directory)
            && mark.inode == found.ino();
        is_ours.then_some(mark)
    }

    /// Whether the run that made it may still be there.
    pub(super) fn run_is_there(&self) -> bool {
        self.boot == boot() && start_of(self.process) == Some(self.started)
    }
}

/// The directories in `workdir` that runs of this user have made, with their marks.
pub(super) fn marked(workdir: &Path) -> Vec<(PathBuf, Mark)> {
    let entries = fs::read_dir(workdir).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    named
        .filter_map(|entry| {
            let path = entry.path();
            let mark = Mark::read(&path)?;
            Some((path, mark))
        })
        .collect()
}

fn name_of(directory: &Path) -> String {
    let name = directory.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    boot.trim().to_owned()
}

/// proc_pid_stat(5): the 22nd field, the 20th behind the name in parentheses.
fn start_of(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// Removes a scratch directory, whatever a tool did in it.
pub fn remove(directory: &Path) {
    if fs::remove_dir_all(directory).is_ok() {
        return;
    }
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if !is_there(directory) {
        return;
    }
    // One directory after the other: what lies in it is moved up before it goes, so that no depth matters, nor rights.
    let mut number = 0_u64;
    loop {
        open_up(directory);
        let below = entries(directory);
        let mut has_moved = false;
        for path in below {
            if !is_there(&path) {
                let _ = fs::remove_file(&path);
                continue;
            }
            open_up(&path);
            for inner in entries(&path) {
                if is_there(&inner) {
                    open_up(&inner);
                    number += 1;
                    let up = directory.join(format!("removed-{number}"));
                    has_moved |= fs::rename(&inner, up).is_ok();
                } else {
                    let _ = fs::remove_file(&inner);
                }
            }
            let _ = fs::remove_dir(&path);
        }
        if !has_moved {
            break;
        }
    }
    // What is left then is not ours to remove.
    let _ = fs::remove_dir_all(directory);
}

fn open_up(directory: &Path) {
    let _ = fs::set_permissions(directory, Permissions::from_mode(0o700));
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use rustix::fs::{Mode, OFlags, mkdirat, openat};

    use super::*;

    #[test]
    fn a_directory_goes_however_deep_it_is_and_whatever_its_rights() {
        let place = tempfile::tempdir().expect("a directory");
        let top = place.path().join("top");
        fs::create_dir(&top).expect("a directory");
        let mut deepest = OwnedFd::from(File::open(&top).expect("it is there"));
        for _ in 0..3000 {
            mkdirat(&deepest, "directory", Mode::RWXU).expect("a directory");
            let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
            deepest = openat(&deepest, "directory", flags, Mode::empty()).expect("a directory");
        }
        for shut in [top.join("shut"), top.join("directory/shut")] {
            fs::create_dir(&shut).expect("a directory");
            fs::write(shut.join("file"), "").expect("a file");
            fs::set_permissions(&shut, Permissions::from_mode(0o0)).expect("it is ours");
        }
        remove(&top);
        assert!(fs::symlink_metadata(&top).is_err());
    }

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
