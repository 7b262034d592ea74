//! Removes a scratch directory, whatever a tool did in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Removes a scratch directory, whatever a tool did in it.
pub fn remove(directory: &Path) {
    if fs::remove_dir_all(directory).is_ok() {
        return;
    }
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    if !is_there(directory) {
        return;
    }
    // One directory after the other is moved up before it is removed, so that neither depth nor access rights matter.
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
    // What remains cannot be removed by this user.
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
    use std::fs::File;
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
}
