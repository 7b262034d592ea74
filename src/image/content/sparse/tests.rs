//! Unit tests of `sparse.rs`.

use super::super::{Fill, Write};
use super::*;
use std::time::Instant;

fn raw_file(
    directory: &Path,
    name: &str,
    size: u64,
    pieces: &[(u64, &[u8])],
) -> std::path::PathBuf {
    let path = directory.join(name);
    File::create(&path).unwrap().set_len(size).unwrap();
    for (offset, bytes) in pieces {
        write_at(&path, *offset, bytes).unwrap();
    }
    path
}

fn are_same(first: &Path, second: &Path) -> bool {
    let [first, second] = [first, second].map(|path| open_regular(path).unwrap());
    same_bytes(&first, &second, &[]).unwrap()
}

#[test]
fn reading_a_raw_file_returns_what_was_written_into_it() {
    let scratch = tempfile::tempdir().unwrap();
    let path = raw_file(
        scratch.path(),
        "image",
        1 << 30,
        &[(8192, &[5; 512]), ((1 << 30) - 512, &[6; 512])],
    );
    let writes = [
        Write {
            offset: 8192,
            length: 512,
            fill: Fill::Byte(5),
        },
        Write {
            offset: (1 << 30) - 512,
            length: 512,
            fill: Fill::Byte(6),
        },
    ];
    assert_eq!(
        Contents::of_raw_file(&path).unwrap(),
        Contents::of_writes(1 << 30, &writes)
    );
}

#[test]
fn a_file_that_ends_inside_a_block_is_read_to_its_end() {
    let scratch = tempfile::tempdir().unwrap();
    let path = raw_file(scratch.path(), "image", 5000, &[(4999, &[1])]);
    let expected = Contents::of_writes(
        5000,
        &[Write {
            offset: 4999,
            length: 1,
            fill: Fill::Byte(1),
        }],
    );
    assert_eq!(Contents::of_raw_file(&path).unwrap(), expected);
}

#[test]
fn a_hole_equals_written_zeros_and_no_other_data() {
    let scratch = tempfile::tempdir().unwrap();
    let hole = raw_file(scratch.path(), "hole", 1 << 20, &[]);
    let zeros = raw_file(scratch.path(), "zeros", 1 << 20, &[(65536, &[0; 4096])]);
    let data = raw_file(scratch.path(), "data", 1 << 20, &[(65536, &[1; 1])]);
    assert!(are_same(&hole, &zeros));
    assert!(!are_same(&hole, &data));
    assert!(!are_same(&data, &hole));
}

#[test]
fn both_copies_of_one_pass_hold_the_returned_contents() {
    let scratch = tempfile::tempdir().unwrap();
    let pieces: [(u64, &[u8]); 3] = [(0, &[7; 100]), (65536, &[8; 9000]), (900_000, b"end")];
    let original = raw_file(scratch.path(), "original", 900_003, &pieces);
    let copies = ["one", "other"].map(|name| scratch.path().join(name));
    let contents = copy_sparse_to_each(&original, &[&copies[0], &copies[1]]).unwrap();
    for copy in &copies {
        assert!(are_same(&original, copy));
        assert_eq!(Contents::of_raw_file(copy).unwrap(), contents);
        let segments = |path: &Path| data_segments(&File::open(path).unwrap()).unwrap();
        assert_eq!(segments(copy), segments(&original));
    }
}

#[test]
fn a_copy_has_the_same_bytes_and_keeps_its_holes() {
    let scratch = tempfile::tempdir().unwrap();
    let original = raw_file(scratch.path(), "original", 1 << 40, &[(1 << 39, b"data")]);
    let copy = scratch.path().join("copy");
    let started = Instant::now();
    copy_sparse(&original, &copy).unwrap();
    assert!(are_same(&original, &copy));
    // The bound is generous: reading a terabyte of zeros would take far longer.
    assert!(started.elapsed().as_secs() < 60);
}
