//! The system's random bytes as they are for an embedded library: always the same.
//!
//! A program of its own, which imgduel preloads into its workers (`src/process/entropy.rs`). Rust's hash maps are laid out by random keys, and a
//! library that writes in their order writes other bytes in each run. It stands before the C library's function of this name, getrandom(3);
//! what asks the kernel itself is not heard.

use core::ffi::{c_uint, c_void};

/// What every byte is.
const BYTE: u8 = 7;

/// # Safety
///
/// As of getrandom(3): `buffer` has room for `length` bytes.
#[cfg_attr(standalone, unsafe(no_mangle))]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, _flags: c_uint) -> isize {
    // SAFETY: that is the room that the caller tells of.
    unsafe { buffer.cast::<u8>().write_bytes(BYTE, length) };
    length as isize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_filled_and_nothing_beside_it() {
        let mut bytes = [0; 8];
        // SAFETY: four bytes behind the second are in the array.
        let given = unsafe { getrandom(bytes[2..].as_mut_ptr().cast(), 4, 0) };
        assert_eq!((given, bytes), (4, [0, 0, BYTE, BYTE, BYTE, BYTE, 0, 0]));
    }
}
