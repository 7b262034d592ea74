//! Zygotes: small processes that start tools, each confined before its first instruction.
//!
//! Safe code in this process cannot do what must happen in a child before it becomes the tool. A zygote
//! (`preload/zygote.rs`, loaded into memory and executed from there) does it: it is a persistent child of this process,
//! and takes call after call ([`Server`]). It enters once what is the same for all calls of a policy ([`Setup`]), and
//! its children inherit it; limits and the Landlock ruleset are specific to each call. This module starts a zygote;
//! `zygote_pool.rs` keeps them.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::launch::launch;
use super::memory_file::MemoryFile;
use super::policy::SandboxPolicy;
use super::server::Server;
use super::setup::Setup;

/// The program, as `build.rs` built it; empty if it could not be built.
const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/zygote"));

/// Returns the executable program; the error says why there is none.
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

/// Starts a zygote that enters this setup first; the error says why it does not wait for calls.
pub(super) fn start(program: &MemoryFile, setup: &Setup<'_>) -> Result<Server, String> {
    let mut command = Command::new(program.path());
    command.env_clear().stderr(Stdio::null());
    Server::start(&mut command, Some(setup), launch)
}

/// Whether a zygote can enter this setup; the error says why not.
pub(super) fn can_enter(setup: &Setup<'_>) -> Result<(), String> {
    start(program()?, setup).map(drop)
}
