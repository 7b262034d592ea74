//! What imgduel carries to start tools with: four programs of their own, which work in or just before tools.
//!
//! * `zygote`: a static executable that starts tools, each confined before its first instruction;
//! * `fork_server`: a library that is preloaded into a tool, stops it just before `main`, and forks it for every call;
//! * `entropy`: a library that is preloaded into imgduel's own workers and makes the system's random bytes the same in each run;
//! * `holes`: a library that is preloaded into imgduel's case workers and makes holes of long zeros.
//!
//! The build script of `imgduel` compiles this file four times, each time with `--cfg standalone` and `--cfg program="NAME"`, and imgduel
//! carries what comes out. Cargo builds it as an ordinary library (`crates/preload`), in which no function takes the place of the C library's,
//! so that clippy, rustfmt, rust-analyzer, the unit tests and Miri see all of it.
//!
//! Nothing here uses an allocator or, but in tests, Rust's standard library: before a program's `main` there is only the C library, and in the
//! zygote not even that.

#![cfg_attr(not(test), no_std)]
#![cfg_attr(program = "zygote", no_main)]
#![cfg_attr(
    standalone,
    allow(dead_code, reason = "each of the programs uses a part")
)]

/// The messages between imgduel and these programs.
pub mod protocol;

/// The system's random bytes, made the same in each run.
#[cfg(any(not(standalone), program = "entropy"))]
pub mod entropy;

/// Holes in place of long zeros.
#[cfg(any(not(standalone), program = "holes"))]
pub mod holes;

/// System calls without a C library.
#[cfg(any(not(standalone), program = "fork_server", program = "zygote"))]
pub mod system;

/// The one cell for what a program keeps.
#[cfg(any(not(standalone), program = "fork_server", program = "zygote"))]
pub mod single;

/// The message that came last, and the call that it holds.
#[cfg(any(not(standalone), program = "fork_server", program = "zygote"))]
pub mod inbox;

/// What a forked child gives itself before it is the tool.
#[cfg(any(not(standalone), program = "fork_server", program = "zygote"))]
pub mod settling;

/// How a child is seen through to its end.
#[cfg(any(not(standalone), program = "fork_server", program = "zygote"))]
pub mod attendance;

/// The destructors that a forked tool runs at its end.
#[cfg(any(not(standalone), program = "fork_server"))]
pub mod exit_hook;

/// Calls that fail on purpose.
#[cfg(any(not(standalone), program = "fork_server"))]
pub mod faults;

/// The C library's functions behind those of the same names here.
#[cfg(any(not(standalone), program = "fork_server", program = "holes"))]
pub mod next;

/// Benchmarks of key derivation, made short.
#[cfg(any(not(standalone), program = "fork_server"))]
pub mod key_benchmark;

/// Space that is taken when it is known how much of it stays.
#[cfg(any(not(standalone), program = "fork_server"))]
pub mod reservation;

/// Threads that share their program's first one.
#[cfg(any(not(standalone), program = "fork_server"))]
pub mod user_threads;

/// The library that forks a loaded tool.
#[cfg(any(not(standalone), program = "fork_server"))]
pub mod fork_server;

/// Numbers as text.
#[cfg(any(not(standalone), program = "fork_server", program = "zygote"))]
pub mod decimal;

/// What the zygote enters before it takes calls.
#[cfg(any(not(standalone), program = "zygote"))]
pub mod setup;

/// The program that starts tools.
#[cfg(any(not(standalone), program = "zygote"))]
pub mod zygote;

/// Named by the unwind tables of the precompiled `core`; nothing here unwinds.
#[cfg(standalone)]
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

#[cfg(standalone)]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(not(any(program = "entropy", program = "holes")))]
    system::exit(protocol::EXIT_LOST);
    #[cfg(any(program = "entropy", program = "holes"))]
    {
        unsafe extern "C" {
            safe fn abort() -> !;
        }
        abort()
    }
}
