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
//! parent sees it through and tells of its end. When the socket closes, everything ends.
//!
//! Fork is the C library's own, so that the handlers which a program has registered with `pthread_atfork` run: QEMU starts
//! a thread in a constructor (`util/rcu.c`) and starts it anew in a forked child by such a handler.

#![no_std]

mod farewell;
mod message;
mod system;

use core::ffi::{c_char, c_int, c_uint, c_void};

use farewell::Farewell;
use message::{EXIT_LOST, IS_DURABLE, SPARES_LIBRARIES};

/// The environment variable that says that standard input is a fork server's socket.
const MARK: &[u8] = b"IMGDUEL_FORK_SERVER=1\0";

type Main = extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;
type StartMain = unsafe extern "C" fn(
    Main,
    c_int,
    *mut *mut c_char,
    *mut c_void,
    *mut c_void,
    Option<Farewell>,
    *mut c_void,
) -> c_int;

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn _exit(code: c_int) -> !;
    fn fork() -> c_int;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn close(descriptor: c_int) -> c_int;
    fn dup2(from: c_int, to: c_int) -> c_int;
    fn fcntl(descriptor: c_int, command: c_int, ...) -> c_int;
    fn __errno_location() -> *mut c_int;
}

const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;
const F_GETFD: c_int = 1;
const F_DUPFD_CLOEXEC: c_int = 1030;
const O_RDWR: c_int = 2;

/// Where the socket is kept: out of the way of the numbers that a tool's own files get.
const SOCKET_FLOOR: c_int = 900;

static mut REAL_MAIN: Option<Main> = None;
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
    of_loader: Option<Farewell>,
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
            farewell::in_place_of(of_loader),
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
        message::say_hello(socket);
        let call = serve(socket);
        let [arguments, variables] = call.words();
        environ = variables;
        main(call.count, arguments, variables)
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
unsafe fn serve(socket: c_int) -> message::Call {
    unsafe {
        loop {
            let call = message::next_call(socket);
            let child = fork();
            if child == 0 {
                close(socket);
                if call.settle() < 0 {
                    _exit(EXIT_LOST);
                }
                DURABLE = call.has(IS_DURABLE);
                if call.has(SPARES_LIBRARIES) {
                    farewell::spare_libraries();
                }
                return call;
            }
            call.close();
            if child > 0 {
                // Also done by the child: whichever comes first, the group is there before it may have to be killed.
                system::lead_group(child);
                message::attend(socket, &call, child);
            } else {
                message::say_failed(socket, -(*__errno_location() as isize));
            }
        }
    }
}

/// Named by the unwind tables of the precompiled `core`; nothing here unwinds.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe { _exit(EXIT_LOST) }
}
