//! Unit tests of `file_state.rs`.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;

#[test]
fn space_without_data_is_reserved_completely_partly_or_not_at_all() {
    const MIB: u64 = 1 << 20;
    let cases = [
        ((64 * MIB, MIB, MIB + 8192), Reserve::Nothing),
        ((64 * MIB, MIB, 64 * MIB + 8192), Reserve::Everything),
        ((64 * MIB, MIB, 20 * MIB), Reserve::Part),
        // Reserved space beyond the end.
        ((MIB, MIB, 20 * MIB), Reserve::Part),
        // A compressing file system.
        ((64 * MIB, 64 * MIB, 4096), Reserve::Nothing),
    ];
    for ((length, data, allocated), expected) in cases {
        assert_eq!(Reserve::from_sizes(length, data, allocated), expected);
    }
}

#[test]
fn a_changed_replaced_or_recreated_file_is_read_again() {
    let scratch = tempfile::tempdir().unwrap();
    let [path, other] = ["image", "other"].map(|name| scratch.path().join(name));
    let states = || FileState::of_all(scratch.path()).unwrap();
    fs::write(&path, "bytes").unwrap();
    let mut before = states();
    assert_eq!(states(), before);
    let changes: [&dyn Fn(); 5] = [
        // The new contents have the same length.
        &|| {
            let file = File::options().write(true).open(&path).unwrap();
            file.write_all_at(b"bits!", 0).unwrap();
        },
        &|| {
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(1 << 20)
                .unwrap()
        },
        &|| {
            fs::write(&other, "others").unwrap();
            fs::rename(&other, &path).unwrap();
        },
        // The new file may have the same inode.
        &|| {
            fs::remove_file(&path).unwrap();
            fs::write(&path, "another").unwrap();
        },
        &|| fs::remove_file(&path).unwrap(),
    ];
    for change in changes {
        change();
        let after = states();
        assert_ne!(after, before);
        before = after;
    }
}

#[test]
fn an_unwritten_file_is_unchanged_even_if_its_holes_are_reported_elsewhere() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("image");
    let file = File::create(&path).unwrap();
    file.set_len(16 * BLOCK_BYTES).unwrap();
    file.write_all_at(&[1; BLOCK_BYTES as usize], 4 * BLOCK_BYTES)
        .unwrap();
    let before = FileState::read_from(&path).unwrap();
    // The same bytes, with the zeros at the end written: the system may report reserved space so later.
    file.write_all_at(&[0; 2 * BLOCK_BYTES as usize], 5 * BLOCK_BYTES)
        .unwrap();
    let told_otherwise = FileState::read_from(&path).unwrap();
    let untouched = FileState {
        modified: before.modified,
        ..told_otherwise.clone()
    };
    assert_ne!(before, untouched);
    assert!(before.is_as_before(&before) && before.is_as_before(&untouched));
    let touched = FileState {
        modified: before
            .modified
            .map(|time| time + std::time::Duration::from_secs(1)),
        ..told_otherwise
    };
    assert!(!before.is_as_before(&touched));
    file.write_all_at(&[2], 0).unwrap();
    let changed = FileState {
        modified: before.modified,
        ..FileState::read_from(&path).unwrap()
    };
    assert!(!before.is_as_before(&changed));
}

#[test]
fn a_state_is_cached_until_somebody_may_have_written_to_the_file() {
    let scratch = tempfile::tempdir().unwrap();
    let [path, other] = ["image", "other"].map(|name| scratch.path().join(name));
    for path in [&path, &other] {
        fs::write(path, "bytes").unwrap();
    }
    let mut memory = Memory::default();
    let mut read_again = || {
        memory.forget_what_changed();
        let remembered = memory.files.len();
        for path in [&path, &other] {
            memory.state(path).unwrap();
        }
        remembered
    };
    assert_eq!([read_again(), read_again(), read_again()], [0, 2, 2]);
    drop(File::options().append(true).open(&path).unwrap());
    assert_eq!([read_again(), read_again()], [1, 2]);
    // The new file may have the same inode.
    fs::remove_file(&other).unwrap();
    fs::write(&other, "others").unwrap();
    assert_eq!([read_again(), read_again()], [1, 2]);
}
