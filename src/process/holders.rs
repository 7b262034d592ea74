//! Whether a process below this one can write to a file that it has open or mapped.
//!
//! `shared_copy.rs` asks it about processes that stay after an answer: inotify(7) tells of a possible writer when it closes the file, and these have not closed
//! it. Whether one has written is not examined.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::pulse::{STAT_BYTES, Stat, stat_of};
use super::usage::mapping;

/// Whether any process that descends from this one has one of these files (device and inode) open for writing or mapped to be shared, or cannot be examined.
pub fn hold_any(files: &[(u64, u64)]) -> bool {
    let parents = parents();
    let own = u64::from(std::process::id());
    let descends = |process: u64| {
        let mut above = parents.get(&process);
        // Numbers are reused: what was read at different times may be a circle.
        for _ in 0..parents.len() {
            match above {
                Some(parent) if *parent == own => return true,
                Some(parent) => above = parents.get(parent),
                None => return false,
            }
        }
        false
    };
    let mut processes = parents.keys().copied().filter(|id| descends(*id));
    processes.any(|id| holds(id, files).unwrap_or_else(|error| !is_gone(&error)))
}

/// The parent of each process.
fn parents() -> HashMap<u64, u64> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents = entries.filter_map(|entry| {
        let name = entry.file_name();
        let (name, mut buffer) = (name.to_str()?, [0; STAT_BYTES]);
        let process = name.parse().ok()?;
        // proc_pid_stat(5): behind the name stand the state and the parent.
        let parent = *Stat::parse(stat_of(name, &mut buffer))?.fields.get(1)?;
        Some((process, parent.parse().ok()?))
    });
    parents.collect()
}

fn holds(process: u64, files: &[(u64, u64)]) -> io::Result<bool> {
    for descriptor in fs::read_dir(format!("/proc/{process}/fd"))? {
        // A descriptor that was closed meanwhile is none.
        let Ok(path) = descriptor.map(|descriptor| descriptor.path()) else {
            continue;
        };
        // proc_pid_fd(5): the link may be written if the file is open for writing.
        let may_write = path
            .symlink_metadata()
            .is_ok_and(|link| link.mode() & 0o200 != 0);
        let found = fs::metadata(&path).ok().filter(|_| may_write);
        if found.is_some_and(|found| files.contains(&(found.dev(), found.ino()))) {
            return Ok(true);
        }
    }
    let maps = fs::read_to_string(format!("/proc/{process}/maps"))?;
    // Some file systems show another device there than in a file's metadata.
    let is_of = |inode: u64| files.iter().any(|file| file.1 == inode);
    let shared = maps.lines().filter(|line| {
        line.split_whitespace()
            .nth(1)
            .is_some_and(|rights| rights.ends_with('s'))
    });
    let mut mapped = shared.filter_map(mapping);
    Ok(mapped.any(|(_, _, inode, _)| is_of(inode)))
}

fn is_gone(error: &io::Error) -> bool {
    // ESRCH: the process ended between opening a file of its directory and reading it.
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use super::super::write_watch::identity;
    use super::*;

    #[test]
    fn a_file_that_a_child_can_write_to_is_held_until_the_child_ends() {
        let scratch = tempfile::tempdir().expect("a directory");
        let [held, other] = ["held", "other"].map(|name| scratch.path().join(name));
        File::create(&other).expect("a file");
        let file = File::create(&held).expect("a file");
        let mut child = Command::new("sleep")
            .arg("60")
            .stdout(file)
            .stdin(File::open(&other).expect("it is there"))
            .spawn()
            .expect("sleep is everywhere");
        let [held, other] = [held, other].map(|path| identity(&path).expect("it is there"));
        assert!(hold_any(&[other, held]));
        assert!(!hold_any(&[other]));
        child.kill().and_then(|()| child.wait()).expect("it ends");
        assert!(!hold_any(&[other, held]));
    }
}
