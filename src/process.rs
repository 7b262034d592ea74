//! The only module that starts programs: one call, its limits, and its result.
//!
//! The command-line tools call [`run`]; the worker of the library tools is persistent and uses `Dialogue`. Each child
//! leads its own process group, has a clean environment (`LC_ALL=C`, `TZ=UTC`), and is killed with its whole group at
//! its limit. A tool runs in a sandbox (`SandboxPolicy`). Only the tools know the meaning of an exit code.
//!
//! The `wait-timeout` crate waits for one child. Here a whole process group is killed, its CPU time and peak memory are
//! read, busy is distinguished from stuck, and a forked tool is not a child of this process. So pidfds and `poll` are
//! necessary.
//!
//! # Reading order
//!
//! Each file uses only files above it.
//!
//! * What is forbidden and what came of a call, as plain data: `limits`, `pulse`, `post_mortem`, `ending`, `policy`, `invocation`.
//! * How it is enforced: `confinement` (Landlock), `refusal` (seccomp), `confined_thread`, and the messages to what starts tools: `protocol`,
//!   `setup`, `server`.
//! * A `child`, from start to reaping; what starts it: `zygote`, `namespaces`, `zygote_pool`, `scratch`, `spawning`.
//! * The ways in: `call`, `fork_server`, `dialogue`; `layers`, `reaper`, `write_watch`, `holders`, `kept_socket`.

/// Detects processes that have a file open.
pub mod holders;
/// The socket of a process that is kept for later ones.
pub mod kept_socket;
/// The process that cleans up.
pub mod reaper;
/// The scratch directories of a run.
pub mod scratch;
/// Detects writers of a file.
pub mod write_watch;

mod call;
mod capture;
mod child;
mod confined_thread;
mod confinement;
mod dialogue;
mod ending;
mod fork_server;
mod interrupt;
mod invocation;
mod launch;
mod layers;
mod limits;
mod mark;
mod memory;
mod memory_file;
mod namespaces;
mod policy;
mod post_mortem;
/// The messages between this program and those that start tools for it; both ends include this file.
#[path = "../preload/protocol.rs"]
#[allow(dead_code, reason = "each end uses a part")]
mod protocol;
mod pulse;
mod refusal;
mod removal;
mod server;
mod setup;
mod spawning;
mod usage;
mod watch;
mod worker_libraries;
mod zygote;
mod zygote_pool;

pub use call::{DRAIN_GRACE, Finished, Forked, own_cpu_time, run, run_forked};
pub use capture::{CAPTURE_LIMIT_BYTES, Captured};
pub use dialogue::{Dialogue, Reply};
pub use ending::Ending;
pub use fork_server::{ForkServer, Preload};
pub use interrupt::{Interrupt, request_stop, stop_requested, stop_requested_for};
pub use invocation::{CHILD_ENVIRONMENT, Invocation, Omissions, pass_on};
pub use layers::{SandboxLayer, layers};
pub use limits::{
    ADDRESS_SPACE_BYTES, FILE_BYTES, HitLimit, Limit, Limits, MEMORY_BYTES, OPEN_FILES, PROCESSES,
    SCRATCH_BYTES,
};
pub use mark::{RUN_VARIABLE, run_token};
pub use memory::own_peak;
pub use policy::SandboxPolicy;
pub use post_mortem::PostMortem;
pub use removal::remove;
pub use worker_libraries::{fix_entropy, fix_entropy_and_make_holes};
