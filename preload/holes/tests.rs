//! Unit tests of `holes.rs`.

use super::*;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};

fn file() -> File {
    let place =
        std::env::temp_dir().join(format!("imgduel-holes-{:?}", std::thread::current().id()));
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).open(&place);
    std::fs::remove_file(&place).unwrap();
    file.unwrap()
}

fn written(file: &File, bytes: &[u8], offset: i64) -> isize {
    let buffer = IoVec {
        base: bytes.as_ptr().cast_mut(),
        length: bytes.len(),
    };
    // SAFETY: there is one buffer, and nobody writes to it.
    unsafe { pwritev(file.as_raw_fd(), &buffer, 1, offset) }
}

fn read_back(file: &File, length: usize, offset: i64) -> Vec<u8> {
    let mut bytes = vec![9; length];
    let buffer = IoVec {
        base: bytes.as_mut_ptr(),
        length,
    };
    // SAFETY: there is one buffer.
    let read = unsafe { preadv(file.as_raw_fd(), &buffer, 1, offset) };
    bytes.truncate(read as usize);
    bytes
}

/// Zeros but for the bytes at these places.
fn table(length: usize, places: &[usize]) -> Vec<u8> {
    let mut bytes = vec![0; length];
    places.iter().for_each(|place| bytes[*place] = 7);
    bytes
}

#[test]
fn long_zeros_become_holes_and_all_reads_as_it_was_written() {
    let mut file = file();
    // Data that was there before does not show through, and what lies beside it stays.
    file.write_all_at(&[3; 3 << 20], 0).unwrap();
    let bytes = table(2 << 20, &[0, 5000, 1 << 20, (2 << 20) - 1]);
    assert_eq!(written(&file, &bytes, 1000), 2 << 20);
    let mut expected = vec![3; 3 << 20];
    expected[1000..1000 + bytes.len()].copy_from_slice(&bytes);
    let mut plain = vec![0; 3 << 20];
    file.read_exact_at(&mut plain, 0).unwrap();
    assert!(plain == expected);
    assert!(read_back(&file, 3 << 20, 0) == expected);
    assert!(file.metadata().unwrap().blocks() * 512 < 2 << 20);
    // Where the file stood, it stands.
    file.seek(SeekFrom::Start(999)).unwrap();
    assert!(read_back(&file, 1 << 20, 77) == expected[77..(1 << 20) + 77]);
    let mut two = [0; 2];
    file.read_exact(&mut two).unwrap();
    assert_eq!(two, [3, 7]);
}

#[test]
fn a_file_grows_by_zeros_and_a_read_ends_with_it() {
    let file = file();
    let bytes = vec![0; 1 << 20];
    assert_eq!(written(&file, &bytes, 4096), 1 << 20);
    assert_eq!(file.metadata().unwrap().len(), (1 << 20) + 4096);
    assert_eq!(file.metadata().unwrap().blocks(), 0);
    assert!(read_back(&file, 2 << 20, 0) == vec![0; (1 << 20) + 4096]);
    assert!(read_back(&file, 1 << 20, 4 << 20).is_empty());
    // What is full is written as it is.
    assert_eq!(written(&file, &vec![1; 100_000], 0), 100_000);
    assert!(read_back(&file, 100_000, 0) == vec![1; 100_000]);
}

#[test]
fn what_cannot_be_done_is_an_error_as_without_it() {
    let read_only = File::open("/dev/null").unwrap();
    assert_eq!(written(&read_only, &[0; LONG_BYTES], 0), -1);
    assert!(read_back(&read_only, LONG_BYTES, 0).is_empty());
}
