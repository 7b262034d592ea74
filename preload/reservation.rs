//! Space that a tool reserves behind the end of a file, taken when it is known how much of it stays.
//!
//! A writer of the Parallels format reserves 128 MiB for each first write (QEMU, block/parallels.c, `prealloc-size`) and cuts the file where its
//! data end when it closes it. In memory, where scratch directories lie, the kernel takes and gives back 32,768 pages for that, which costs more
//! than thirty short calls. Here a large reservation makes the file longer at first, and the space is taken when the tool cuts the file (what stays of
//! it), changes its space in another way, closes it or ends: then the file takes the same space, and has the same holes, as by the real call. What is
//! read there meanwhile is zeros in either case. Only in calls whose threads share the first one, so that nothing comes in between, and only while
//! there is enough space. A tool that is killed leaves the space untaken, and one that asks for the space of its own file meanwhile (fstat(2)) is
//! told less.

use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, AtomicI64, AtomicUsize, Ordering};

use crate::next::next;

/// The least length of a reservation that is put off, in bytes.
pub const LEAST_BYTES: i64 = 16 << 20;

/// The greatest length of one, in bytes: what is larger may well be refused.
const MOST_BYTES: i64 = 1 << 30;

const NONE: c_int = -1;
const SEEK_SET: c_int = 0;
const SEEK_CUR: c_int = 1;
const SEEK_END: c_int = 2;

/// The numbers of a `struct statfs` (statfs(2)), and where the size of a block, all blocks and the free ones are in it.
const STATFS_NUMBERS: usize = 16;
const BLOCK_BYTES: usize = 1;
const BLOCKS: usize = 2;
const FREE_BLOCKS: usize = 4;

type Allocate = unsafe extern "C" fn(c_int, c_int, i64, i64) -> c_int;
type Truncate = unsafe extern "C" fn(c_int, i64) -> c_int;

unsafe extern "C" {
    fn lseek64(descriptor: c_int, offset: i64, from: c_int) -> i64;
    fn fstatfs64(descriptor: c_int, found: *mut [u64; STATFS_NUMBERS]) -> c_int;
    fn pthread_self() -> usize;
    fn __errno_location() -> *mut c_int;
}

/// The thread whose reservations may be put off, as pthread_self(3) names it; 0: none.
static ALLOWED: AtomicUsize = AtomicUsize::new(0);
/// The file that one was put off for, and which bytes of it.
static DESCRIPTOR: AtomicI32 = AtomicI32::new(NONE);
static START: AtomicI64 = AtomicI64::new(0);
static END: AtomicI64 = AtomicI64::new(0);

/// Says whether reservations of this thread may be put off. No other thread may use the file that it has reserved something for.
pub fn allow(is_allowed: bool) {
    let allowed = if is_allowed { own() } else { 0 };
    ALLOWED.store(allowed, Ordering::Relaxed);
}

/// The number of the thread that runs.
fn own() -> usize {
    // SAFETY: it takes nothing.
    unsafe { pthread_self() }
}

/// Puts a reservation off. False if it has to be made.
pub fn put_off(descriptor: c_int, mode: c_int, start: i64, length: i64) -> bool {
    take_if(descriptor);
    let is_large = mode == 0 && (LEAST_BYTES..=MOST_BYTES).contains(&length);
    if !is_large || ALLOWED.load(Ordering::Relaxed) != own() {
        return false;
    }
    let (Some(end), NONE) = (
        start.checked_add(length),
        DESCRIPTOR.load(Ordering::Relaxed),
    ) else {
        return false;
    };
    keeping_the_error(|| {
        if !is_behind_the_end(descriptor, start)
            || !has_space(descriptor, length)
            || !lengthen(descriptor, end)
        {
            return false;
        }
        START.store(start, Ordering::Relaxed);
        END.store(end, Ordering::Relaxed);
        DESCRIPTOR.store(descriptor, Ordering::Relaxed);
        true
    })
}

/// The file is cut or made longer: what stays of a reservation is made.
pub fn before_truncation(descriptor: c_int, length: i64) {
    if DESCRIPTOR.load(Ordering::Relaxed) == descriptor {
        take_until(length);
    }
}

/// Makes the reservation that was put off for this file.
pub fn take_if(descriptor: c_int) {
    if DESCRIPTOR.load(Ordering::Relaxed) == descriptor {
        take();
    }
}

/// Makes the reservation that was put off, if there is one.
pub fn take() {
    take_until(i64::MAX);
}

/// Makes the reservation that was put off, as far as it lies before `limit`.
fn take_until(limit: i64) {
    let descriptor = DESCRIPTOR.swap(NONE, Ordering::Relaxed);
    let start = START.load(Ordering::Relaxed);
    let end = END.load(Ordering::Relaxed).min(limit);
    if descriptor == NONE || end <= start {
        return;
    }
    if let Some(allocate) = next!("fallocate64", Allocate) {
        keeping_the_error(|| {
            // SAFETY: it takes numbers.
            unsafe { allocate(descriptor, 0, start, end - start) };
        });
    }
}

/// Does something of which the tool is to know nothing.
fn keeping_the_error<Done>(work: impl FnOnce() -> Done) -> Done {
    // SAFETY: it takes nothing.
    let place = unsafe { __errno_location() };
    // SAFETY: the C library gives a place that is there, and this thread's own.
    let error = unsafe { *place };
    let done = work();
    // SAFETY: as above.
    unsafe { *place = error };
    done
}

/// Whether nothing of the file lies at this place or behind it. Its own offset stays.
fn is_behind_the_end(descriptor: c_int, start: i64) -> bool {
    // SAFETY: it takes numbers, here and below.
    let seek = |offset, from| unsafe { lseek64(descriptor, offset, from) };
    let offset = seek(0, SEEK_CUR);
    if offset < 0 {
        return false;
    }
    let length = seek(0, SEEK_END);
    seek(offset, SEEK_SET) == offset && (0..=start).contains(&length)
}

fn has_space(descriptor: c_int, length: i64) -> bool {
    let mut found = [0; STATFS_NUMBERS];
    // SAFETY: the structure has fifteen numbers of eight bytes (bits/statfs.h).
    let failed = unsafe { fstatfs64(descriptor, &raw mut found) } != 0;
    // Memory without a limit has no number of blocks (tmpfs(5)).
    let free = match found[BLOCKS] {
        0 => u64::MAX,
        _ => found[BLOCK_BYTES].saturating_mul(found[FREE_BLOCKS]),
    };
    !failed && u64::try_from(length).is_ok_and(|length| length <= free)
}

fn lengthen(descriptor: c_int, end: i64) -> bool {
    match next!("ftruncate64", Truncate) {
        // SAFETY: it takes numbers.
        Some(truncate) => unsafe { truncate(descriptor, end) == 0 },
        None => false,
    }
}

/// In place of the C library's function of this name.
///
/// # Safety
///
/// As of the C library's function.
#[cfg_attr(standalone, unsafe(no_mangle))]
pub unsafe extern "C" fn close(descriptor: c_int) -> c_int {
    type Close = unsafe extern "C" fn(c_int) -> c_int;
    take_if(descriptor);
    match next!("close", Close) {
        // SAFETY: the caller gives what the C library's function takes.
        Some(real) => unsafe { real(descriptor) },
        None => -1,
    }
}

#[cfg(test)]
mod tests;
