//! Holes in place of long zeros, in what a library writes and reads inside a case worker.
//!
//! A program of its own, which imgduel preloads into its case workers (`src/process/worker_libraries.rs`). A library that writes a table of 2 MiB
//! with one entry would have the file system take 512 pages, and read as many; nobody asks a case worker where its files have holes, only what is
//! in them. It stands before the C library's functions pwritev(2) and preadv(2), by which imago writes and reads. Whatever it cannot do goes to
//! these as it is.

use core::ffi::{c_int, c_void};

use crate::next::next;

/// Shorter calls go on as they are.
const LONG_BYTES: usize = 64 << 10;
/// In these units, zeros are looked for.
const BLOCK_BYTES: usize = 4096;
/// Zeros of this length become a hole.
const HOLE_BYTES: usize = 16 << 10;

const SEEK_SET: c_int = 0;
const SEEK_CUR: c_int = 1;
const SEEK_END: c_int = 2;
const SEEK_DATA: c_int = 3;
const SEEK_HOLE: c_int = 4;
const ENXIO: c_int = 6;
/// FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE.
const PUNCH: c_int = 1 | 2;

unsafe extern "C" {
    fn lseek64(file: c_int, offset: i64, from: c_int) -> i64;
    fn pread64(file: c_int, bytes: *mut c_void, length: usize, offset: i64) -> isize;
    fn pwrite64(file: c_int, bytes: *const c_void, length: usize, offset: i64) -> isize;
    fn fallocate64(file: c_int, mode: c_int, offset: i64, length: i64) -> c_int;
    fn ftruncate64(file: c_int, length: i64) -> c_int;
    fn __errno_location() -> *mut c_int;
}

/// A buffer, as of readv(2).
#[repr(C)]
pub struct IoVec {
    base: *mut u8,
    length: usize,
}

type Call = unsafe extern "C" fn(c_int, *const IoVec, c_int, i64) -> isize;

/// # Safety
///
/// As of pwritev(2): there are `count` buffers.
#[cfg_attr(all(standalone, target_pointer_width = "64"), unsafe(no_mangle))]
pub unsafe extern "C" fn pwritev(
    file: c_int,
    buffers: *const IoVec,
    count: c_int,
    offset: i64,
) -> isize {
    // SAFETY: the caller says that there are so many.
    if let Some(buffer) = unsafe { long_one(buffers, count) } {
        // SAFETY: the caller has filled it.
        let bytes = unsafe { core::slice::from_raw_parts(buffer.base, buffer.length) };
        if write(file, bytes, offset).is_some() {
            return buffer.length as isize;
        }
    }
    match next!("pwritev", Call) {
        // SAFETY: these are the caller's arguments.
        Some(next) => unsafe { next(file, buffers, count, offset) },
        None => -1,
    }
}

/// # Safety
///
/// As of preadv(2): there are `count` buffers.
#[cfg_attr(all(standalone, target_pointer_width = "64"), unsafe(no_mangle))]
pub unsafe extern "C" fn preadv(
    file: c_int,
    buffers: *const IoVec,
    count: c_int,
    offset: i64,
) -> isize {
    // SAFETY: the caller says that there are so many.
    let buffer = unsafe { long_one(buffers, count) };
    if let Some(read) = buffer.and_then(|buffer| read(file, &buffer, offset)) {
        return read as isize;
    }
    match next!("preadv", Call) {
        // SAFETY: these are the caller's arguments.
        Some(next) => unsafe { next(file, buffers, count, offset) },
        None => -1,
    }
}

/// The buffer, if it is the only one and long.
///
/// # Safety
///
/// There are `count` buffers.
unsafe fn long_one(buffers: *const IoVec, count: c_int) -> Option<IoVec> {
    if count != 1 {
        return None;
    }
    // SAFETY: there is one buffer.
    let buffer = unsafe { buffers.read() };
    (buffer.length >= LONG_BYTES).then_some(buffer)
}

/// Writes all, with holes. `None` if something failed: what was written by then is what should be there.
fn write(file: c_int, bytes: &[u8], offset: i64) -> Option<()> {
    let length = {
        let _kept = Position::in_file(file)?;
        seek(file, 0, SEEK_END)?
    };
    let end = offset.checked_add(bytes.len() as i64)?;
    if end > length {
        // SAFETY: it takes no pointer.
        let changed = unsafe { ftruncate64(file, end) };
        (changed == 0).then_some(())?;
    }
    let mut done = 0;
    while done < bytes.len() {
        let (is_hole, until) = run(bytes, done);
        let place = offset + done as i64;
        let part = &bytes[done..until];
        let is_done = match is_hole {
            // Nothing lies behind the old end.
            true if place >= length => true,
            // SAFETY: it takes no pointer.
            true => unsafe { fallocate64(file, PUNCH, place, part.len() as i64) == 0 },
            false => {
                let base = part.as_ptr().cast();
                // SAFETY: the part has that length.
                let written = unsafe { pwrite64(file, base, part.len(), place) };
                written == part.len() as isize
            }
        };
        is_done.then_some(())?;
        done = until;
    }
    Some(())
}

/// Whether a hole begins at `start`, and where it or what is no hole ends.
fn run(bytes: &[u8], start: usize) -> (bool, usize) {
    let zeros = |from: usize| {
        let blocks = bytes[from..].chunks(BLOCK_BYTES);
        let zeros = blocks.take_while(|block| is_zero(block));
        zeros.map(<[u8]>::len).sum::<usize>()
    };
    let first = zeros(start);
    if first >= HOLE_BYTES {
        return (true, start + first);
    }
    let mut end = start + first;
    while end < bytes.len() {
        end = (end + BLOCK_BYTES).min(bytes.len());
        let next = zeros(end);
        if next >= HOLE_BYTES {
            break;
        }
        end += next;
    }
    (false, end)
}

fn is_zero(block: &[u8]) -> bool {
    *block == [0; BLOCK_BYTES][..block.len()]
}

/// Reads what there is up to the buffer's length, and returns its length. `None` if something failed.
fn read(file: c_int, buffer: &IoVec, offset: i64) -> Option<usize> {
    let _kept = Position::in_file(file)?;
    let length = seek(file, 0, SEEK_END)?;
    let end = offset.checked_add(buffer.length as i64)?.min(length);
    let mut place = offset;
    while place < end {
        let data = match seek(file, place, SEEK_DATA) {
            Some(data) => data.min(end),
            None if error() == ENXIO => end,
            None => return None,
        };
        // SAFETY: `place` is at most the buffer's length behind `offset`.
        let to = unsafe { buffer.base.add((place - offset) as usize) };
        // SAFETY: `data` is too.
        unsafe { to.write_bytes(0, (data - place) as usize) };
        if data == end {
            break;
        }
        let hole = seek(file, data, SEEK_HOLE)?.min(end);
        // SAFETY: `data` is at most the buffer's length behind `offset`.
        let to = unsafe { buffer.base.add((data - offset) as usize) };
        // SAFETY: `hole` is too.
        let read = unsafe { pread64(file, to.cast(), (hole - data) as usize, data) };
        (read == (hole - data) as isize).then_some(())?;
        place = hole;
    }
    Some((end - offset).max(0) as usize)
}

/// Where the next read(2) of a file would begin: asking for holes changes it.
struct Position {
    file: c_int,
    offset: i64,
}

impl Position {
    fn in_file(file: c_int) -> Option<Self> {
        let offset = seek(file, 0, SEEK_CUR)?;
        Some(Self { file, offset })
    }
}

impl Drop for Position {
    fn drop(&mut self) {
        seek(self.file, self.offset, SEEK_SET);
    }
}

fn seek(file: c_int, offset: i64, from: c_int) -> Option<i64> {
    // SAFETY: it takes no pointer.
    let found = unsafe { lseek64(file, offset, from) };
    (found >= 0).then_some(found)
}

fn error() -> c_int {
    // SAFETY: it returns the place of this thread's number.
    let place = unsafe { __errno_location() };
    // SAFETY: the number is there as long as the thread.
    unsafe { *place }
}

#[cfg(test)]
mod tests;
