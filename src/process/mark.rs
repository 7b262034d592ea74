//! The mark of a run's directory: what tells our directories from those of other people.
//!
//! Nothing is ever removed for its name alone. Written by `scratch.rs`, read by the reaper and by the sweep of the next run.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The beginning of the names of all of them.
pub(super) const PREFIX: &str = "imgduel-";

/// The file that says whose a directory is. No tool may write beside it.
pub(super) const MARK_NAME: &str = ".imgduel-mark";

/// What the mark says of its maker.
const MAKER: &str = "imgduel scratch directory";

/// A mark that is longer is none of ours.
const MARK_BYTES_MAX: u64 = 4096;

/// The variable that tells a kept child's run.
pub const RUN_VARIABLE: &str = "IMGDUEL_RUN";

/// What no other run on this machine has in the names of its scratch directories.
pub fn run_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_micros();
        format!("{:x}.{now:x}", std::process::id())
    })
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
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
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

    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join(MARK_NAME))?;
        file.write_all(serde_json::to_string(self)?.as_bytes())
    }

    /// The mark of a directory that a run of this user has made and that is where and what it was; nothing for any other.
    pub(super) fn read(directory: &Path) -> Option<Self> {
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
