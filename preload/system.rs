//! System calls without a C library, as safe functions where they can be that.
//!
//! Used by the zygote and the fork server. A function gives what the kernel gives: a negated error number, or the result. The numbers of the
//! calls are in `number.rs`; nothing here knows what a message or a tool is.

mod confinement;
mod descriptor;
mod number;
mod process;
mod socket;

use core::arch::asm;

pub use confinement::{
    Limit, Namespaces, filter, gain_nothing, give_up_rights, limit, part_from, restrict,
    see_all_read_only_but,
};
pub use descriptor::{
    change_directory, close, close_from, duplicate, first_is_ready, open_nothing_as,
    write_at_start, write_file,
};
pub use process::{
    Ended, adopt_orphans, await_end, end_descendants, execute, exit, fork_until_exec, kill_group,
    lead_group, lead_session, open_process, own_cpu, own_niceness, own_process, own_user_and_group,
    reap, sleep_milliseconds, take_name,
};
pub use socket::{receive, send};

const EINTR: isize = -4;
const AT_FDCWD: usize = -100_isize as usize;
const O_CLOEXEC: usize = 0o2000000;

/// Makes a system call: what it gives back is a negated error number, or its result.
///
/// # Safety
///
/// As of the call of this number: what an argument points at is there, and may be read or written as that call does.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel's convention (syscall(2)): it changes these registers alone, and memory as the caller knows.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") d, in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// As above.
///
/// # Safety
///
/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel's convention (syscall(2)): it changes this register alone, and memory as the caller knows.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b, in("x2") c, in("x3") d,
            in("x4") e, in("x5") f, options(nostack));
    }
    result
}
