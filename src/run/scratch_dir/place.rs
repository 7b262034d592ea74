//! The default place of scratch directories: in memory if there is enough, else on disk.
//!
//! Used by the settings. A file system in memory needs no disk access, and removing its files is fast.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statfs};

/// A file system in memory that every Linux distribution mounts (shm_overview(7)).
const SHARED_MEMORY: &str = "/dev/shm";

/// The type of such a file system in statfs(2).
const TMPFS_MAGIC: u64 = 0x0102_1994;

/// Free space that each parallel case needs, in bytes: a case writes some hundred MiB at most.
const FREE_BYTES_PER_JOB: u64 = 1 << 30;

/// A place for scratch directories.
#[derive(Clone, Debug)]
pub struct Place {
    /// The path of its directory.
    pub path: PathBuf,
    /// Whether it is in memory.
    pub in_memory: bool,
    /// Free space in bytes.
    pub free_bytes: u64,
    /// Why memory was not chosen.
    reason: Option<String>,
}

impl Place {
    /// Returns the place at a given path.
    pub fn at(path: &Path) -> Self {
        let found = statfs(path).ok();
        let in_memory = found.is_some_and(|found| found.f_type as u64 == TMPFS_MAGIC);
        let free = found.map_or(0, |found| found.f_bavail * found.f_bsize as u64);
        Self {
            path: path.to_owned(),
            in_memory,
            // A tmpfs may be larger than the available memory.
            free_bytes: match in_memory {
                true => free.min(available_memory().unwrap_or(free)),
                false => free,
            },
            reason: None,
        }
    }

    /// Returns the default place for `jobs` parallel cases: `TMPDIR` if it is set, else memory, else the system's
    /// temporary directory.
    pub fn usual(jobs: usize) -> Self {
        let temporary = Self::at(&env::temp_dir());
        if env::var_os("TMPDIR").is_some() {
            return temporary;
        }
        let memory = Self::at(Path::new(SHARED_MEMORY));
        let needed = FREE_BYTES_PER_JOB * jobs as u64;
        let objection = if !memory.in_memory {
            Some(format!("{SHARED_MEMORY} is not in memory"))
        } else if access(SHARED_MEMORY, Access::WRITE_OK | Access::EXEC_OK).is_err() {
            Some(format!("{SHARED_MEMORY} cannot be written to"))
        } else if memory.free_bytes < needed {
            let (free, needed) = (memory.free_bytes >> 20, needed >> 20);
            Some(format!("{SHARED_MEMORY} has {free} MiB free, not {needed}"))
        } else {
            None
        };
        match objection {
            None => memory,
            Some(reason) => Self {
                reason: Some(reason),
                ..temporary
            },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.in_memory { "memory" } else { "disk" };
        let free = self.free_bytes >> 20;
        write!(
            formatter,
            "{} ({kind}, {free} MiB free",
            self.path.display()
        )?;
        if let Some(reason) = &self.reason {
            write!(formatter, "; {reason}")?;
        }
        formatter.write_str(")")
    }
}

/// `MemAvailable` of proc_meminfo(5), in bytes.
fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}
