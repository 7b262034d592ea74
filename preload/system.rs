//! System calls without a C library, and the numbers that go with them.
//!
//! Part of the programs of this directory. Where the number of a call is not known for an architecture, neither can be built, and
//! `build.rs` says so.

#![allow(dead_code, reason = "each of the two programs uses a part")]

use core::arch::asm;
use core::ffi::{c_char, c_int, c_void};

/// The numbers of the system calls (arch/x86/entry/syscalls/syscall_64.tbl).
#[cfg(target_arch = "x86_64")]
mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const PWRITE64: usize = 18;
    pub const NANOSLEEP: usize = 35;
    pub const GETPID: usize = 39;
    pub const SENDTO: usize = 44;
    pub const RECVMSG: usize = 47;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const CHDIR: usize = 80;
    pub const GETEUID: usize = 107;
    pub const GETEGID: usize = 108;
    pub const SETPGID: usize = 109;
    pub const SETSID: usize = 112;
    pub const CAPGET: usize = 125;
    pub const CAPSET: usize = 126;
    pub const GETPRIORITY: usize = 140;
    pub const PRCTL: usize = 157;
    pub const MOUNT: usize = 165;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXIT_GROUP: usize = 231;
    pub const WAITID: usize = 247;
    pub const OPENAT: usize = 257;
    pub const PPOLL: usize = 271;
    pub const UNSHARE: usize = 272;
    pub const DUP3: usize = 292;
    pub const PRLIMIT64: usize = 302;
}

/// The same in the generic table (include/uapi/asm-generic/unistd.h).
#[cfg(target_arch = "aarch64")]
mod number {
    pub const DUP3: usize = 24;
    pub const MOUNT: usize = 40;
    pub const CHDIR: usize = 49;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const PWRITE64: usize = 68;
    pub const PPOLL: usize = 73;
    pub const CAPGET: usize = 90;
    pub const CAPSET: usize = 91;
    pub const EXIT_GROUP: usize = 94;
    pub const WAITID: usize = 95;
    pub const UNSHARE: usize = 97;
    pub const NANOSLEEP: usize = 101;
    pub const CLOCK_GETTIME: usize = 113;
    pub const KILL: usize = 129;
    pub const GETPRIORITY: usize = 141;
    pub const SETPGID: usize = 154;
    pub const SETSID: usize = 157;
    pub const PRCTL: usize = 167;
    pub const GETPID: usize = 172;
    pub const GETEUID: usize = 175;
    pub const GETEGID: usize = 177;
    pub const SENDTO: usize = 206;
    pub const RECVMSG: usize = 212;
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    pub const WAIT4: usize = 260;
    pub const PRLIMIT64: usize = 261;
}

/// The same on every architecture.
const PIDFD_OPEN: usize = 434;
const CLOSE_RANGE: usize = 436;
const MOUNT_SETATTR: usize = 442;
const LANDLOCK_RESTRICT_SELF: usize = 446;

pub const EINTR: isize = -4;
const ECHILD: isize = -10;
pub const SIGKILL: c_int = 9;
const CLONE_VM: usize = 0x100;
const CLONE_VFORK: usize = 0x4000;
const O_CLOEXEC: usize = 0o2000000;
const O_WRONLY: usize = 1;
const AT_FDCWD: isize = -100;
const SIGCHLD: usize = 17;
const CLOCK_PROCESS_CPUTIME_ID: usize = 2;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const PR_SET_NAME: usize = 15;
const PR_SET_SECCOMP: usize = 22;
const PR_CAPBSET_DROP: usize = 24;
const PR_SET_CHILD_SUBREAPER: usize = 36;
const PR_SET_NO_NEW_PRIVS: usize = 38;
const PR_CAP_AMBIENT: usize = 47;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
const SECCOMP_MODE_FILTER: usize = 2;
/// `_LINUX_CAPABILITY_VERSION_3`, and more capabilities than there are.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const CAPABILITIES: usize = 64;
const WNOHANG: usize = 1;
const MS_BIND: usize = 0x1000;
const MS_REC: usize = 0x4000;
const MS_PRIVATE: usize = 0x4_0000;
const AT_RECURSIVE: usize = 0x8000;
const MOUNT_ATTR_RDONLY: u64 = 1;
const POLLIN: i16 = 1;
const P_PID: usize = 1;
const WEXITED: usize = 4;
const WNOWAIT: usize = 0x0100_0000;
const CLD_EXITED: c_int = 1;
const CLD_DUMPED: c_int = 3;

/// What a system call gives back: a negated error number, or what it is to give.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result;
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") d, in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result;
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b, in("x2") c, in("x3") d,
            in("x4") e, in("x5") f, options(nostack));
    }
    result
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Time {
    seconds: i64,
    /// Of a second, in the call's own unit.
    part: i64,
}

/// The beginning of `struct rusage`.
#[repr(C)]
struct ResourceUse {
    user: Time,
    system: Time,
    peak_kibibytes: i64,
    rest: [i64; 13],
}

/// The beginning of `siginfo_t`, as waitid(2) fills it in.
#[repr(C)]
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

#[repr(C)]
struct PollEntry {
    descriptor: c_int,
    wanted: i16,
    found: i16,
}

/// A child that has ended.
pub struct Ended {
    pub status: u32,
    pub cpu_microseconds: u64,
    pub peak_kibibytes: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
}

#[repr(C)]
pub struct IoVector {
    pub base: *mut c_void,
    pub length: usize,
}

#[repr(C)]
pub struct MessageHeader {
    pub name: *mut c_void,
    pub name_length: u32,
    pub vectors: *mut IoVector,
    pub vector_count: usize,
    pub control: *mut c_void,
    pub control_length: usize,
    pub flags: c_int,
}

pub fn exit(code: c_int) -> ! {
    loop {
        unsafe { call(number::EXIT_GROUP, [code as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Writes at the beginning of a file.
pub fn write_at_start(descriptor: c_int, numbers: &[u64]) {
    let length = size_of_val(numbers);
    let arguments = [descriptor as usize, numbers.as_ptr() as usize, length, 0, 0, 0];
    unsafe { call(number::PWRITE64, arguments) };
}

pub fn own_process() -> u64 {
    unsafe { call(number::GETPID, [0; 6]) as u64 }
}

/// A descriptor that can be read when this child has ended.
pub fn open_process(child: c_int) -> c_int {
    unsafe { call(PIDFD_OPEN, [child as usize, 0, 0, 0, 0, 0]) as c_int }
}

/// Waits until one of two descriptors can be read; whether the first can. One that is none is passed over.
pub fn first_is_ready(first: c_int, second: c_int) -> bool {
    let entry = |descriptor| PollEntry {
        descriptor,
        wanted: POLLIN,
        found: 0,
    };
    let mut entries = [entry(first), entry(second)];
    let arguments = [entries.as_mut_ptr() as usize, entries.len(), 0, 0, 0, 0];
    while unsafe { call(number::PPOLL, arguments) } == EINTR {}
    entries[0].found != 0
}

/// One that is none is passed over.
pub fn close(descriptor: c_int) {
    if descriptor >= 0 {
        unsafe { call(number::CLOSE, [descriptor as usize, 0, 0, 0, 0, 0]) };
    }
}

pub fn close_from(first: c_int) -> isize {
    unsafe { call(CLOSE_RANGE, [first as usize, u32::MAX as usize, 0, 0, 0, 0]) }
}

pub fn duplicate(from: c_int, to: c_int) -> isize {
    unsafe { call(number::DUP3, [from as usize, to as usize, 0, 0, 0, 0]) }
}

/// Opens /dev/null for reading, in place of what this descriptor was.
pub fn open_nothing_as(descriptor: c_int) -> isize {
    let path = c"/dev/null".as_ptr() as usize;
    let opened = unsafe { call(number::OPENAT, [AT_FDCWD as usize, path, O_CLOEXEC, 0, 0, 0]) };
    if opened < 0 {
        return opened;
    }
    let done = duplicate(opened as c_int, descriptor);
    close(opened as c_int);
    done
}

pub fn send(socket: c_int, numbers: &[u32]) -> bool {
    let length = size_of_val(numbers);
    let arguments = [socket as usize, numbers.as_ptr() as usize, length, MSG_NOSIGNAL, 0, 0];
    unsafe { call(number::SENDTO, arguments) == length as isize }
}

pub unsafe fn receive(socket: c_int, header: &mut MessageHeader) -> isize {
    let arguments = [socket as usize, &raw mut *header as usize, MSG_CMSG_CLOEXEC, 0, 0, 0];
    unsafe { call(number::RECVMSG, arguments) }
}

/// A child that shares this process's memory and does `deed` on a stack of its own; this process goes on when the child has become
/// another program, or has ended.
pub unsafe fn fork_until_exec(stack_top: usize, deed: unsafe extern "C" fn() -> !) -> isize {
    let flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
    let result;
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "call r9", "ud2", "2:",
            inlateout("rax") number::CLONE as isize => result, in("rdi") flags, in("rsi") stack_top, in("rdx") 0,
            in("r10") 0, in("r8") 0, in("r9") deed, lateout("rcx") _, lateout("r11") _);
    }
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", "cbnz x0, 2f", "mov x29, xzr", "blr x9", "brk 1", "2:",
            in("x8") number::CLONE, inlateout("x0") flags as isize => result, in("x1") stack_top, in("x2") 0,
            in("x3") 0, in("x4") 0, in("x9") deed, lateout("x30") _);
    }
    result
}

pub unsafe fn execute(
    program: *const c_char,
    arguments: *const *mut c_char,
    variables: *const *mut c_char,
) -> isize {
    let words = [program as usize, arguments as usize, variables as usize, 0, 0, 0];
    unsafe { call(number::EXECVE, words) }
}

/// Waits for a child's end and leaves it to be reaped, so that its number stays its own; none when it is no child.
pub fn await_end(child: c_int) -> Option<Ended> {
    let nothing = Time { seconds: 0, part: 0 };
    let mut info = ChildInfo {
        signal: 0,
        error: 0,
        code: 0,
        padding: 0,
        process: 0,
        user: 0,
        status: 0,
        rest: [0; 25],
    };
    let mut used = ResourceUse {
        user: nothing,
        system: nothing,
        peak_kibibytes: 0,
        rest: [0; 13],
    };
    let (info_at, used_at) = (&raw mut info as usize, &raw mut used as usize);
    let arguments = [P_PID, child as usize, info_at, WEXITED | WNOWAIT, used_at, 0];
    loop {
        match unsafe { call(number::WAITID, arguments) } {
            EINTR => {}
            error if error < 0 => return None,
            _ => break,
        }
    }
    let microseconds = |time: Time| time.seconds as u64 * 1_000_000 + time.part as u64;
    // As wait4(2) would tell it.
    let status = match info.code {
        CLD_EXITED => (info.status as u32 & 0xff) << 8,
        CLD_DUMPED => info.status as u32 | 0x80,
        _ => info.status as u32,
    };
    Some(Ended {
        status,
        cpu_microseconds: microseconds(used.user) + microseconds(used.system),
        peak_kibibytes: used.peak_kibibytes as u64,
    })
}

/// Reaps a child, which has ended or is about to.
pub fn reap(child: c_int) {
    while unsafe { call(number::WAIT4, [child as usize, 0, 0, 0, 0, 0]) } == EINTR {}
}

/// Kills a group and its leader, which may have left it.
pub fn kill_group(leader: c_int) {
    for whom in [-(leader as isize), leader as isize] {
        unsafe { call(number::KILL, [whom as usize, SIGKILL as usize, 0, 0, 0, 0]) };
    }
}

/// Makes `process` the leader of a group of its own; 0: this process.
pub fn lead_group(process: c_int) {
    unsafe { call(number::SETPGID, [process as usize, process as usize, 0, 0, 0, 0]) };
}

pub unsafe fn change_directory(path: *const c_char) -> isize {
    unsafe { call(number::CHDIR, [path as usize, 0, 0, 0, 0, 0]) }
}

/// Limits this process; where its limit is lower already and may not be raised, that one stays.
pub fn limit(resource: usize, wanted: Limit) -> isize {
    let mut found = wanted;
    let at = |limit: &Limit| &raw const *limit as usize;
    let ask = [0, resource, 0, &raw mut found as usize, 0, 0];
    let asked = unsafe { call(number::PRLIMIT64, ask) };
    if asked < 0 {
        return asked;
    }
    let hard = wanted.hard.min(found.hard);
    let limit = Limit {
        soft: wanted.soft.min(hard),
        hard,
    };
    unsafe { call(number::PRLIMIT64, [0, resource, at(&limit), 0, 0, 0]) }
}

/// Gives up ever gaining rights.
pub fn gain_nothing() -> isize {
    unsafe { call(number::PRCTL, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0]) }
}

/// Gives up ever gaining rights, and enters a Landlock ruleset for good.
pub fn restrict(ruleset: c_int) -> isize {
    let settled = gain_nothing();
    if settled < 0 {
        return settled;
    }
    unsafe { call(LANDLOCK_RESTRICT_SELF, [ruleset as usize, 0, 0, 0, 0, 0]) }
}

/// Enters a system-call filter for good: instructions of eight bytes each (`struct sock_filter`).
pub fn filter(instructions: &[u64]) -> isize {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const u64,
    }
    let program = Program {
        length: instructions.len() as u16,
        instructions: instructions.as_ptr(),
    };
    let arguments = [PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &raw const program as usize, 0, 0, 0];
    unsafe { call(number::PRCTL, arguments) }
}

/// Gives up every capability but those of `kept`, a bit for each, for good and for all that this process starts.
pub fn give_up_rights(kept: u64) -> isize {
    for capability in 0..CAPABILITIES {
        if kept & 1 << capability == 0 {
            // Refused to whoever may not, and of numbers that are none.
            unsafe { call(number::PRCTL, [PR_CAPBSET_DROP, capability, 0, 0, 0, 0]) };
        }
    }
    unsafe { call(number::PRCTL, [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0]) };
    let header = [CAPABILITY_VERSION, 0];
    // Effective, permitted, inheritable: of the lower 32, then of the upper.
    let mut sets = [0_u32; 6];
    let header = &raw const header as usize;
    let found = unsafe { call(number::CAPGET, [header, &raw mut sets as usize, 0, 0, 0, 0]) };
    if found < 0 {
        return found;
    }
    let may = [sets[1] & kept as u32, sets[4] & (kept >> 32) as u32];
    let sets = [may[0], may[0], 0, may[1], may[1], 0];
    unsafe { call(number::CAPSET, [header, &raw const sets as usize, 0, 0, 0, 0]) }
}

/// A session of its own, which has no terminal; the leader of a group cannot have one.
pub fn lead_session() -> isize {
    unsafe { call(number::SETSID, [0; 6]) }
}

/// How nice this process is, from -20 to 19.
pub fn own_niceness() -> isize {
    // getpriority(2): the system call itself gives 20 less that.
    20 - unsafe { call(number::GETPRIORITY, [0; 6]) }
}

/// Becomes the parent of whatever its descendants leave behind.
pub fn adopt_orphans() -> isize {
    unsafe { call(number::PRCTL, [PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0, 0]) }
}

/// Kills and reaps every child, and what those leave behind, until there is none. Costs one system call where there is none.
pub fn end_descendants() {
    const TRIES: u32 = 2000;
    for _ in 0..TRIES {
        match unsafe { call(number::WAIT4, [usize::MAX, 0, WNOHANG, 0, 0, 0]) } {
            ECHILD => return,
            0 => {
                kill_children();
                sleep_milliseconds(1);
            }
            _ => {}
        }
    }
}

/// Kills every child. Where /proc tells of none, they stay.
fn kill_children() {
    let path = c"/proc/thread-self/children".as_ptr() as usize;
    let opened = unsafe { call(number::OPENAT, [AT_FDCWD as usize, path, O_CLOEXEC, 0, 0, 0]) };
    if opened < 0 {
        return;
    }
    let mut text = [0_u8; 4096];
    let arguments = [opened as usize, text.as_mut_ptr() as usize, text.len(), 0, 0, 0];
    let length = unsafe { call(number::READ, arguments) }.max(0) as usize;
    close(opened as c_int);
    let mut child = 0_usize;
    // Each number ends with a blank; one that is cut off comes again.
    for byte in &text[..length.min(text.len())] {
        if byte.is_ascii_digit() {
            child = child * 10 + usize::from(byte - b'0');
        } else {
            if child > 0 {
                unsafe { call(number::KILL, [child, SIGKILL as usize, 0, 0, 0, 0]) };
            }
            child = 0;
        }
    }
}

/// The user and the group that this process works as.
pub fn own_user_and_group() -> [usize; 2] {
    [number::GETEUID, number::GETEGID].map(|number| unsafe { call(number, [0; 6]) as usize })
}

/// Moves this process to namespaces of its own.
pub fn part_from(namespaces: usize) -> isize {
    unsafe { call(number::UNSHARE, [namespaces, 0, 0, 0, 0, 0]) }
}

/// Writes a small file that is there.
pub fn write_file(path: &core::ffi::CStr, bytes: &[u8]) -> isize {
    let path = path.as_ptr() as usize;
    let flags = O_CLOEXEC | O_WRONLY;
    let opened = unsafe { call(number::OPENAT, [AT_FDCWD as usize, path, flags, 0, 0, 0]) };
    if opened < 0 {
        return opened;
    }
    let arguments = [opened as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0];
    let written = unsafe { call(number::WRITE, arguments) };
    close(opened as c_int);
    written
}

/// Makes all mounts of this namespace read-only but what lies at `place`, and lets none be seen outside.
pub unsafe fn see_all_read_only_but(place: *const c_char) -> isize {
    // `struct mount_attr`: what to set, what to clear, propagation, a user namespace.
    let set = [MOUNT_ATTR_RDONLY, 0, 0, 0];
    let clear = [0, MOUNT_ATTR_RDONLY, 0, 0];
    let (root, place) = (c"/".as_ptr() as usize, place as usize);
    let here = AT_FDCWD as usize;
    let steps = [
        (number::MOUNT, [root, root, 0, MS_REC | MS_PRIVATE, 0, 0]),
        (number::MOUNT, [place, place, 0, MS_REC | MS_BIND, 0, 0]),
        (MOUNT_SETATTR, [here, root, AT_RECURSIVE, set.as_ptr() as usize, size_of_val(&set), 0]),
        (MOUNT_SETATTR, [here, place, 0, clear.as_ptr() as usize, size_of_val(&clear), 0]),
    ];
    for (number, arguments) in steps {
        let done = unsafe { call(number, arguments) };
        if done < 0 {
            return done;
        }
    }
    0
}

/// Names this process, in at most 15 bytes.
pub fn take_name(name: &core::ffi::CStr) {
    unsafe { call(number::PRCTL, [PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0, 0]) };
}

/// CPU time of this process in microseconds.
pub fn own_cpu() -> u64 {
    let mut time = Time { seconds: 0, part: 0 };
    let arguments = [CLOCK_PROCESS_CPUTIME_ID, &raw mut time as usize, 0, 0, 0, 0];
    unsafe { call(number::CLOCK_GETTIME, arguments) };
    time.seconds as u64 * 1_000_000 + time.part as u64 / 1000
}

pub fn sleep_milliseconds(milliseconds: i64) {
    let time = Time {
        seconds: 0,
        part: milliseconds * 1_000_000,
    };
    unsafe { call(number::NANOSLEEP, [&raw const time as usize, 0, 0, 0, 0, 0]) };
}
