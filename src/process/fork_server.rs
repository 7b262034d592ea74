//! A tool that is stopped just before its `main`, and forked for every call.
//!
//! Loading and linking a tool costs more than most calls: qemu-img uses 3.3 ms of CPU from `execve` to the end of
//! `info`, and 1.3 ms if it is forked at this point. The launcher keeps the servers in pools; a forked call is watched
//! like any other ([`Child`](super::child::Child)). The other half, inside the tool, is `preload/fork_server.rs`;
//! [`Server`] describes the protocol.

use std::path::Path;
use std::process::{Command, Stdio};

use super::invocation::{CHILD_ENVIRONMENT, passed};
use super::launch::launch;
use super::memory_file::MemoryFile;
use super::policy::SandboxPolicy;
use super::server::{NOT_WAITING, Server};
use super::setup::Setup;
use super::{confined_thread, namespaces, scratch, zygote};

/// The preloaded half, as `build.rs` built it; empty if it could not be built.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fork_server"));

/// The variable that tells a preloaded tool that its standard input is a server's socket.
const MARK: (&str, &str) = ("IMGDUEL_FORK_SERVER", "1");

/// Where the loader finds the library: the standard error of the process itself. In a sandbox, /proc does not show
/// other processes, and nothing else is inherited.
const LIBRARY_PATH: &str = "/proc/self/fd/2";

/// The preloaded half in a file without a name, for as long as servers may be started.
pub struct Preload {
    file: MemoryFile,
}

impl Preload {
    /// Prepares it; the error says why that is impossible.
    pub fn new() -> Result<Self, String> {
        if LIBRARY.is_empty() {
            return Err("this program was built without a fork server".to_owned());
        }
        let file = MemoryFile::holding("imgduel-fork-server", LIBRARY);
        Ok(Self {
            file: file.map_err(|error| error.to_string())?,
        })
    }
}

/// A tool that waits for calls.
pub struct ForkServer(pub(super) Server);

impl ForkServer {
    /// Loads the tool; the error says why it does not answer as a fork server. It serves many scratch directories, so
    /// it may itself write below `place`, which contains them; each of its children then confines itself to its own.
    /// With a zygote, it inherits no descriptors. `environment` is for the loading alone: a call has its own.
    pub fn start(
        program: &Path,
        preload: &Preload,
        (policy, place): (&SandboxPolicy, Option<&Path>),
        environment: &[(&str, &str)],
    ) -> Result<Self, String> {
        let run = place.and_then(scratch::is_run_directory);
        let library = preload.file.opened().map_err(|error| error.to_string())?;
        let zygote = zygote::program();
        let mut command = match zygote {
            // The zygote closes what it inherited, enters the setup and becomes the program.
            Ok(zygote) => {
                let mut command = Command::new(zygote.path());
                command.arg(program);
                command
            }
            Err(_) => Command::new(program),
        };
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(CHILD_ENVIRONMENT)
            .envs(environment.iter().copied())
            .envs(passed().iter().cloned())
            .env("LD_PRELOAD", LIBRARY_PATH)
            // Symbols that are bound here need not be bound in every child.
            .env("LD_BIND_NOW", "1")
            .env(MARK.0, MARK.1)
            .stderr(Stdio::from(library));
        if zygote.is_ok() {
            let way = run
                .filter(|_| policy.wants_namespaces())
                .and_then(|_| namespaces::way());
            let mut setup =
                Setup::new(policy, place, run, way).map_err(|error| error.to_string())?;
            let started = Server::start(&mut command, Some(&setup), launch);
            return match started {
                Err(why) if why != NOT_WAITING && setup.stay() => {
                    Server::start(&mut command, Some(&setup), launch)
                }
                started => started,
            }
            .map(Self);
        }
        let start = |command: &mut Command| {
            confined_thread::confine(policy, place, || launch(command)).flatten()
        };
        Server::start(&mut command, None, start).map(Self)
    }
}
