//! Processes: their beginning, their end, and what they are.

use core::arch::asm;
use core::ffi::{CStr, c_char, c_int, c_void};

use super::descriptor::read_start;
use super::{EINTR, call, number};
use crate::decimal::numbers;

const ECHILD: isize = -10;
const SIGKILL: usize = 9;
const CLONE_VM: usize = 0x100;
const CLONE_VFORK: usize = 0x4000;
const SIGCHLD: usize = 17;
const CLOCK_PROCESS_CPUTIME_ID: usize = 2;
const PR_SET_NAME: usize = 15;
const PR_SET_CHILD_SUBREAPER: usize = 36;
const WNOHANG: usize = 1;
const P_PID: usize = 1;
const WEXITED: usize = 4;
const WNOWAIT: usize = 0x0100_0000;
const CLD_EXITED: c_int = 1;
const CLD_DUMPED: c_int = 3;

/// `struct timespec`, or `struct timeval`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Time {
    seconds: i64,
    /// Of a second, in the call's own unit.
    part: i64,
}

/// The beginning of `struct rusage` (getrusage(2)).
#[repr(C)]
#[derive(Default)]
struct ResourceUse {
    user: Time,
    system: Time,
    peak_kibibytes: i64,
    rest: [i64; 13],
}

/// The beginning of `siginfo_t`, as waitid(2) fills it in.
#[repr(C)]
#[derive(Default)]
struct ChildInfo {
    signal: c_int,
    error: c_int,
    code: c_int,
    padding: c_int,
    process: c_int,
    user: c_int,
    status: c_int,
    rest: [c_int; 25],
}

impl ChildInfo {
    /// The status as wait(2) would tell it.
    fn wait_status(&self) -> u32 {
        match self.code {
            CLD_EXITED => (self.status as u32 & 0xff) << 8,
            CLD_DUMPED => self.status as u32 | 0x80,
            _ => self.status as u32,
        }
    }
}

/// A child that has ended.
pub struct Ended {
    /// As wait(2) tells it.
    pub status: u32,
    /// CPU time of the child and of those it waited for.
    pub cpu_microseconds: u64,
    /// The most memory that it had at once.
    pub peak_kibibytes: u64,
}

/// Ends this process, without what a C library does at an end.
pub fn exit(code: c_int) -> ! {
    loop {
        // SAFETY: it takes a number.
        unsafe { call(number::EXIT_GROUP, [code as usize, 0, 0, 0, 0, 0]) };
    }
}

/// A system call that takes nothing but numbers.
fn call_with([first, second]: [usize; 2], number: usize) -> isize {
    // SAFETY: the callers below make calls that read and write no memory of this process.
    unsafe { call(number, [first, second, 0, 0, 0, 0]) }
}

/// The id of this process.
pub fn own_process() -> u64 {
    call_with([0; 2], number::GETPID) as u64
}

/// The user and the group that this process works as.
pub fn own_user_and_group() -> [u32; 2] {
    [number::GETEUID, number::GETEGID].map(|number| call_with([0; 2], number) as u32)
}

/// How nice this process is, from -20 to 19.
pub fn own_niceness() -> isize {
    // getpriority(2): the system call itself gives 20 less that.
    20 - call_with([0; 2], number::GETPRIORITY)
}

/// CPU time of this process in microseconds.
pub fn own_cpu() -> u64 {
    let mut time = Time::default();
    let arguments = [CLOCK_PROCESS_CPUTIME_ID, &raw mut time as usize, 0, 0, 0, 0];
    // SAFETY: clock_gettime(2) writes a time.
    unsafe { call(number::CLOCK_GETTIME, arguments) };
    time.seconds as u64 * 1_000_000 + time.part as u64 / 1000
}

/// Names this process, in at most 15 bytes.
pub fn take_name(name: &CStr) {
    // SAFETY: prctl(2) reads the name up to its zero byte.
    unsafe {
        call(
            number::PRCTL,
            [PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0, 0],
        )
    };
}

/// Does nothing for this long.
pub fn sleep_milliseconds(milliseconds: i64) {
    let time = Time {
        seconds: 0,
        part: milliseconds * 1_000_000,
    };
    // SAFETY: nanosleep(2) reads a time, and is told of no place for another.
    unsafe { call(number::NANOSLEEP, [&raw const time as usize, 0, 0, 0, 0, 0]) };
}

/// A child that shares this process's memory and does `side_run` with `argument` on a stack of its own; this process goes on when the child has
/// become another program, or has ended.
///
/// # Safety
///
/// Nobody else uses the stack, and `argument` is what `side_run` takes; both stay until this process goes on.
pub unsafe fn fork_until_exec(
    stack: &mut [u8],
    side_run: unsafe extern "C" fn(*const c_void) -> !,
    argument: *const c_void,
) -> isize {
    let flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
    // Both architectures want it at a multiple of 16.
    let top = stack.as_mut_ptr_range().end as usize & !15;
    let result;
    // SAFETY: clone(2). The child begins behind the system call with the registers of this process but for its stack, has nothing there
    // to return to, and does not return; this process finds its own registers and stack as they were.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "mov rdi, r12", "call r9", "ud2", "2:",
            inlateout("rax") number::CLONE as isize => result, in("rdi") flags, in("rsi") top, in("rdx") 0,
            in("r10") 0, in("r8") 0, in("r9") side_run, in("r12") argument, lateout("rcx") _, lateout("r11") _);
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", "cbnz x0, 2f", "mov x29, xzr", "mov x0, x10", "blr x9", "brk 1", "2:",
            in("x8") number::CLONE, inlateout("x0") flags as isize => result, in("x1") top, in("x2") 0,
            in("x3") 0, in("x4") 0, in("x9") side_run, in("x10") argument, lateout("x30") _);
    }
    result
}

/// Becomes another program. Returns only when that cannot be, with a negated error number.
///
/// # Safety
///
/// `program` is a word that ends with a zero byte; both lists hold such words, and are ended by a null pointer.
pub unsafe fn execute(
    program: *const c_char,
    arguments: *const *const c_char,
    variables: *const *const c_char,
) -> isize {
    let words = [
        program as usize,
        arguments as usize,
        variables as usize,
        0,
        0,
        0,
    ];
    // SAFETY: execve(2) reads a path and two lists of words.
    unsafe { call(number::EXECVE, words) }
}

/// A descriptor that can be read when this child has ended.
pub fn open_process(child: c_int) -> c_int {
    call_with([child as usize, 0], number::PIDFD_OPEN) as c_int
}

/// Waits for a child's end and leaves it to be reaped, so that its number stays its own; none when it is no child.
pub fn await_end(child: c_int) -> Option<Ended> {
    let mut info = ChildInfo::default();
    let mut used = ResourceUse::default();
    loop {
        let (info_at, used_at) = (&raw mut info as usize, &raw mut used as usize);
        let arguments = [
            P_PID,
            child as usize,
            info_at,
            WEXITED | WNOWAIT,
            used_at,
            0,
        ];
        // SAFETY: waitid(2) writes what it tells of the child, and the resources that it used.
        match unsafe { call(number::WAITID, arguments) } {
            EINTR => {}
            error if error < 0 => return None,
            _ => break,
        }
    }
    let microseconds = |time: Time| time.seconds as u64 * 1_000_000 + time.part as u64;
    Some(Ended {
        status: info.wait_status(),
        cpu_microseconds: microseconds(used.user) + microseconds(used.system),
        peak_kibibytes: used.peak_kibibytes as u64,
    })
}

/// Waits for this child, or for any where it is -1, and reaps it: its id, or a negated error number.
fn wait(child: c_int, flags: usize) -> isize {
    // SAFETY: wait4(2) is told of no place to write to.
    unsafe { call(number::WAIT4, [child as usize, 0, flags, 0, 0, 0]) }
}

/// Reaps a child, which has ended or is about to.
pub fn reap(child: c_int) {
    while wait(child, 0) == EINTR {}
}

/// Makes `process` the leader of a group of its own; 0: this process.
pub fn lead_group(process: c_int) {
    call_with([process as usize, process as usize], number::SETPGID);
}

/// A session of its own, which has no terminal; the leader of a group cannot have one.
pub fn lead_session() -> isize {
    call_with([0; 2], number::SETSID)
}

/// Becomes the parent of whatever its descendants leave behind.
pub fn adopt_orphans() -> isize {
    call_with([PR_SET_CHILD_SUBREAPER, 1], number::PRCTL)
}

/// Kills a group and its leader, which may have left it.
pub fn kill_group(leader: c_int) {
    for whom in [-(leader as isize), leader as isize] {
        call_with([whom as usize, SIGKILL], number::KILL);
    }
}

/// Kills and reaps every child, and what those leave behind, until there is none. Costs one system call where there is none.
pub fn end_descendants() {
    const TRIES: u32 = 2000;
    for _ in 0..TRIES {
        match wait(-1, WNOHANG) {
            ECHILD => return,
            0 => {
                kill_children();
                sleep_milliseconds(1);
            }
            _ => {}
        }
    }
}

/// Kills every child. Where /proc tells of none, they stay; one whose number is cut off comes again.
fn kill_children() {
    let mut room = [0; 4096];
    let children = read_start(c"/proc/thread-self/children", &mut room);
    for child in numbers(children).filter(|child| *child > 0) {
        call_with([child, SIGKILL], number::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_as_wait_tells_it() {
        let status = |code, status| {
            let info = ChildInfo {
                code,
                status,
                ..ChildInfo::default()
            };
            info.wait_status()
        };
        assert_eq!(status(CLD_EXITED, 3), 0x300);
        assert_eq!(status(CLD_EXITED, 0x1ff), 0xff00);
        assert_eq!(status(CLD_DUMPED, 6), 0x86);
        assert_eq!(status(2, 9), 9);
    }
}
