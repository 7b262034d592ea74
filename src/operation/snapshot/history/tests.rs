//! Unit tests of `history.rs`.

use super::*;
use crate::image::content::Fill;

fn write(byte: u8) -> Write {
    Write {
        offset: 0,
        length: 512,
        fill: Fill::Byte(byte),
    }
}

/// Returns four snapshots: 1 "alpha" of byte 1, 2 "2" of byte 2, 3 "1" and 4 "alpha" of byte 3.
fn measured() -> History {
    let mut history = History::new(Vec::new());
    for (byte, names) in [(1, &["alpha"][..]), (2, &["2"]), (3, &["1", "alpha"])] {
        history.active.push(write(byte));
        names.iter().for_each(|name| history.create(name));
    }
    history
}

#[test]
fn applying_takes_an_id_before_a_name_as_qemu_img_10_0_2_does() {
    for (argument, byte) in [
        ("1", 1),
        ("2", 2),
        ("3", 3),
        ("4", 3),
        ("alpha", 1),
        ("5", 9),
    ] {
        let mut history = measured();
        history.active.push(write(9));
        history.apply(argument);
        assert_eq!(history.active.last(), Some(&write(byte)), "{argument}");
    }
}

#[test]
fn deleting_takes_only_a_name_and_of_equal_names_the_first() {
    for (argument, left) in [
        ("1", vec![1, 2, 4]),
        ("2", vec![1, 3, 4]),
        ("3", vec![1, 2, 3, 4]),
        ("alpha", vec![2, 3, 4]),
    ] {
        let mut history = measured();
        history.delete(argument);
        let ids: Vec<u64> = history.snapshots.iter().map(|taken| taken.id).collect();
        assert_eq!(ids, left, "{argument}");
    }
}

#[test]
fn a_new_id_is_the_highest_existing_id_plus_one() {
    let mut history = measured();
    history.delete("alpha");
    history.delete("alpha");
    history.create("beta");
    let ids: Vec<u64> = history.snapshots.iter().map(|taken| taken.id).collect();
    assert_eq!(ids, [2, 3, 4]);
}
