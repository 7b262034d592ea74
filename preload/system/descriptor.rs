//! Descriptors, small files, and the directory to work in.

use core::ffi::{CStr, c_int};

use super::{AT_FDCWD, EINTR, O_CLOEXEC, call, number};

const O_WRONLY: usize = 1;
const POLLIN: i16 = 1;

/// `struct pollfd` (poll(2)).
#[repr(C)]
struct PollEntry {
    descriptor: c_int,
    wanted: i16,
    found: i16,
}

/// Opens a file; a negated error number when that cannot be.
fn open(path: &CStr, flags: usize) -> isize {
    let arguments = [AT_FDCWD, path.as_ptr() as usize, O_CLOEXEC | flags, 0, 0, 0];
    // SAFETY: openat(2) reads the path up to its zero byte.
    unsafe { call(number::OPENAT, arguments) }
}

/// Writes at the beginning of a file.
pub fn write_at_start(descriptor: c_int, bytes: &[u8]) {
    let arguments = [
        descriptor as usize,
        bytes.as_ptr() as usize,
        bytes.len(),
        0,
        0,
        0,
    ];
    // SAFETY: pwrite(2) reads this many bytes.
    unsafe { call(number::PWRITE64, arguments) };
}

/// Writes a small file that is there.
pub fn write_file(path: &CStr, bytes: &[u8]) -> isize {
    let opened = open(path, O_WRONLY);
    if opened < 0 {
        return opened;
    }
    let arguments = [
        opened as usize,
        bytes.as_ptr() as usize,
        bytes.len(),
        0,
        0,
        0,
    ];
    // SAFETY: write(2) reads this many bytes.
    let written = unsafe { call(number::WRITE, arguments) };
    close(opened as c_int);
    written
}

/// Reads the beginning of a file: what there is room for.
pub fn read_start<'room>(path: &CStr, room: &'room mut [u8]) -> &'room [u8] {
    let opened = open(path, 0);
    if opened < 0 {
        return &[];
    }
    let arguments = [
        opened as usize,
        room.as_mut_ptr() as usize,
        room.len(),
        0,
        0,
        0,
    ];
    // SAFETY: read(2) writes at most this many bytes.
    let length = unsafe { call(number::READ, arguments) };
    close(opened as c_int);
    room.get(..length.max(0) as usize).unwrap_or_default()
}

/// Waits until one of two descriptors can be read; whether the first can. One that is none is passed over.
pub fn first_is_ready(first: c_int, second: c_int) -> bool {
    let entry = |descriptor| PollEntry {
        descriptor,
        wanted: POLLIN,
        found: 0,
    };
    let mut entries = [entry(first), entry(second)];
    loop {
        let arguments = [entries.as_mut_ptr() as usize, entries.len(), 0, 0, 0, 0];
        // SAFETY: ppoll(2) reads and writes this many entries; without a time or a set of signals.
        if unsafe { call(number::PPOLL, arguments) } != EINTR {
            return entries[0].found != 0;
        }
    }
}

/// Closes a descriptor; one that is none is passed over.
pub fn close(descriptor: c_int) {
    if descriptor >= 0 {
        // SAFETY: it takes a number; these programs hold descriptors as numbers alone.
        unsafe { call(number::CLOSE, [descriptor as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Closes every descriptor from this one on.
pub fn close_from(first: c_int) -> isize {
    // SAFETY: it takes numbers.
    unsafe {
        call(
            number::CLOSE_RANGE,
            [first as usize, u32::MAX as usize, 0, 0, 0, 0],
        )
    }
}

/// Makes `to` the same as `from`.
pub fn duplicate(from: c_int, to: c_int) -> isize {
    // SAFETY: it takes numbers.
    unsafe { call(number::DUP3, [from as usize, to as usize, 0, 0, 0, 0]) }
}

/// Opens /dev/null for reading, in place of what this descriptor was.
pub fn open_nothing_as(descriptor: c_int) -> isize {
    let opened = open(c"/dev/null", 0);
    if opened < 0 {
        return opened;
    }
    let done = duplicate(opened as c_int, descriptor);
    close(opened as c_int);
    done
}

/// Makes this the directory to work in.
pub fn change_directory(path: &CStr) -> isize {
    // SAFETY: chdir(2) reads the path up to its zero byte.
    unsafe { call(number::CHDIR, [path.as_ptr() as usize, 0, 0, 0, 0, 0]) }
}
