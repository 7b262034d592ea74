//! The mark of a run's directory, which distinguishes our directories from other people's.
//!
//! Nothing is ever removed because of its name alone. `scratch.rs` writes the mark; the reaper and the sweep of the
//! next run read it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The prefix of the names of all run directories.
pub(super) const PREFIX: &str = "imgduel-";

/// The file with the mark. No tool may write beside it.
pub(super) const MARK_NAME: &str = ".imgduel-mark";

/// The maker in the mark.
const MAKER: &str = "imgduel scratch directory";

/// A longer file is not a mark.
const MARK_BYTES_MAX: u64 = 4096;

/// The variable with the run of a persistent child.
pub const RUN_VARIABLE: &str = "IMGDUEL_RUN";

/// Returns a token that no other run on this machine has in the names of its scratch directories.
pub fn run_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_micros();
        format!("{:x}.{now:x}", std::process::id())
    })
}

/// What a run writes into its directory, for later runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    made_by: String,
    /// The directory's name and inode: a copy, or a directory that somebody took over, is not ours any more.
    name: String,
    inode: u64,
    pub(super) run: String,
    owner: u32,
    /// The boot of the machine.
    boot: String,
    process: u32,
    /// The start time of the process, in clock ticks since boot.
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

    /// Reads the mark of a directory that a run of this user created and that was neither moved nor replaced; `None`
    /// for any other.
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

    /// Whether the run that created it may still exist.
    pub(super) fn run_is_there(&self) -> bool {
        self.boot == boot() && start_of(self.process) == Some(self.started)
    }
}

/// Returns the directories in `workdir` that runs of this user created, with their marks.
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

/// proc_pid_stat(5): the 22nd field, which is the 20th after the name in parentheses.
fn start_of(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}
