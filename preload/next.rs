//! The C library's functions behind those of the same names here.
//!
//! A preloaded library's function takes the place of the C library's, and goes on to it; each looks it up once, and a forked child has what its
//! parent has found. It decides nothing.

use core::ffi::{CStr, c_char, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

const RTLD_NEXT: *mut c_void = core::ptr::without_provenance_mut(usize::MAX);

/// The version of the C library from which on a condition is the one of today; names without an older one have none of it (x86-64 alone).
const CONDITIONS: &CStr = c"GLIBC_2.3.2";

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlvsym(handle: *mut c_void, name: *const c_char, version: *const c_char) -> *mut c_void;
}

/// Every function that has one here in its place.
const NAMES: [&CStr; 26] = [
    c"__libc_start_main",
    c"fsync",
    c"fdatasync",
    c"syncfs",
    c"sync_file_range",
    c"pwrite",
    c"pwrite64",
    c"pwritev",
    c"pwritev64",
    c"fallocate",
    c"fallocate64",
    c"ftruncate",
    c"ftruncate64",
    c"pread",
    c"pread64",
    c"preadv",
    c"preadv64",
    c"close",
    c"getrusage",
    c"pthread_create",
    c"pthread_mutex_lock",
    c"pthread_mutex_unlock",
    c"pthread_cond_wait",
    c"pthread_cond_timedwait",
    c"pthread_cond_signal",
    c"pthread_cond_broadcast",
];

/// Where the next library has each of them, in the order in which libraries are searched; null where that was not asked, or where there is none.
static FOUND: [AtomicPtr<c_void>; NAMES.len()] =
    [const { AtomicPtr::new(null_mut()) }; NAMES.len()];

/// Looks all of them up, so that no forked child has to.
pub fn find_all() {
    for place in 0..NAMES.len() {
        address(place);
    }
}

/// The place of a name in the list; does not compile if it has none.
pub const fn place_of(name: &str) -> usize {
    let mut place = 0;
    while place < NAMES.len() {
        if is_same(NAMES[place].to_bytes(), name.as_bytes()) {
            return place;
        }
        place += 1;
    }
    panic!("a function is not in the list")
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut index = 0;
    while index < one.len() && index < other.len() && one[index] == other[index] {
        index += 1;
    }
    index == one.len() && index == other.len()
}

/// The address of the function at a place; null where there is none.
pub fn address(place: usize) -> *mut c_void {
    let known = FOUND[place].load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    let name = NAMES[place];
    let mut found = null_mut();
    if name.to_bytes().starts_with(b"pthread_cond_") {
        // An older form of a condition would be another structure (nptl/old_pthread_cond_wait.c), and dlsym(3) may give that.
        // SAFETY: name and version end with a zero byte; the handle is one of dlvsym(3).
        found = unsafe { dlvsym(RTLD_NEXT, name.as_ptr(), CONDITIONS.as_ptr()) };
    }
    if found.is_null() {
        // SAFETY: the name ends with a zero byte; the handle is one of dlsym(3).
        found = unsafe { dlsym(RTLD_NEXT, name.as_ptr()) };
    }
    FOUND[place].store(found, Ordering::Relaxed);
    found
}

/// The C library's function of a name and a type; `None` where there is none.
macro_rules! next {
    ($name:expr, $type:ty) => {{
        const PLACE: usize = $crate::next::place_of($name);
        let address = $crate::next::address(PLACE);
        // SAFETY: the C library's function of this name is of this type, and a null pointer is none.
        unsafe { core::mem::transmute::<*mut core::ffi::c_void, Option<$type>>(address) }
    }};
}

pub(crate) use next;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_found_in_this_process() {
        find_all();
        for (name, found) in NAMES.iter().zip(&FOUND) {
            assert!(!found.load(Ordering::Relaxed).is_null(), "{name:?}");
        }
        assert_eq!(NAMES[place_of("getrusage")], c"getrusage");
    }
}
