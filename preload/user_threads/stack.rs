//! Stacks of user threads, and the change from one to another.
//!
//! On x86-64; elsewhere there are none, and threads are the kernel's. It knows no thread.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;

/// Whether this machine's stacks can be changed here.
pub(super) const CAN_BE_CHANGED: bool = cfg!(target_arch = "x86_64");

/// The bytes of a stack. Workers of QEMU make system calls, compress and encrypt; their buffers are on the heap.
const BYTES: usize = 512 << 10;
/// The bytes at its low end that nobody may touch.
const GUARD_BYTES: usize = 16 << 10;

const PROT_NONE: c_int = 0;
const PROT_READ_WRITE: c_int = 3;
const MAP_PRIVATE_ANONYMOUS_NORESERVE: c_int = 0x4022;
const MAP_FAILED: *mut c_void = core::ptr::without_provenance_mut(usize::MAX);

/// The registers that a function keeps for its caller (System V ABI for x86-64, 3.2.1), without the stack's own.
const KEPT: usize = 6;

unsafe extern "C" {
    fn mmap(
        at: *mut c_void,
        bytes: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn mprotect(at: *mut c_void, bytes: usize, protection: c_int) -> c_int;
}

/// Makes a stack on which `begin` runs at the first change to it; `None` where the memory is not to be had.
pub(super) fn new(begin: extern "C" fn() -> !) -> Option<usize> {
    // SAFETY: memory of its own, wherever there is room.
    let low = unsafe {
        mmap(
            null_mut(),
            BYTES,
            PROT_READ_WRITE,
            MAP_PRIVATE_ANONYMOUS_NORESERVE,
            -1,
            0,
        )
    };
    // SAFETY: it is the low end of that memory.
    if low == MAP_FAILED || unsafe { mprotect(low, GUARD_BYTES, PROT_NONE) } != 0 {
        return None;
    }
    // A function finds the stack as after a call: eight bytes short of a multiple of sixteen, where its caller's address is.
    let top = low.cast::<usize>().wrapping_byte_add(BYTES);
    let begins_at = top.wrapping_sub(2);
    // SAFETY: the memory ends at `top`.
    unsafe { *begins_at = (begin as *const ()).expose_provenance() };
    Some(begins_at.wrapping_sub(KEPT).expose_provenance())
}

/// Puts the end of this stack into `from` and goes on where the stack that ends at `to` was left; returns when somebody changes back.
///
/// # Safety
///
/// `to` is what [`new`] gave, or what an earlier change has put into its `from`, and nobody has changed to it since.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn change(from: *mut usize, to: usize) {
    core::arch::naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    );
}

/// Never called: see [`CAN_BE_CHANGED`].
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn change(_from: *mut usize, _to: usize) {}
