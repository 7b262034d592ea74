//! The starter: a program that starts tools, each confined before its first instruction.
//!
//! Compiled by `build.rs` into a static executable of its own and carried inside imgduel (`src/process/starter.rs`), which starts it
//! and keeps it for many calls. It takes a call from the socket that is its standard input, and forks: the child gives itself group,
//! directory, streams and limits, enters its Landlock ruleset, closes every other descriptor, and becomes the tool by `execve`. What is the
//! same for all calls (session, rights, namespaces, system-call filters) this program enters itself, by its first message (`setup.rs`),
//! and its children have it from it. The fork costs little, as this
//! program is some pages long; what a child could not do is told as an error number, with nothing of the tool run.
//!
//! With arguments, it does the same, closes the descriptors that it inherited and becomes the program that they name: so fork servers are
//! started.
//!
//! It is no part of the crate `imgduel`, and uses neither a C library nor memory from an allocator.

#![no_std]
#![no_main]

mod message;
mod setup;
mod system;

use core::ffi::{c_char, c_int};
use core::ptr::{addr_of, addr_of_mut};

use message::{Call, EXIT_LOST};

/// The socket: standard input.
const SOCKET: c_int = 0;

/// Where it is kept, so that standard input is free.
const SOCKET_KEPT: c_int = 3;

const ETXTBSY: isize = -26;

/// How often an `execve` is tried while the program's file is still open for writing somewhere, 5 ms apart.
const TRIES: u32 = 20;

/// The call that the next child is for.
static mut CALL: Option<Call> = None;

/// What kept the last child from becoming its tool: a negated error number. The child tells it in this memory, which is its own and its
/// parent's until it is another program.
static mut FAILED: isize = 0;

/// The stack of a child, until it is another program.
static mut CHILD_STACK: ChildStack = ChildStack([0; CHILD_STACK_BYTES]);

const CHILD_STACK_BYTES: usize = 32 << 10;

#[repr(C, align(16))]
struct ChildStack([u8; CHILD_STACK_BYTES]);

// The kernel starts a program with the stack pointer at the number of its arguments.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {begin}",
    begin = sym begin,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {begin}",
    begin = sym begin,
);

/// `start` points at the number of arguments; after it lie the arguments and the environment variables, each list ended by zero.
unsafe extern "C" fn begin(start: *const usize) -> ! {
    unsafe {
        system::close_from(SOCKET_KEPT);
        let count = *start;
        let arguments: *const *mut c_char = start.add(1).cast();
        setup::enter(SOCKET);
        if count > 1 {
            become_program(arguments.add(1), arguments.add(count + 1));
        }
        system::take_name(c"imgduel-starter");
        if system::duplicate(SOCKET, SOCKET_KEPT) < 0 || system::open_nothing_as(SOCKET) < 0 {
            system::exit(EXIT_LOST);
        }
        message::say_hello(SOCKET_KEPT);
        serve();
    }
}

unsafe fn become_program(arguments: *const *mut c_char, variables: *const *mut c_char) -> ! {
    for _ in 0..TRIES {
        if unsafe { system::execute(*arguments, arguments, variables) } != ETXTBSY {
            break;
        }
        system::sleep_milliseconds(5);
    }
    system::exit(EXIT_LOST)
}

unsafe fn serve() -> ! {
    unsafe {
        loop {
            let call = message::next_call(SOCKET_KEPT);
            CALL = Some(call);
            FAILED = 0;
            let top = addr_of_mut!(CHILD_STACK) as usize + CHILD_STACK_BYTES;
            let child = system::fork_until_exec(top, become_tool);
            call.close();
            let failed = addr_of!(FAILED).read_volatile();
            if child < 0 || failed < 0 {
                if child > 0 {
                    system::reap(child as c_int);
                }
                message::say_failed(SOCKET_KEPT, child.min(failed));
                continue;
            }
            message::attend(SOCKET_KEPT, &call, child as c_int);
        }
    }
}

/// A child's life until it is the tool.
unsafe extern "C" fn become_tool() -> ! {
    unsafe {
        let Some(call) = CALL else {
            system::exit(EXIT_LOST);
        };
        let mut done = call.settle();
        if done == 0 {
            system::close_from(SOCKET_KEPT);
            let [arguments, variables] = call.words();
            done = system::execute(call.program, arguments, variables);
        }
        addr_of_mut!(FAILED).write_volatile(done);
    }
    system::exit(EXIT_LOST)
}

// What the compiler may ask of a C library. Byte by byte, so that none of them is made into a call of itself.

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    for index in 0..length {
        unsafe { to.add(index).write_volatile(*from.add(index)) };
    }
    to
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, value: c_int, length: usize) -> *mut u8 {
    for index in 0..length {
        unsafe { to.add(index).write_volatile(value as u8) };
    }
    to
}

/// Named by the unwind tables of the precompiled `core`; nothing here unwinds.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    system::exit(EXIT_LOST)
}
