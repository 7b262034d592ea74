//! The system's chance as it is for an embedded library: always the same.
//!
//! Compiled by `build.rs` into a shared object of its own and carried inside imgduel, whose workers preload it
//! (`src/process/chance.rs`). Rust's hash maps are laid out by it, and a library that writes in their order writes other bytes in each run.
//! It stands before the C library's function of this name, getrandom(3); what asks the kernel itself is not heard.

#![no_std]

use core::ffi::{c_uint, c_void};

/// What every byte is.
const BYTE: u8 = 7;

/// # Safety
///
/// As of getrandom(3): `buffer` has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, _flags: c_uint) -> isize {
    // SAFETY: that is the room that the caller tells of.
    unsafe { buffer.cast::<u8>().write_bytes(BYTE, length) };
    length as isize
}

/// Named by the unwind tables of the precompiled `core`; nothing here unwinds.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
