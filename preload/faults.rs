//! Faults: one of a tool's calls that change or read a file fails, is short, or ends the tool.
//!
//! The call to a fork server says which, in the environment variable [`MARK`]; without it, all calls go to the C library as they are.
//! `src/tool/request/fault.rs` writes what is read here. The calls by which a tool speaks and listens (`write`, `read`) are
//! left alone.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use crate::next::next;
use crate::reservation;

/// The beginning of the variable: then follow the call, its number from 1, and what comes of it, as in `write:3:eio`.
const MARK: &[u8] = b"IMGDUEL_FAULT=";

const EIO: c_int = 5;
const ENOSPC: c_int = 28;
const SIGKILL: c_int = 9;

unsafe extern "C" {
    fn raise(signal: c_int) -> c_int;
    fn __errno_location() -> *mut c_int;
}

/// The kinds of calls that can fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// None: what is stored where no fault is wanted.
    None = 0,
    /// Writing at a place.
    Write = 1,
    /// Flushing to the disk.
    Flush = 2,
    /// Reserving, freeing or zeroing space.
    Allocate = 3,
    /// Changing a file's length.
    Truncate = 4,
    /// Reading at a place.
    Read = 5,
}

/// What comes of the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Outcome {
    /// An input/output error.
    Io = 1,
    /// No space is left.
    Space = 2,
    /// Half of what is written or read is; any other call fails as by [`Outcome::Io`].
    Short = 3,
    /// The tool is killed before the call.
    Kill = 4,
}

static KIND: AtomicU8 = AtomicU8::new(0);
static OUTCOME: AtomicU8 = AtomicU8::new(0);
/// How many calls come before the one that fails; below zero, it was made.
static LEFT: AtomicI64 = AtomicI64::new(-1);

/// A wanted fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Which calls count.
    pub kind: Kind,
    /// How many of them come before.
    pub before: i64,
    /// What comes of it.
    pub outcome: Outcome,
}

/// Reads what stands behind [`MARK`].
pub fn read(text: &[u8]) -> Option<Fault> {
    let mut parts = text.split(|byte| *byte == b':');
    let kind = match parts.next()? {
        b"write" => Kind::Write,
        b"flush" => Kind::Flush,
        b"allocate" => Kind::Allocate,
        b"truncate" => Kind::Truncate,
        b"read" => Kind::Read,
        _ => return None,
    };
    let digits = parts.next()?;
    let mut number: i64 = 0;
    for digit in digits {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number = number.checked_mul(10)?.checked_add(i64::from(digit))?;
    }
    let outcome = match parts.next()? {
        b"eio" => Outcome::Io,
        b"enospc" => Outcome::Space,
        b"short" => Outcome::Short,
        b"kill" => Outcome::Kill,
        _ => return None,
    };
    Some(Fault {
        kind,
        before: number.checked_sub(1).filter(|before| *before >= 0)?,
        outcome,
    })
}

/// Takes the fault that the environment of a call asks for; none, if it asks for none.
///
/// # Safety
///
/// The list holds words, each ended by a zero byte, and is ended by a null pointer.
pub unsafe fn take(variables: *mut *mut c_char) {
    KIND.store(Kind::None as u8, Ordering::Relaxed);
    for index in 0.. {
        // SAFETY: nothing is read behind the null pointer.
        let word = unsafe { *variables.wrapping_add(index) };
        if word.is_null() {
            return;
        }
        // SAFETY: a word ends with a zero byte.
        let word = unsafe { CStr::from_ptr(word) }.to_bytes();
        if let Some(fault) = word.strip_prefix(MARK).and_then(read) {
            KIND.store(fault.kind as u8, Ordering::Relaxed);
            OUTCOME.store(fault.outcome as u8, Ordering::Relaxed);
            LEFT.store(fault.before, Ordering::Relaxed);
        }
    }
}

/// Whether a fault is wanted.
pub fn are_wanted() -> bool {
    KIND.load(Ordering::Relaxed) != Kind::None as u8
}

/// Counts a call of this kind. Returns what comes of it, if it is the one that fails.
pub fn strike(kind: Kind) -> Option<Outcome> {
    if KIND.load(Ordering::Relaxed) != kind as u8 || LEFT.fetch_sub(1, Ordering::Relaxed) != 0 {
        return None;
    }
    Some(match OUTCOME.load(Ordering::Relaxed) {
        1 => Outcome::Io,
        2 => Outcome::Space,
        3 => Outcome::Short,
        _ => {
            // SAFETY: it takes a number, and does not return for this signal.
            unsafe { raise(SIGKILL) };
            Outcome::Kill
        }
    })
}

/// Sets the error of a call that fails.
pub fn fail(outcome: Outcome) {
    let error = match outcome {
        Outcome::Space => ENOSPC,
        _ => EIO,
    };
    // SAFETY: it takes nothing.
    let place = unsafe { __errno_location() };
    // SAFETY: the C library gives a place that is there, and this thread's own.
    unsafe { *place = error };
}

/// Functions in place of the C library's: those that are counted as a kind, with their arguments and what they return, what is done before them
/// (or, if that gives something, in place of them), and what a short one is.
macro_rules! counted {
    ($($name:ident as $kind:ident ($($argument:ident: $type:ty),*) -> $result:ty, $(before $before:expr,)? short $short:expr;)*) => {
        $(
            #[doc = "In place of the C library's; see [`strike`]."]
            ///
            /// # Safety
            ///
            /// As of the C library's function.
            #[cfg_attr(standalone, unsafe(no_mangle))]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                type Real = unsafe extern "C" fn($($type),*) -> $result;
                let Some(real) = next!(stringify!($name), Real) else { return -1 };
                let shorten: fn(Real, $($type),*) -> Option<$result> = $short;
                let before: &[fn($($type),*) -> Option<$result>] = &[$($before)?];
                match strike(Kind::$kind) {
                    None => match before.iter().find_map(|before| before($($argument),*)) {
                        Some(done) => done,
                        // SAFETY: the caller gives what the C library's function takes.
                        None => unsafe { real($($argument),*) },
                    },
                    Some(Outcome::Short) => {
                        shorten(real, $($argument),*).unwrap_or_else(|| {
                            fail(Outcome::Io);
                            -1
                        })
                    }
                    Some(outcome) => {
                        fail(outcome);
                        -1
                    }
                }
            }
        )*
    };
}

counted! {
    pwrite as Write (descriptor: c_int, bytes: *const c_void, length: usize, offset: i64) -> isize,
        // SAFETY: half of what the caller gives is there as well.
        short |real, descriptor, bytes, length, offset| Some(unsafe { real(descriptor, bytes, length.div_ceil(2), offset) });
    pwrite64 as Write (descriptor: c_int, bytes: *const c_void, length: usize, offset: i64) -> isize,
        // SAFETY: half of what the caller gives is there as well.
        short |real, descriptor, bytes, length, offset| Some(unsafe { real(descriptor, bytes, length.div_ceil(2), offset) });
    pwritev as Write (descriptor: c_int, buffers: *const c_void, count: c_int, offset: i64) -> isize,
        short |_, _, _, _, _| None;
    pwritev64 as Write (descriptor: c_int, buffers: *const c_void, count: c_int, offset: i64) -> isize,
        short |_, _, _, _, _| None;
    pread as Read (descriptor: c_int, bytes: *mut c_void, length: usize, offset: i64) -> isize,
        // SAFETY: the caller's room has half of that, too.
        short |real, descriptor, bytes, length, offset| Some(unsafe { real(descriptor, bytes, length.div_ceil(2), offset) });
    pread64 as Read (descriptor: c_int, bytes: *mut c_void, length: usize, offset: i64) -> isize,
        // SAFETY: the caller's room has half of that, too.
        short |real, descriptor, bytes, length, offset| Some(unsafe { real(descriptor, bytes, length.div_ceil(2), offset) });
    preadv as Read (descriptor: c_int, buffers: *const c_void, count: c_int, offset: i64) -> isize,
        short |_, _, _, _, _| None;
    preadv64 as Read (descriptor: c_int, buffers: *const c_void, count: c_int, offset: i64) -> isize,
        short |_, _, _, _, _| None;
    fallocate as Allocate (descriptor: c_int, mode: c_int, offset: i64, length: i64) -> c_int,
        before |descriptor, mode, offset, length| reservation::put_off(descriptor, mode, offset, length).then_some(0),
        short |_, _, _, _, _| None;
    fallocate64 as Allocate (descriptor: c_int, mode: c_int, offset: i64, length: i64) -> c_int,
        before |descriptor, mode, offset, length| reservation::put_off(descriptor, mode, offset, length).then_some(0),
        short |_, _, _, _, _| None;
    ftruncate as Truncate (descriptor: c_int, length: i64) -> c_int, before |descriptor, length| {
            reservation::before_truncation(descriptor, length);
            None
        }, short |_, _, _| None;
    ftruncate64 as Truncate (descriptor: c_int, length: i64) -> c_int, before |descriptor, length| {
            reservation::before_truncation(descriptor, length);
            None
        }, short |_, _, _| None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_as_it_was_meant() {
        let fault = read(b"write:3:eio");
        let expected = Fault {
            kind: Kind::Write,
            before: 2,
            outcome: Outcome::Io,
        };
        assert_eq!(fault, Some(expected));
        for wrong in [
            &b"write:0:eio"[..],
            b"seek:1:eio",
            b"write:x:eio",
            b"write:1",
            b"",
        ] {
            assert_eq!(read(wrong), None);
        }
    }
}
