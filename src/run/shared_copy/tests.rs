//! Unit tests of `shared_copy.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::FileExt;

use super::*;

/// Lends the copy, and returns the directory, the file's inode and its path.
fn lent(
    copy: &mut SharedCopy<'_>,
    scratch: &tempfile::TempDir,
) -> (tempfile::TempDir, u64, PathBuf) {
    let directory = tempfile::tempdir_in(scratch.path()).unwrap();
    copy.lend(directory.path()).unwrap();
    let path = directory.path().join("disk.raw");
    (directory, fs::metadata(&path).unwrap().ino(), path)
}

fn original(scratch: &tempfile::TempDir) -> PathBuf {
    let original = scratch.path().join("disk.raw");
    fs::write(&original, [7; 4096]).unwrap();
    original
}

fn open_to_write(path: &Path) -> fs::File {
    fs::OpenOptions::new().write(true).open(path).unwrap()
}

#[test]
fn what_a_tool_changed_is_copied_anew_for_the_next_one() {
    let scratch = tempfile::tempdir().unwrap();
    let original = original(&scratch);
    let image = OutsideImage::find(&original).unwrap();
    let mut copy = SharedCopy::new(&image, scratch.path());
    let (_first, inode, _) = lent(&mut copy, &scratch);
    copy.returned();
    // One that changes nothing: the next has the same file.
    let (_second, same, path) = lent(&mut copy, &scratch);
    assert_eq!(inode, same);
    let file = open_to_write(&path);
    file.write_all_at(&[8], 100).unwrap();
    assert!(!copy.is_as_the_image().unwrap());
    // The clock of a file system ticks every few milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(20));
    file.write_all_at(&[9], 100).unwrap();
    copy.returned();
    let (_third, other, path) = lent(&mut copy, &scratch);
    assert_ne!(inode, other);
    assert_eq!(fs::read(path).unwrap(), [7; 4096]);
    assert!(copy.is_as_the_image().unwrap());
    assert_eq!(fs::read(original).unwrap(), [7; 4096]);
}

#[test]
fn a_file_that_a_tool_had_open_for_writing_is_copied_anew_whatever_its_times_say() {
    let scratch = tempfile::tempdir().unwrap();
    let image = OutsideImage::find(&original(&scratch)).unwrap();
    let mut copy = SharedCopy::new(&image, scratch.path());
    let (_first, inode, path) = lent(&mut copy, &scratch);
    let before = state(&path).unwrap();
    drop(open_to_write(&path));
    assert_eq!(state(&path).unwrap(), before);
    copy.returned();
    let (_second, other, _) = lent(&mut copy, &scratch);
    assert_ne!(inode, other);
}
