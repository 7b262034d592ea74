//! The starters: small processes that start tools, each confined before its first instruction.
//!
//! What has to happen in a child before it is the tool cannot be had by safe code in this process. A starter
//! (`preload/starter.rs`, put into memory and executed from there) does it: it is kept, as a child of this process, and takes call
//! after call ([`Server`]). A starter is entered into the cage's system-call filters once, and what it starts has them from it; limits
//! and the Landlock ruleset are each call's own. One call at a time: there are as many as calls were under way at once. They
//! end with this process.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use super::memory_file::MemoryFile;
use super::server::Server;
use super::{Cage, group};

/// The program, as `build.rs` made it; empty where it could not be made.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/starter"));

/// The most starters of a kind that wait for calls.
const IDLE_MAX: usize = 64;

/// The system-call filters of a starter: whether it is confined, and whether flushes are off.
type Filters = (bool, bool);

/// Those that wait for calls.
static IDLE: LazyLock<Mutex<HashMap<Filters, Vec<Server>>>> = LazyLock::new(Mutex::default);

fn filters(cage: &Cage) -> Filters {
    (cage.is_confined, cage.flushes_off)
}

fn idle() -> MutexGuard<'static, HashMap<Filters, Vec<Server>>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program where it can be executed; or why there is none.
pub(super) fn program() -> Result<&'static MemoryFile, &'static str> {
    static MADE: OnceLock<Result<MemoryFile, String>> = OnceLock::new();
    let make = || {
        if PROGRAM.is_empty() {
            return Err("this program was built without a starter".to_owned());
        }
        let file = MemoryFile::of("imgduel-starter", PROGRAM).map_err(|error| error.to_string())?;
        start(&file, &Cage::OPEN)?;
        Ok(file)
    };
    MADE.get_or_init(make).as_ref().map_err(String::as_str)
}

fn start(program: &MemoryFile, cage: &Cage) -> Result<Server, String> {
    let mut command = Command::new(program.path());
    command.env_clear().stderr(Stdio::null());
    // No scratch directory: what a tool may write to is each call's own.
    let start = |command: &mut Command| cage.confine(None, || group::start(command)).flatten();
    Server::start(&mut command, start)
}

/// A starter for a call in this cage; or why there is none.
pub(super) fn take(cage: &Cage) -> Result<Server, String> {
    let program = program()?;
    let waiting = idle().get_mut(&filters(cage)).and_then(Vec::pop);
    match waiting {
        Some(server) => Ok(server),
        None => start(program, cage),
    }
}

/// Keeps a starter for the next call in such a cage.
pub(super) fn put_back(cage: &Cage, server: Server) {
    let mut idle = idle();
    let waiting = idle.entry(filters(cage)).or_default();
    if waiting.len() < IDLE_MAX {
        waiting.push(server);
    }
}
