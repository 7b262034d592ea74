//! The fork server's half that lives inside a tool: a library that is preloaded and stops the tool just before `main`.
//!
//! imgduel preloads it (`src/process/fork_server.rs`). The interface of the system's C library is all there is before `main`; this library uses
//! neither Rust's standard library nor memory from an allocator, and it does not know what the tool does.
//!
//! At the moment at which the C library would call `main`, the program is loaded, linked and its constructors have run.
//! The process then waits for calls on the socket that it was given as standard input. Each call is a `fork`: the child
//! takes the call's arguments, environment, directory, output and limits and goes on into the tool's own `main`; the
//! parent sees it through and tells of its end. When the socket closes, everything ends.
//!
//! Fork is the C library's own, so that the handlers which a program has registered with `pthread_atfork` run: QEMU starts
//! a thread in a constructor (`util/rcu.c`) and starts it anew in a forked child by such a handler.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::attendance::{attend, say_failed, say_hello};
use crate::exit_hook::{self, Destructor};
use crate::faults;
use crate::inbox::Inbox;
use crate::key_benchmark;
use crate::next::{find_all, next};
use crate::protocol::{EXIT_LOST, call_flag};
use crate::reservation;
use crate::settling::settle;
use crate::single::Single;
use crate::system;
use crate::user_threads;

/// The environment variable that says that standard input is a fork server's socket.
const MARK: &CStr = c"IMGDUEL_FORK_SERVER=1";

/// A program's `main`.
pub type Main = extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;

/// The C library's function that calls `main`; the last function that it takes is run at the program's end.
type StartMain = unsafe extern "C" fn(
    Main,
    c_int,
    *mut *mut c_char,
    *mut c_void,
    *mut c_void,
    Option<Destructor>,
    *mut c_void,
) -> c_int;

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
    fn _exit(code: c_int) -> !;
    fn fork() -> c_int;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn close(descriptor: c_int) -> c_int;
    fn dup2(from: c_int, to: c_int) -> c_int;
    fn fcntl(descriptor: c_int, command: c_int, ...) -> c_int;
    fn __errno_location() -> *mut c_int;
}

const F_GETFD: c_int = 1;
const F_DUPFD_CLOEXEC: c_int = 1030;
const O_RDWR: c_int = 2;

/// Where the socket is kept: out of the way of the numbers that a tool's own files get.
const SOCKET_FLOOR: c_int = 900;

/// What this library keeps.
struct State {
    /// The program's own.
    main: Option<Main>,
    /// The loader's own, which runs all destructors; none: it has nothing to do.
    loaders_hook: Option<Destructor>,
    inbox: Inbox,
}

static STATE: Single<State> = Single::new(State {
    main: None,
    loaders_hook: None,
    inbox: Inbox::new(),
});

/// Whether flushes reach the disk.
static IS_DURABLE: AtomicBool = AtomicBool::new(true);

/// Whether the libraries' destructors are left out.
static SPARES_LIBRARIES: AtomicBool = AtomicBool::new(false);

/// Ends this process, without what the C library does at an end.
fn give_up() -> ! {
    // SAFETY: it takes any number.
    unsafe { _exit(EXIT_LOST) }
}

/// Called by the program's own start code in place of the C library's function of this name; `main` is kept back.
///
/// # Safety
///
/// Only the start code calls it, once, with what the C library's function takes.
#[cfg_attr(standalone, unsafe(no_mangle))]
pub unsafe extern "C" fn __libc_start_main(
    main: Main,
    count: c_int,
    words: *mut *mut c_char,
    init: *mut c_void,
    fini: *mut c_void,
    loaders_hook: Option<Destructor>,
    stack_end: *mut c_void,
) -> c_int {
    let Some(start) = next!("__libc_start_main", StartMain) else {
        give_up()
    };
    // SAFETY: the start code calls this function once, before anything else follows the pointer.
    let state = unsafe { &mut *STATE.get() };
    (state.main, state.loaders_hook) = (Some(main), loaders_hook);
    let hook = loaders_hook.map(|_| at_exit as Destructor);
    // SAFETY: what it is given is what the start code gave, but for two functions of the same types.
    unsafe { start(before_main, count, words, init, fini, hook, stack_end) }
}

/// Flushing does nothing when durability is not wanted; a descriptor that is none is refused all the same.
macro_rules! flush {
    ($name:ident($($argument:ident: $kind:ty),*)) => {
        #[doc = "In place of the C library's; see [`skip_flush`]."]
        ///
        /// # Safety
        ///
        /// As of the C library's function.
        #[cfg_attr(standalone, unsafe(no_mangle))]
        pub unsafe extern "C" fn $name(descriptor: c_int $(, $argument: $kind)*) -> c_int {
            type Flush = unsafe extern "C" fn(c_int $(, $kind)*) -> c_int;
            if let Some(outcome) = faults::strike(faults::Kind::Flush) {
                faults::fail(outcome);
                return -1;
            }
            if !IS_DURABLE.load(Ordering::Relaxed) {
                return skip_flush(descriptor);
            }
            match next!(stringify!($name), Flush) {
                // SAFETY: the caller gives what the C library's function takes.
                Some(real) => unsafe { real(descriptor $(, $argument)*) },
                None => -1,
            }
        }
    };
}

flush!(fsync());
flush!(fdatasync());
flush!(syncfs());
flush!(sync_file_range(offset: i64, length: i64, flags: c_uint));

/// What a flush is when durability is not wanted: it fails as the real one would, with -1 and EBADF, or succeeds.
pub fn skip_flush(descriptor: c_int) -> c_int {
    // SAFETY: it takes any number.
    unsafe { fcntl(descriptor, F_GETFD) }.min(0)
}

/// What the C library calls last at the program's end, in place of the loader's function.
extern "C" fn at_exit() {
    reservation::take();
    if SPARES_LIBRARIES.load(Ordering::Relaxed) {
        return exit_hook::run_those_of_program();
    }
    // SAFETY: it was written before `main`, and is only read since.
    if let Some(hook) = unsafe { (*STATE.get()).loaders_hook } {
        hook();
    }
}

/// What the C library takes for the program's `main`.
extern "C" fn before_main(
    count: c_int,
    words: *mut *mut c_char,
    variables: *mut *mut c_char,
) -> c_int {
    // SAFETY: the C library calls this once, after `__libc_start_main` here has written and before the tool's `main`; nobody else holds a
    // reference into it.
    let State { main, inbox, .. } = unsafe { &mut *STATE.get() };
    let Some(main) = *main else { give_up() };
    // SAFETY: the C library gives the list of the program's environment.
    if !unsafe { has_word(variables, MARK) } {
        return main(count, words, variables);
    }
    find_all();
    let socket = take_socket();
    say_hello(socket);
    serve(socket, inbox, main)
}

/// The socket, which was standard input, out of the way; nothing is there to read in its place.
fn take_socket() -> c_int {
    // SAFETY: they are numbers.
    let socket = unsafe { fcntl(0, F_DUPFD_CLOEXEC, SOCKET_FLOOR) };
    // SAFETY: the path ends with a zero byte.
    let nothing = unsafe { open(c"/dev/null".as_ptr(), O_RDWR) };
    // SAFETY: they are numbers.
    if socket < 0 || nothing < 0 || unsafe { dup2(nothing, 0) } < 0 {
        give_up();
    }
    // SAFETY: it was opened here, and nobody else has it.
    unsafe { close(nothing) };
    socket
}

/// Whether this word is in a list.
///
/// # Safety
///
/// The list holds words, each ended by a zero byte, and is ended by a null pointer.
unsafe fn has_word(list: *mut *mut c_char, wanted: &CStr) -> bool {
    for index in 0.. {
        // SAFETY: nothing is read behind the null pointer.
        let word = unsafe { *list.wrapping_add(index) };
        if word.is_null() {
            return false;
        }
        // SAFETY: a word ends with a zero byte.
        if unsafe { CStr::from_ptr(word) } == wanted {
            return true;
        }
    }
    false
}

/// Answers calls; ends with this process. A forked child becomes the tool in here, and it is its end that is given.
fn serve(socket: c_int, inbox: &mut Inbox, main: Main) -> c_int {
    loop {
        let call = inbox.next_call(socket);
        user_threads::leave_out_threads(call.has(call_flag::SHARES_ITS_THREAD));
        // SAFETY: there is one thread that knows of this library's memory, and a program's own handlers are run by the C library.
        let child = unsafe { fork() };
        if child == 0 {
            // SAFETY: it is the child's own copy, and nobody else has it.
            unsafe { close(socket) };
            if settle(&call) < 0 {
                give_up();
            }
            IS_DURABLE.store(call.has(call_flag::IS_DURABLE), Ordering::Relaxed);
            SPARES_LIBRARIES.store(call.has(call_flag::SPARES_LIBRARIES), Ordering::Relaxed);
            key_benchmark::shorten(call.has(call_flag::SHORTENS_BENCHMARKS));
            user_threads::leave_out_threads(false);
            let is_alone =
                call.has(call_flag::SHARES_ITS_THREAD) && user_threads::share_this_thread();
            // SAFETY: the inbox makes the list of words, ended by a null pointer.
            unsafe { faults::take(call.variables) };
            reservation::allow(is_alone && !faults::are_wanted());
            // SAFETY: no other thread of the program is there after a fork; the list lies in static memory, as the inbox does.
            unsafe { environ = call.variables };
            return main(call.count(), call.arguments, call.variables);
        }
        call.close();
        if child > 0 {
            // Also done by the child: whichever comes first, the group is there before it may have to be killed.
            system::lead_group(child);
            attend(socket, &call, child);
        } else {
            // SAFETY: it takes nothing.
            let error = unsafe { __errno_location() };
            // SAFETY: the C library gives a place that is there, and this thread's own.
            let error = unsafe { *error };
            say_failed(socket, -(error as isize));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_in_a_list_only_when_it_is_all_of_it() {
        let words = [c"PATH=/bin", c"IMGDUEL_FORK_SERVER=10", c""];
        let mut list = words.map(|word| word.as_ptr().cast_mut()).to_vec();
        list.push(core::ptr::null_mut());
        // SAFETY: a list of words, ended by a null pointer.
        assert!(unsafe { !has_word(list.as_mut_ptr(), MARK) });
        list.insert(1, MARK.as_ptr().cast_mut());
        // SAFETY: as above.
        assert!(unsafe { has_word(list.as_mut_ptr(), MARK) });
    }
}
