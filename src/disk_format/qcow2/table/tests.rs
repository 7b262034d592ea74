//! Unit tests of `table.rs`.

use std::os::unix::fs::FileExt;

use super::*;

/// Where the table lies, and its length, in bytes.
const PLACE: u64 = 1 << 20;
const LENGTH: u64 = 2 << 20;

fn image(entries: &[(u64, u64)], length: u64) -> (tempfile::TempDir, ImageBytes) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image");
    let file = std::fs::File::create(&path).unwrap();
    for (index, entry) in entries {
        file.write_all_at(&entry.to_be_bytes(), PLACE + index * 8)
            .unwrap();
    }
    file.set_len(length).unwrap();
    (directory, ImageBytes::open(&path).unwrap())
}

#[test]
fn entries_at_both_ends_beside_holes_and_across_pieces_are_found() {
    let last = LENGTH / 8 - 1;
    let expected = [(0, 1), (511, 2), (512, 3), (100_000, u64::MAX), (last, 5)];
    let (_directory, image) = image(&expected, PLACE + LENGTH);
    let table = Table::read(&image, "a table", PLACE, LENGTH).unwrap();
    assert_eq!(table.entries_in_use().collect::<Vec<_>>(), expected);
    assert!(
        table
            .pieces
            .iter()
            .map(|(_, bytes)| bytes.len())
            .sum::<usize>()
            < 1 << 20
    );
}

#[test]
fn what_lies_beyond_the_end_of_the_file_is_zeros_and_a_table_beyond_it_is_an_error() {
    let (_directory, image) = image(&[(3, 7)], PLACE + 30);
    let table = Table::read(&image, "a table", PLACE, LENGTH).unwrap();
    // Of the last entry the file has six bytes, all of them zeros.
    assert_eq!(table.entries_in_use().collect::<Vec<_>>(), []);
    let beyond = Table::read(&image, "a table", PLACE + 4096, LENGTH);
    assert!(beyond.is_err());
    let too_long = Table::read(&image, "a table", PLACE, 1 << 40);
    assert!(too_long.is_err());
}

#[test]
fn a_table_without_holes_is_the_same() {
    let entries: Vec<(u64, u64)> = (0..LENGTH / 8).map(|index| (index, index + 1)).collect();
    let (_directory, image) = image(&[], PLACE + LENGTH);
    let bytes: Vec<u8> = entries
        .iter()
        .flat_map(|(_, entry)| entry.to_be_bytes())
        .collect();
    image.file().write_all_at(&bytes, PLACE).unwrap();
    let table = Table::read(&image, "a table", PLACE, LENGTH).unwrap();
    assert!(table.entries_in_use().eq(entries));
}
