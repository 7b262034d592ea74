//! The fork server's half that lives inside a tool: a library that is preloaded and stops the tool just before `main`.
//!
//! Compiled by `build.rs` into a shared object of its own and carried inside imgduel, which preloads it
//! (`src/process/fork_server.rs`, the other half, describes the messages). It is no part of the crate `imgduel`: this is
//! the only place with `unsafe`, as the interface of the system's C library is all there is before `main`. It uses neither
//! Rust's standard library nor memory from an allocator, and it does not know what the tool does.
//!
//! At the moment at which the C library would call `main`, the program is loaded, linked and its constructors have run.
//! The process then waits for calls on the socket that it was given as standard input. Each call is a `fork`: the child
//! takes the call's arguments, environment, directory, output and limits and goes on into the tool's own `main`; the
//! parent tells the child's process id, and waits for it when it is told to. When the socket closes, everything ends.
//!
//! Fork is the C library's own, so that the handlers which a program has registered with `pthread_atfork` run: QEMU starts
//! a thread in a constructor (`util/rcu.c`) and starts it anew in a forked child by such a handler.

#![no_std]

use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use core::ptr::{addr_of, addr_of_mut, null_mut};

/// The version of the messages; both halves are of one build, so this only guards against a foreign file.
const PROTOCOL: u32 = 1;

/// The environment variable that says that standard input is a fork server's socket.
const MARK: &[u8] = b"IMGDUEL_FORK_SERVER=1\0";

/// The longest message: a call with its arguments and environment.
const MESSAGE_BYTES: usize = 128 << 10;

/// The most words (arguments, or environment variables) of a call.
const WORDS_MAX: usize = 2048;

const EXIT_LOST: c_int = 127;

type Main = extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;
type StartMain = unsafe extern "C" fn(
    Main,
    c_int,
    *mut *mut c_char,
    *mut c_void,
    *mut c_void,
    *mut c_void,
    *mut c_void,
) -> c_int;

#[repr(C)]
struct IoVector {
    base: *mut c_void,
    length: usize,
}

#[repr(C)]
struct MessageHeader {
    name: *mut c_void,
    name_length: c_uint,
    vectors: *mut IoVector,
    vector_count: usize,
    control: *mut c_void,
    control_length: usize,
    flags: c_int,
}

/// `struct cmsghdr` with room for a call's descriptors.
#[repr(C, align(8))]
struct Control {
    length: usize,
    level: c_int,
    kind: c_int,
    descriptors: [c_int; DESCRIPTORS],
}

/// Standard output, standard error and, where there is one, the Landlock ruleset that the child confines itself by.
const DESCRIPTORS: usize = 3;

/// The length of a control message without its descriptors.
const CONTROL_HEAD_BYTES: usize = 16;

#[repr(C)]
#[derive(Clone, Copy)]
struct TimeValue {
    seconds: c_long,
    microseconds: c_long,
}

#[repr(C)]
struct ResourceUse {
    user: TimeValue,
    system: TimeValue,
    rest: [c_long; 14],
}

#[repr(C)]
struct ClockTime {
    seconds: c_long,
    nanoseconds: c_long,
}

#[repr(C)]
struct ResourceLimit {
    soft: u64,
    hard: u64,
}

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn _exit(code: c_int) -> !;
    fn fork() -> c_int;
    fn wait4(process: c_int, status: *mut c_int, options: c_int, used: *mut ResourceUse) -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
    fn setpgid(process: c_int, group: c_int) -> c_int;
    fn setrlimit(resource: c_int, limit: *const ResourceLimit) -> c_int;
    fn chdir(path: *const c_char) -> c_int;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn close(descriptor: c_int) -> c_int;
    fn dup2(from: c_int, to: c_int) -> c_int;
    fn fcntl(descriptor: c_int, command: c_int, ...) -> c_int;
    fn recvmsg(socket: c_int, message: *mut MessageHeader, flags: c_int) -> isize;
    fn send(socket: c_int, bytes: *const c_void, length: usize, flags: c_int) -> isize;
    fn pipe2(ends: *mut c_int, flags: c_int) -> c_int;
    fn read(descriptor: c_int, bytes: *mut c_void, length: usize) -> isize;
    fn write(descriptor: c_int, bytes: *const c_void, length: usize) -> isize;
    fn prctl(option: c_int, ...) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn clock_gettime(clock: c_int, time: *mut ClockTime) -> c_int;
    fn __errno_location() -> *mut c_int;
}

const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;
const SOL_SOCKET: c_int = 1;
const SCM_RIGHTS: c_int = 1;
const MSG_CMSG_CLOEXEC: c_int = 0x4000_0000;
const MSG_NOSIGNAL: c_int = 0x4000;
const O_CLOEXEC: c_int = 0o2000000;
const F_GETFD: c_int = 1;
const F_DUPFD_CLOEXEC: c_int = 1030;
const O_RDWR: c_int = 2;
const SIGKILL: c_int = 9;
const EINTR: c_int = 4;
const PR_SET_NO_NEW_PRIVS: c_int = 38;
/// The same number on every architecture (landlock_restrict_self(2)).
const LANDLOCK_RESTRICT_SELF: c_long = 446;
const CLOCK_PROCESS_CPUTIME_ID: c_int = 2;

/// Where the socket is kept: out of the way of the numbers that a tool's own files get.
const SOCKET_FLOOR: c_int = 900;

static mut REAL_MAIN: Option<Main> = None;
static mut MESSAGE: [u64; MESSAGE_BYTES / 8] = [0; MESSAGE_BYTES / 8];
static mut WORDS: [[*mut c_char; WORDS_MAX + 1]; 2] = [[null_mut(); WORDS_MAX + 1]; 2];
/// CPU time of this process in microseconds when it last told a child's.
static mut OWN_CPU: u64 = 0;
/// Whether flushes reach the disk.
static mut DURABLE: bool = true;

/// Called by the program's own start code in place of the C library's function of this name; `main` is kept back.
///
/// # Safety
/// Only the start code calls it, once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __libc_start_main(
    main: Main,
    count: c_int,
    words: *mut *mut c_char,
    init: *mut c_void,
    fini: *mut c_void,
    loader_fini: *mut c_void,
    stack_end: *mut c_void,
) -> c_int {
    unsafe {
        let found = dlsym(RTLD_NEXT, c"__libc_start_main".as_ptr());
        if found.is_null() {
            _exit(EXIT_LOST);
        }
        let start: StartMain = core::mem::transmute(found);
        REAL_MAIN = Some(main);
        start(
            before_main,
            count,
            words,
            init,
            fini,
            loader_fini,
            stack_end,
        )
    }
}

/// Flushing does nothing when durability is not wanted; a descriptor that is none is refused all the same.
macro_rules! flush {
    ($name:ident($($argument:ident: $kind:ty),*)) => {
        #[doc = "See [`skip_flush`]."]
        ///
        /// # Safety
        /// As the C library's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(descriptor: c_int $(, $argument: $kind)*) -> c_int {
            unsafe {
                if !DURABLE {
                    return skip_flush(descriptor);
                }
                let found = dlsym(RTLD_NEXT, concat!(stringify!($name), "\0").as_ptr().cast());
                let real: unsafe extern "C" fn(c_int $(, $kind)*) -> c_int = core::mem::transmute(found);
                real(descriptor $(, $argument)*)
            }
        }
    };
}

flush!(fsync());
flush!(fdatasync());
flush!(syncfs());
flush!(sync_file_range(offset: i64, length: i64, flags: c_uint));

unsafe fn skip_flush(descriptor: c_int) -> c_int {
    // Fails as the real one would: with -1 and EBADF.
    unsafe { fcntl(descriptor, F_GETFD) }.min(0)
}

/// What the C library takes for the program's `main`.
extern "C" fn before_main(
    count: c_int,
    words: *mut *mut c_char,
    variables: *mut *mut c_char,
) -> c_int {
    unsafe {
        let Some(main) = REAL_MAIN else {
            _exit(EXIT_LOST)
        };
        if !is_marked(variables) {
            return main(count, words, variables);
        }
        let socket = fcntl(0, F_DUPFD_CLOEXEC, SOCKET_FLOOR);
        let nothing = open(c"/dev/null".as_ptr(), O_RDWR);
        if socket < 0 || nothing < 0 || dup2(nothing, 0) < 0 {
            _exit(EXIT_LOST);
        }
        close(nothing);
        OWN_CPU = own_cpu();
        say(socket, &[PROTOCOL, 0, 0]);
        serve(socket);
        let [arguments, environment] = &mut *addr_of_mut!(WORDS);
        let count = arguments.iter().take_while(|word| !word.is_null()).count();
        environ = environment.as_mut_ptr();
        main(count as c_int, arguments.as_mut_ptr(), environ)
    }
}

unsafe fn is_marked(variables: *mut *mut c_char) -> bool {
    let mut place = variables;
    unsafe {
        while !(*place).is_null() {
            let word = (*place).cast::<u8>();
            if MARK
                .iter()
                .enumerate()
                .all(|(index, byte)| *word.add(index) == *byte)
            {
                return true;
            }
            place = place.add(1);
        }
    }
    false
}

/// Answers calls. Returns only in a forked child, which is to become the tool.
unsafe fn serve(socket: c_int) {
    unsafe {
        loop {
            let mut descriptors = [-1; DESCRIPTORS];
            let received = receive(socket, &mut descriptors);
            let message = core::slice::from_raw_parts(addr_of!(MESSAGE).cast::<u8>(), received);
            if !lay_out(message) {
                descriptors.iter().for_each(|descriptor| {
                    close(*descriptor);
                });
                say(socket, &[0, 0, 0]);
                continue;
            }
            // The child waits for a byte, so that it does nothing before its number is known; it ends when none comes.
            let mut gate = [-1; 2];
            let child = match pipe2(gate.as_mut_ptr(), O_CLOEXEC) {
                0 => fork(),
                _ => -1,
            };
            if child == 0 {
                close(gate[1]);
                let mut byte = 0u8;
                loop {
                    match read(gate[0], (&raw mut byte).cast(), 1) {
                        1 => break,
                        -1 if *__errno_location() == EINTR => {}
                        _ => _exit(EXIT_LOST),
                    }
                }
                close(gate[0]);
                become_tool(socket, descriptors);
                return;
            }
            descriptors.iter().for_each(|descriptor| {
                close(*descriptor);
            });
            if child > 0 {
                // Also done by the child: whichever comes first, the group is there before anybody is told of it.
                setpgid(child, child);
            }
            say(socket, &[child.max(0) as u32, 0, 0]);
            write(gate[1], c"!".as_ptr().cast(), 1);
            gate.iter().for_each(|end| {
                close(*end);
            });
            if child > 0 {
                attend(socket, child);
            }
        }
    }
}

/// Waits to be told that the child is to be reaped, and reaps it. Its number is nobody else's until then.
unsafe fn attend(socket: c_int, child: c_int) {
    unsafe {
        if receive(socket, &mut [-1; DESCRIPTORS]) == 0 {
            kill(-child, SIGKILL);
            _exit(0);
        }
        let mut status = 0;
        let mut used: ResourceUse = core::mem::zeroed();
        while wait4(child, &mut status, 0, &mut used) < 0 {
            if *__errno_location() != EINTR {
                _exit(EXIT_LOST);
            }
        }
        let microseconds =
            |time: TimeValue| time.seconds as u64 * 1_000_000 + time.microseconds as u64;
        // Starting a tool is part of its cost: what this process has used for it is the call's too.
        let own = own_cpu();
        let cpu = microseconds(used.user) + microseconds(used.system) + own - OWN_CPU;
        OWN_CPU = own;
        say(socket, &[status as u32, cpu as u32, (cpu >> 32) as u32]);
    }
}

/// CPU time of this process in microseconds.
unsafe fn own_cpu() -> u64 {
    let mut time = ClockTime {
        seconds: 0,
        nanoseconds: 0,
    };
    unsafe { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.seconds as u64 * 1_000_000 + time.nanoseconds as u64 / 1000
}

/// One message into [`MESSAGE`]; its length. The end of the socket is the end of this process, unless a child is to be
/// attended to: then it is 0.
unsafe fn receive(socket: c_int, descriptors: &mut [c_int; DESCRIPTORS]) -> usize {
    unsafe {
        let mut vector = IoVector {
            base: addr_of_mut!(MESSAGE).cast(),
            length: MESSAGE_BYTES,
        };
        let mut control: Control = core::mem::zeroed();
        let mut header = MessageHeader {
            name: null_mut(),
            name_length: 0,
            vectors: &mut vector,
            vector_count: 1,
            control: addr_of_mut!(control).cast(),
            control_length: size_of::<Control>(),
            flags: 0,
        };
        loop {
            let received = recvmsg(socket, &mut header, MSG_CMSG_CLOEXEC);
            if received >= 0 {
                let has_rights = control.level == SOL_SOCKET && control.kind == SCM_RIGHTS;
                if has_rights {
                    let bytes = control.length.saturating_sub(CONTROL_HEAD_BYTES);
                    let count = (bytes / size_of::<c_int>()).min(DESCRIPTORS);
                    descriptors[..count].copy_from_slice(&control.descriptors[..count]);
                }
                return received as usize;
            }
            if *__errno_location() != EINTR {
                return 0;
            }
        }
    }
}

unsafe fn say(socket: c_int, numbers: &[u32; 3]) {
    let length = size_of_val(numbers);
    if unsafe { send(socket, numbers.as_ptr().cast(), length, MSG_NOSIGNAL) } != length as isize {
        unsafe { _exit(0) }
    }
}

/// The head of a call: durable or not, limits, arguments, environment variables. After it come the limits, three numbers
/// each (which, soft, hard), then, each ended by a zero byte, the directory, the arguments and the variables.
const HEAD_NUMBERS: usize = 4;

/// Makes the lists of words of the call in [`MESSAGE`]; false when they do not fit. No message at all ends this process.
unsafe fn lay_out(message: &[u8]) -> bool {
    unsafe {
        if message.is_empty() {
            _exit(0);
        }
        let numbers = &*addr_of!(MESSAGE);
        let [_, limits, arguments, variables] = [0, 1, 2, 3].map(|index| numbers[index] as usize);
        if arguments > WORDS_MAX || variables > WORDS_MAX || message.len() >= MESSAGE_BYTES {
            return false;
        }
        let mut place = words_at(limits);
        // Over the directory.
        place = after(message, place);
        for (list, count) in (*addr_of_mut!(WORDS))
            .iter_mut()
            .zip([arguments, variables])
        {
            for slot in &mut list[..count] {
                *slot = message.as_ptr().add(place).cast_mut().cast();
                place = after(message, place);
            }
            list[count] = null_mut();
        }
        place <= message.len()
    }
}

fn words_at(limits: usize) -> usize {
    (HEAD_NUMBERS + limits * 3) * size_of::<u64>()
}

/// Where the word after the one at `place` begins.
fn after(message: &[u8], place: usize) -> usize {
    let rest = message.get(place..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(rest.len());
    place + length + 1
}

unsafe fn become_tool(socket: c_int, [stdout, stderr, ruleset]: [c_int; DESCRIPTORS]) {
    unsafe {
        let numbers = &*addr_of!(MESSAGE);
        let limits = numbers[1] as usize;
        setpgid(0, 0);
        close(socket);
        let directory = addr_of!(MESSAGE).cast::<c_char>().add(words_at(limits));
        let is_set = dup2(stdout, 1) >= 0 && dup2(stderr, 2) >= 0 && chdir(directory) == 0;
        close(stdout);
        close(stderr);
        if !is_set {
            _exit(EXIT_LOST);
        }
        for limit in numbers[HEAD_NUMBERS..][..limits * 3].chunks_exact(3) {
            let [resource, soft, hard] = [limit[0], limit[1], limit[2]];
            if setrlimit(resource as c_int, &ResourceLimit { soft, hard }) != 0 {
                _exit(EXIT_LOST);
            }
        }
        if ruleset >= 0 {
            let confined = prctl(
                PR_SET_NO_NEW_PRIVS,
                1 as c_long,
                0 as c_long,
                0 as c_long,
                0 as c_long,
            ) == 0
                && syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0 as c_uint) == 0;
            if !confined {
                _exit(EXIT_LOST);
            }
            close(ruleset);
        }
        DURABLE = numbers[0] != 0;
    }
}

/// Named by the unwind tables of the precompiled `core`; nothing here unwinds.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe { _exit(EXIT_LOST) }
}
