//! Tests of reservations that are put off: files are as those of the real calls.

use core::ffi::{c_char, c_int};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Mutex, PoisonError};

use super::{LEAST_BYTES, allow, close, put_off, take};
use crate::faults::{fallocate64, ftruncate64, pread64};

const MIB: i64 = 1 << 20;
const KEEP_SIZE_AND_PUNCH_HOLE: c_int = 3;
const SEEK_DATA: c_int = 3;
const SEEK_HOLE: c_int = 4;

/// One reservation is put off at a time.
static TURN: Mutex<()> = Mutex::new(());

unsafe extern "C" {
    fn memfd_create(name: *const c_char, flags: u32) -> c_int;
    fn lseek64(descriptor: c_int, offset: i64, from: c_int) -> i64;
}

/// What becomes of a reservation, in words and as done.
type Way<'work> = (&'static str, &'work dyn Fn(&File));

/// A file in memory that has some bytes.
fn file() -> File {
    // SAFETY: the name ends with a zero byte.
    let descriptor = unsafe { memfd_create(c"reservation".as_ptr(), 0) };
    // SAFETY: the descriptor is new and nobody else's.
    let file = unsafe { File::from_raw_fd(descriptor) };
    file.write_all_at(&[7; 5000], 0).expect("written");
    file
}

fn reserve(file: &File, start: i64, length: i64) {
    // SAFETY: it takes numbers.
    let done = unsafe { fallocate64(file.as_raw_fd(), 0, start, length) };
    assert_eq!(done, 0);
}

fn cut(file: &File, length: i64) {
    // SAFETY: it takes numbers.
    assert_eq!(unsafe { ftruncate64(file.as_raw_fd(), length) }, 0);
}

fn blocks(file: &File) -> u64 {
    file.metadata().expect("a file").blocks()
}

/// The length of a file, the blocks that it takes, and where its data and holes begin.
fn state(file: &File) -> (u64, u64, Vec<i64>) {
    let mut places = vec![0];
    for from in [SEEK_DATA, SEEK_HOLE].into_iter().cycle() {
        let last = *places.last().expect("one");
        // SAFETY: it takes numbers.
        let next = unsafe { lseek64(file.as_raw_fd(), last, from) };
        if next < 0 {
            break;
        }
        places.push(next);
    }
    (file.metadata().expect("a file").len(), blocks(file), places)
}

/// What a file is after this, with reservations put off and without.
fn both_ways(work: impl Fn(&File)) -> [(u64, u64, Vec<i64>); 2] {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    [true, false].map(|is_allowed| {
        let file = file();
        allow(is_allowed);
        work(&file);
        take();
        allow(false);
        state(&file)
    })
}

#[test]
fn files_take_the_same_space_whatever_becomes_of_a_reservation() {
    let write = |file: &File, at: i64| {
        file.write_all_at(&[9; 100], at as u64).expect("written");
    };
    let reserve_all = |file: &File| reserve(file, MIB, 64 * MIB);
    let ways: [Way<'_>; 9] = [
        ("cut behind what is written", &|file| {
            reserve_all(file);
            write(file, 2 * MIB + 7);
            cut(file, 3 * MIB);
        }),
        ("cut where it begins", &|file| {
            reserve_all(file);
            cut(file, MIB);
        }),
        ("cut before it begins", &|file| {
            reserve_all(file);
            cut(file, 100);
        }),
        ("left", &|file| {
            reserve_all(file);
            write(file, 2 * MIB);
        }),
        ("made longer", &|file| {
            reserve_all(file);
            cut(file, 80 * MIB);
        }),
        ("freed in part", &|file| {
            reserve_all(file);
            // SAFETY: it takes numbers.
            unsafe { fallocate64(file.as_raw_fd(), KEEP_SIZE_AND_PUNCH_HOLE, 2 * MIB, 3 * MIB) };
            cut(file, 10 * MIB);
        }),
        ("read inside", &|file| {
            reserve_all(file);
            let mut room = [1_u8; 100];
            let descriptor = file.as_raw_fd();
            // SAFETY: this much room is there.
            let read = unsafe { pread64(descriptor, room.as_mut_ptr().cast(), 100, 5 * MIB) };
            assert_eq!((read, room), (100, [0; 100]));
            cut(file, 10 * MIB);
        }),
        ("two of them", &|file| {
            reserve_all(file);
            reserve(file, 70 * MIB, 64 * MIB);
            cut(file, 90 * MIB);
        }),
        ("within the file", &|file| {
            cut(file, 100 * MIB);
            reserve_all(file);
            cut(file, 3 * MIB);
        }),
    ];
    for (what, way) in ways {
        let [put_off, made] = both_ways(way);
        assert_eq!(put_off, made, "{what}");
    }
}

#[test]
fn a_large_reservation_takes_no_space_before_it_is_known_what_stays() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let file = file();
    let before = blocks(&file);
    allow(true);
    reserve(&file, MIB, LEAST_BYTES);
    assert_eq!(blocks(&file), before);
    let length = file.metadata().expect("a file").len();
    assert_eq!(length, (MIB + LEAST_BYTES) as u64);
    take();
    assert_eq!(blocks(&file), before + LEAST_BYTES as u64 / 512);
    allow(false);
}

#[test]
fn what_is_small_or_lies_inside_the_file_or_has_no_room_is_reserved_at_once() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let file = file();
    let descriptor = file.as_raw_fd();
    assert!(!put_off(descriptor, 0, MIB, LEAST_BYTES));
    allow(true);
    assert!(!put_off(descriptor, 0, MIB, LEAST_BYTES - 1));
    assert!(!put_off(
        descriptor,
        KEEP_SIZE_AND_PUNCH_HOLE,
        MIB,
        LEAST_BYTES
    ));
    assert!(!put_off(descriptor, 0, 4999, LEAST_BYTES));
    assert!(!put_off(descriptor, 0, MIB, i64::MAX));
    assert!(!put_off(descriptor, 0, MIB, 1 << 60));
    let is_of_another_thread = std::thread::scope(|scope| {
        let other = scope.spawn(|| put_off(descriptor, 0, MIB, LEAST_BYTES));
        other.join().expect("ends")
    });
    assert!(!is_of_another_thread);
    allow(false);
}

#[test]
fn closing_a_file_takes_what_was_reserved() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let file = file();
    let other = file.try_clone().expect("another descriptor");
    allow(true);
    reserve(&file, MIB, LEAST_BYTES);
    // SAFETY: it is closed once, as the file has given it away.
    assert_eq!(unsafe { close(file.into_raw_fd()) }, 0);
    assert!(blocks(&other) >= LEAST_BYTES as u64 / 512);
    allow(false);
}
