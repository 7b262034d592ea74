//! The starters: small processes that start tools, each confined before its first instruction.
//!
//! What has to happen in a child before it is the tool cannot be had by safe code in this process. A starter
//! (`preload/zygote.rs`, put into memory and executed from there) does it: it is kept, as a child of this process, and takes call
//! after call ([`Server`]). What is the same for all calls of a cage it enters once ([`Setup`]), and what it starts has it from it; limits
//! and the Landlock ruleset are each call's own. One call at a time: there are as many as calls were under way at once. They
//! end with this process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use super::memory_file::MemoryFile;
use super::server::Server;
use super::setup::Setup;
use super::{Cage, group};

/// The program, as `build.rs` made it; empty where it could not be made.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/zygote"));

/// The most starters of a kind that wait for calls.
const IDLE_MAX: usize = 64;

/// What a starter has entered: whether it is confined, whether flushes are off, and the place beside which all is read-only.
type Entered = (bool, bool, Option<PathBuf>);

/// Those that wait for calls.
static IDLE: LazyLock<Mutex<HashMap<Entered, Vec<Server>>>> = LazyLock::new(Mutex::default);

fn entered(cage: &Cage, place: Option<&Path>) -> Entered {
    let place = place.filter(|_| cage.is_confined && cage.is_apart);
    (
        cage.is_confined,
        cage.flushes_off,
        place.map(Path::to_owned),
    )
}

fn idle() -> MutexGuard<'static, HashMap<Entered, Vec<Server>>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program where it can be executed; or why there is none.
pub(super) fn program() -> Result<&'static MemoryFile, &'static str> {
    static MADE: OnceLock<Result<MemoryFile, String>> = OnceLock::new();
    let make = || {
        if PROGRAM.is_empty() {
            return Err("this program was built without a starter".to_owned());
        }
        let file = MemoryFile::of("imgduel-zygote", PROGRAM).map_err(|error| error.to_string())?;
        let nothing = Setup::of(&Cage::OPEN, None, None).map_err(|error| error.to_string())?;
        start(&file, &nothing)?;
        Ok(file)
    };
    MADE.get_or_init(make).as_ref().map_err(String::as_str)
}

fn start(program: &MemoryFile, setup: &Setup<'_>) -> Result<Server, String> {
    let mut command = Command::new(program.path());
    command.env_clear().stderr(Stdio::null());
    Server::start(&mut command, Some(setup), group::start)
}

/// Whether a starter can enter this; or why not.
pub(super) fn can_enter(setup: &Setup<'_>) -> Result<(), String> {
    start(program()?, setup).map(drop)
}

/// A starter for a call in this cage in `place`, the run's directory; or why there is none.
pub(super) fn take(cage: &Cage, place: Option<&Path>) -> Result<Server, String> {
    let program = program()?;
    let waiting = idle().get_mut(&entered(cage, place)).and_then(Vec::pop);
    if let Some(server) = waiting {
        return Ok(server);
    }
    // What may be written to is each call's own.
    let mut setup = Setup::of(cage, None, place).map_err(|error| error.to_string())?;
    start(program, &setup).or_else(|why| match setup.stay() {
        true => start(program, &setup),
        false => Err(why),
    })
}

/// Keeps a starter for the next call in such a cage in this place.
pub(super) fn put_back(cage: &Cage, place: Option<&Path>, server: Server) {
    let mut idle = idle();
    let waiting = idle.entry(entered(cage, place)).or_default();
    if waiting.len() < IDLE_MAX {
        waiting.push(server);
    }
}

/// Ends those that wait for calls in a place that is about to go.
pub(super) fn forget(place: &Path) {
    let is_there = |(_, _, there): &Entered| there.as_deref() == Some(place);
    let gone: Vec<_> = idle().extract_if(|entered, _| is_there(entered)).collect();
    drop(gone);
}
