//! Zygotes: small processes that start tools, each confined before its first instruction.
//!
//! What has to happen in a child before it is the tool cannot be had by safe code in this process. A zygote
//! (`preload/zygote.rs`, put into memory and executed from there) does it: it is kept, as a child of this process, and takes call
//! after call ([`Server`]). What is the same for all calls of a policy it enters once ([`Setup`]), and what it starts has it from it; limits
//! and the Landlock ruleset are each call's own. Here a zygote is started; those that are kept are in `zygote_pool.rs`.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::launch::launch;
use super::memory_file::MemoryFile;
use super::policy::SandboxPolicy;
use super::server::Server;
use super::setup::Setup;

/// The program, as `build.rs` made it; empty where it could not be made.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/zygote"));

/// The program where it can be executed; or why there is none.
pub(super) fn program() -> Result<&'static MemoryFile, &'static str> {
    static MADE: OnceLock<Result<MemoryFile, String>> = OnceLock::new();
    let make = || {
        if PROGRAM.is_empty() {
            return Err("this program was built without a zygote".to_owned());
        }
        let file =
            MemoryFile::holding("imgduel-zygote", PROGRAM).map_err(|error| error.to_string())?;
        let nothing = Setup::new(&SandboxPolicy::OPEN, None, None, None)
            .map_err(|error| error.to_string())?;
        start(&file, &nothing)?;
        Ok(file)
    };
    MADE.get_or_init(make).as_ref().map_err(String::as_str)
}

/// Starts a zygote that enters this first; or why it does not wait for calls.
pub(super) fn start(program: &MemoryFile, setup: &Setup<'_>) -> Result<Server, String> {
    let mut command = Command::new(program.path());
    command.env_clear().stderr(Stdio::null());
    Server::start(&mut command, Some(setup), launch)
}

/// Whether a zygote can enter this; or why not.
pub(super) fn can_enter(setup: &Setup<'_>) -> Result<(), String> {
    start(program()?, setup).map(drop)
}
