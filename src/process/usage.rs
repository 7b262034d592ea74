//! The resources of a call that neither the listing of its directory nor the memory of its processes shows.
//!
//! The watch samples it while a call takes long. Space: at any depth, in unreadable directories, and in files that are
//! open or mapped but have no name any more. Memory: in files without a name that live in memory (memfd_create(2)),
//! mapped or not. What only the kernel knows (for example a descriptor on its way through a socket) is not counted.

use std::collections::HashSet;
use std::ffi::CStr;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RawMode, chmod, major, minor, open, openat, statat,
};

/// The unit of st_blocks, whatever the file system's own is (stat(2)).
const BLOCK_BYTES: u64 = 512;

/// The maximum depth of nested directories. No tool needs as many, and each takes a descriptor here: anything deeper
/// counts as more than the limit.
const DEPTH_MAX: u32 = 256;

/// The resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// On the disk of the scratch directory, in bytes.
    pub(super) scratch_bytes: u64,
    /// In memory, in addition to what the processes have in use, in bytes.
    pub(super) memory_bytes: u64,
}

/// The device and inode of a file.
type Identity = (u64, u64);

/// Returns the resources of these processes and their scratch directory.
pub(super) fn measured_in(scratch: &Path, processes: &[u64]) -> Usage {
    let mut count = Count {
        device: fs::metadata(scratch).map_or(0, |found| found.dev()),
        ..Count::default()
    };
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(directory) = open(scratch, flags, Mode::empty()) {
        count.add_directory(directory, DEPTH_MAX);
    }
    // All descriptors come before all mappings, because the system reports the space of an open file.
    processes.iter().for_each(|id| count.add_descriptors(*id));
    processes.iter().for_each(|id| count.add_mappings(*id));
    let in_memory = count.memory_bytes;
    // Mapped memory that was touched is already in use by a process.
    let counted = match in_memory {
        0 => 0,
        _ => processes.iter().map(|id| shared_bytes(*id)).sum(),
    };
    Usage {
        scratch_bytes: count.scratch_bytes,
        memory_bytes: in_memory.saturating_sub(counted),
    }
}

#[derive(Default)]
struct Count {
    /// The device of the scratch directory.
    device: u64,
    scratch_bytes: u64,
    memory_bytes: u64,
    /// Files with several names, or none.
    seen: HashSet<Identity>,
}

impl Count {
    fn add_directory(&mut self, directory: OwnedFd, depth: u32) {
        let Ok(entries) = Dir::read_from(&directory) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            let Ok(found) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            let identity = (found.st_dev, found.st_ino);
            if !is_directory && found.st_nlink > 1 && !self.seen.insert(identity) {
                continue;
            }
            let bytes = found.st_blocks as u64 * BLOCK_BYTES;
            self.scratch_bytes = self.scratch_bytes.saturating_add(bytes);
            if is_directory && depth == 0 {
                self.scratch_bytes = u64::MAX;
            } else if is_directory {
                self.add_below(&directory, name, found.st_mode, depth - 1);
            }
        }
    }

    /// Counts a directory, even one whose access rights exclude its owner. The rights are changed while it is counted,
    /// because nothing in it can be examined otherwise, and restored afterwards.
    fn add_below(&mut self, directory: &OwnedFd, name: &CStr, mode: RawMode, depth: u32) {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The descriptor refers to the directory itself, whatever the tool puts in its place: rights are never changed
        // by name.
        let Ok(held) = openat(directory, name, flags | OFlags::PATH, Mode::empty()) else {
            return;
        };
        let itself = format!("/proc/self/fd/{}", held.as_raw_fd());
        let is_shut = !Mode::from_raw_mode(mode).contains(Mode::RUSR | Mode::XUSR);
        let change = |mode: Mode| is_shut && chmod(&itself, mode).is_ok();
        let is_open = change(Mode::RWXU) || !is_shut;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        if is_open && let Ok(below) = open(&itself, flags, Mode::empty()) {
            self.add_directory(below, depth);
        }
        change(Mode::from_raw_mode(mode));
    }

    /// Counts open files that have no name any more.
    fn add_descriptors(&mut self, process: u64) {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd"));
        for descriptor in descriptors.into_iter().flatten().flatten() {
            let path = descriptor.path();
            let Ok(found) = fs::metadata(&path) else {
                continue;
            };
            if !found.is_file() || found.nlink() > 0 {
                continue;
            }
            let bytes = found.blocks() * BLOCK_BYTES;
            let identity = (found.dev(), found.ino());
            if found.dev() == self.device {
                self.add_nameless(identity, bytes);
            } else if is_memfd(&path) {
                self.add_memory(identity, bytes);
            }
        }
    }

    /// Counts mapped files that have no name any more: by the length of the mappings, as nothing else is known.
    fn add_mappings(&mut self, process: u64) {
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
        for line in maps.lines().filter(|line| line.ends_with(" (deleted)")) {
            let Some((length, device, inode, name)) = mapping(line) else {
                continue;
            };
            if device == (major(self.device), minor(self.device)) {
                self.add_nameless((self.device, inode), length);
            } else if name.starts_with("/memfd:") && !self.seen.iter().any(|seen| seen.1 == inode) {
                self.add_memory((0, inode), length);
            }
        }
    }

    fn add_nameless(&mut self, identity: Identity, bytes: u64) {
        if self.seen.insert(identity) {
            self.scratch_bytes = self.scratch_bytes.saturating_add(bytes);
        }
    }

    fn add_memory(&mut self, identity: Identity, bytes: u64) {
        if self.seen.insert(identity) {
            self.memory_bytes = self.memory_bytes.saturating_add(bytes);
        }
    }
}

/// The link reads "/memfd:NAME (deleted)".
fn is_memfd(descriptor: &Path) -> bool {
    fs::read_link(descriptor).is_ok_and(|name| name.to_string_lossy().starts_with("/memfd:"))
}

/// Parses a line of proc_pid_maps(5): length, device, inode and name.
pub(super) fn mapping(line: &str) -> Option<(u64, (u32, u32), u64, &str)> {
    let mut fields = line.split_whitespace();
    let (begin, end) = fields.next()?.split_once('-')?;
    let device = fields.nth(2)?;
    let inode = fields.next()?.parse().ok()?;
    let hexadecimal = |text: &str| u64::from_str_radix(text, 16).ok();
    let (major, minor) = device.split_once(':')?;
    let device = (hexadecimal(major)? as u32, hexadecimal(minor)? as u32);
    let length = hexadecimal(end)?.checked_sub(hexadecimal(begin)?)?;
    Some((length, device, inode, fields.next()?))
}

/// Returns the shared memory that a process has in use, in bytes.
fn shared_bytes(process: u64) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssShmem:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    kibibytes.unwrap_or(0_u64) * 1024
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const MEBIBYTE: usize = 1 << 20;

    fn own() -> [u64; 1] {
        [std::process::id().into()]
    }

    #[test]
    fn space_is_counted_wherever_it_is() {
        let scratch = tempfile::tempdir().expect("a directory");
        let deep = scratch.path().join("d/".repeat(40));
        fs::create_dir_all(&deep).expect("directories");
        fs::write(deep.join("file"), vec![1; MEBIBYTE]).expect("a file");
        fs::hard_link(deep.join("file"), scratch.path().join("again")).expect("a name");
        fs::set_permissions(&deep, fs::Permissions::from_mode(0o0)).expect("it is ours");
        let mut nameless = tempfile::tempfile_in(scratch.path()).expect("a file");
        nameless.write_all(&vec![1; MEBIBYTE]).expect("written");
        let found = measured_in(scratch.path(), &own()).scratch_bytes;
        let two = 2 * MEBIBYTE as u64;
        assert!((two..two + two / 4).contains(&found), "{found}");
        let mode = deep.metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0);
        drop(nameless);
        let left = measured_in(scratch.path(), &own()).scratch_bytes;
        assert!(left + MEBIBYTE as u64 <= found, "{left} of {found}");
    }

    #[test]
    fn what_lies_too_deep_to_be_counted_counts_as_too_much() {
        let scratch = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(scratch.path().join("d/".repeat(300))).expect("directories");
        assert_eq!(measured_in(scratch.path(), &own()).scratch_bytes, u64::MAX);
    }

    #[test]
    fn a_line_of_mappings_is_understood() {
        let line = "7f00-9f00 rw-s 00000000 00:1a 77   /memfd:name (deleted)";
        assert_eq!(mapping(line), Some((0x2000, (0, 0x1a), 77, "/memfd:name")));
    }
}
