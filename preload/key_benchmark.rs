//! QEMU's benchmark of key derivation, made short.
//!
//! For each key of LUKS, QEMU derives keys until that has taken this thread more than half a second of CPU time by getrusage(2), to learn how many
//! iterations fit into `encrypt.iter-time` (crypto/pbkdf.c, `qcrypto_pbkdf2_count_iters`). How many they are depends on the machine and its load.
//! Where a call wants it, a thread hears that its first attempt took very long, so QEMU takes the fewest iterations that it allows
//! (crypto/block-luks.c: 1000), and every later opening of the image is short as well. Figures of a whole process are not touched.

use core::ffi::{c_int, c_long};
use core::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::next::next;

/// `RUSAGE_THREAD` of getrusage(2).
const THREAD: c_int = 1;

/// Seconds by which a thread is older each time that it asks.
const STEP: i64 = 100_000;

static IS_SHORT: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicI64 = AtomicI64::new(0);

/// The beginning of `struct rusage`: the CPU time in the program.
#[repr(C)]
pub struct Usage {
    seconds: c_long,
    microseconds: c_long,
}

/// Makes benchmarks of this process short, or leaves them as they are.
pub fn shorten(is_short: bool) {
    IS_SHORT.store(is_short, Ordering::Relaxed);
}

/// In place of the C library's function of this name.
///
/// # Safety
///
/// As of getrusage(2).
#[cfg_attr(standalone, unsafe(no_mangle))]
pub unsafe extern "C" fn getrusage(whose: c_int, usage: *mut Usage) -> c_int {
    type GetUsage = unsafe extern "C" fn(c_int, *mut Usage) -> c_int;
    let Some(real) = next!("getrusage", GetUsage) else {
        return -1;
    };
    // SAFETY: the caller gives what the C library's function takes.
    let done = unsafe { real(whose, usage) };
    if done == 0 && whose == THREAD && IS_SHORT.load(Ordering::Relaxed) {
        let asked = ASKED.fetch_add(1, Ordering::Relaxed) + 1;
        // SAFETY: the C library's function has just written it.
        unsafe { (*usage).seconds += asked * STEP };
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct rusage` is two times and fourteen numbers.
    fn seconds(whose: c_int) -> i64 {
        let mut usage: [c_long; 18] = [0; 18];
        // SAFETY: there is room for all of it.
        let done = unsafe { getrusage(whose, usage.as_mut_ptr().cast()) };
        assert_eq!(done, 0);
        usage[0]
    }

    #[test]
    fn a_thread_grows_old_where_that_is_wanted_and_a_process_never() {
        let before = seconds(THREAD);
        shorten(true);
        let first = seconds(THREAD);
        let process = seconds(0);
        let second = seconds(THREAD);
        shorten(false);
        assert!(before < STEP && process < STEP && seconds(THREAD) < STEP);
        assert!(first >= STEP && second - first >= STEP);
    }
}
