//! The zygote: a program that starts tools, each confined before its first instruction.
//!
//! A static executable, which imgduel starts (`src/process/zygote.rs`) and keeps for many calls. It takes a call from the socket that is its
//! standard input, and forks: the child gives itself group, directory, streams and limits, enters its Landlock ruleset, closes every other
//! descriptor, and becomes the tool by `execve`. What is the same for all calls (session, rights, namespaces, system-call filters) this program
//! enters itself, by its first message (`setup.rs`), and its children have it from it. The fork costs little, as this program is some pages
//! long; what a child could not do is told as an error number, with nothing of the tool run.
//!
//! With arguments, it does the same, closes the descriptors that it inherited and becomes the program that they name: so fork servers are
//! started. It uses neither a C library nor memory from an allocator.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicIsize, Ordering};

use crate::attendance::{attend, say_failed, say_hello};
use crate::inbox::{Call, Inbox};
use crate::protocol::EXIT_LOST;
use crate::settling::settle;
use crate::single::Single;
use crate::{setup, system};

/// The socket: standard input.
const SOCKET: c_int = 0;

/// Where it is kept, so that standard input is free.
const SOCKET_KEPT: c_int = 3;

const ETXTBSY: isize = -26;

/// How often an `execve` is tried while the program's file is still open for writing somewhere, 5 ms apart.
const TRIES: u32 = 20;

/// The stack of a child, until it is another program.
const CHILD_STACK_BYTES: usize = 32 << 10;

#[repr(C, align(16))]
struct ChildStack([u8; CHILD_STACK_BYTES]);

/// What this program keeps.
struct State {
    inbox: Inbox,
    child_stack: ChildStack,
}

static STATE: Single<State> = Single::new(State {
    inbox: Inbox::new(),
    child_stack: ChildStack([0; CHILD_STACK_BYTES]),
});

// The kernel starts a program with the stack pointer at the number of its arguments.
#[cfg(all(standalone, target_arch = "x86_64"))]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {begin}",
    begin = sym begin,
);

#[cfg(all(standalone, target_arch = "aarch64"))]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {begin}",
    begin = sym begin,
);

/// The program's first function.
///
/// # Safety
///
/// Called once, as a program begins: `start` points at the number of arguments; after it lie the arguments and the environment variables, each
/// list ended by a null pointer (System V ABI, "Process Initialization").
pub unsafe extern "C" fn begin(start: *const usize) -> ! {
    system::close_from(SOCKET_KEPT);
    // SAFETY: this program has one thread, and this function is called once, so that nobody else follows the pointer.
    let State { inbox, child_stack } = unsafe { &mut *STATE.get() };
    setup::enter(inbox, SOCKET);
    // SAFETY: the number of arguments lies there.
    let count = unsafe { *start };
    if count > 1 {
        let (arguments, variables) = (start.wrapping_add(2), start.wrapping_add(count + 2));
        // SAFETY: behind the number lie the program's own name and at least one argument, then the variables.
        unsafe { become_program(arguments.cast(), variables.cast()) }
    }
    system::take_name(c"imgduel-zygote");
    if system::duplicate(SOCKET, SOCKET_KEPT) < 0 || system::open_nothing_as(SOCKET) < 0 {
        system::exit(EXIT_LOST);
    }
    say_hello(SOCKET_KEPT);
    serve(inbox, child_stack)
}

/// # Safety
///
/// Both lists hold words, each ended by a zero byte, and are ended by a null pointer; the first has at least one word.
unsafe fn become_program(arguments: *const *const c_char, variables: *const *const c_char) -> ! {
    // SAFETY: the list has a first word.
    let program = unsafe { *arguments };
    for _ in 0..TRIES {
        // SAFETY: a word, and two lists as execve(2) takes them.
        let failed = unsafe { system::execute(program, arguments, variables) };
        if failed != ETXTBSY {
            break;
        }
        system::sleep_milliseconds(5);
    }
    system::exit(EXIT_LOST)
}

/// What a child is for.
struct Task<'call> {
    call: &'call Call<'call>,
    /// What kept it from becoming its tool: a negated error number. The child tells it in this memory, which is its own and its parent's until
    /// it is another program.
    failed: AtomicIsize,
}

fn serve(inbox: &mut Inbox, stack: &mut ChildStack) -> ! {
    loop {
        let call = inbox.next_call(SOCKET_KEPT);
        let task = Task {
            call: &call,
            failed: AtomicIsize::new(0),
        };
        // SAFETY: the stack is used by nobody else, as the child before has become another program or has ended; the task outlives the child's
        // use of it, as this process goes on only then, and is what `become_tool` takes.
        let child =
            unsafe { system::fork_until_exec(&mut stack.0, become_tool, (&raw const task).cast()) };
        call.close();
        let failed = task.failed.load(Ordering::Relaxed);
        if child < 0 || failed < 0 {
            if child > 0 {
                system::reap(child as c_int);
            }
            say_failed(SOCKET_KEPT, child.min(failed));
            continue;
        }
        attend(SOCKET_KEPT, &call, child as c_int);
    }
}

/// A child's life until it is the tool.
///
/// # Safety
///
/// `task` points at a [`Task`] that stays there until this process is another program or has ended.
unsafe extern "C" fn become_tool(task: *const c_void) -> ! {
    // SAFETY: so the caller says.
    let Task { call, failed } = unsafe { &*task.cast::<Task<'_>>() };
    let mut done = settle(call);
    if done == 0 {
        system::close_from(SOCKET_KEPT);
        let (arguments, variables) = (call.arguments.cast(), call.variables.cast());
        // SAFETY: a call's program is a word, and its lists are as execve(2) takes them.
        done = unsafe { system::execute(call.program.as_ptr(), arguments, variables) };
    }
    failed.store(done, Ordering::Relaxed);
    system::exit(EXIT_LOST)
}

// What the compiler may ask of a C library. Byte by byte, so that none of them is made into a call of itself.

/// # Safety
///
/// As of memcpy(3): both places have room for `length` bytes, and they do not overlap.
#[cfg_attr(standalone, unsafe(no_mangle))]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    for index in 0..length {
        // SAFETY: this many bytes are there to read.
        let byte = unsafe { *from.wrapping_add(index) };
        // SAFETY: this many bytes are there to write.
        unsafe { to.wrapping_add(index).write_volatile(byte) };
    }
    to
}

/// # Safety
///
/// As of memset(3): there is room for `length` bytes.
#[cfg_attr(standalone, unsafe(no_mangle))]
pub unsafe extern "C" fn memset(to: *mut u8, value: c_int, length: usize) -> *mut u8 {
    for index in 0..length {
        // SAFETY: this many bytes are there to write.
        unsafe { to.wrapping_add(index).write_volatile(value as u8) };
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_copied_and_set_as_by_the_c_library() {
        let (from, mut to) = ([1, 2, 3, 4], [0; 6]);
        // SAFETY: four bytes are there, and from the second on in the other.
        let given = unsafe { memcpy(to[1..].as_mut_ptr(), from.as_ptr(), 4) };
        assert!(!given.is_null());
        assert_eq!(to, [0, 1, 2, 3, 4, 0]);
        // SAFETY: two bytes are there behind the third.
        let given = unsafe { memset(to[3..].as_mut_ptr(), 0x1ff, 2) };
        assert_eq!(given.cast_const(), to[3..].as_ptr());
        assert_eq!(to, [0, 1, 2, 0xff, 0xff, 0]);
    }
}
