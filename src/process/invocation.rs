//! One call of a program, as plain data, and its environment.

use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use super::policy::SandboxPolicy;

/// The environment of every child, in addition to `PATH`.
pub const CHILD_ENVIRONMENT: [(&str, &str); 2] = [("LC_ALL", "C"), ("TZ", "UTC")];

/// One call of a program.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'call> {
    /// The program, as a path.
    pub program: &'call Path,
    /// The arguments, without the program's own name.
    pub arguments: &'call [String],
    /// The working directory, which is also the child's `TMPDIR`.
    pub directory: &'call Path,
    /// The wall time limit.
    pub limit: Duration,
    /// The additional wall time of a call that is busy.
    pub grace: Duration,
    /// The policy, with `directory` as scratch directory; `None` for a trusted program that is not under test.
    pub sandbox: Option<&'call SandboxPolicy>,
    /// Variables of its environment in addition to [`CHILD_ENVIRONMENT`] and `PATH`; none for a tool.
    pub environment: &'call [(OsString, OsString)],
    /// What the program reads from its standard input; `None` for nothing.
    pub input: Option<&'call [u8]>,
    /// The maximum address space in bytes; `None` for no limit.
    pub memory_bytes_max: Option<u64>,
}

/// What a forked call omits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Omissions {
    /// Waiting for the disk: a flush succeeds at once.
    pub flushes: bool,
    /// The destructors of its libraries. The tool's own exit handlers and destructors run, and its streams are flushed.
    pub library_destructors: bool,
    /// QEMU's benchmark of key derivation: it ends after its first attempt.
    pub key_benchmarks: bool,
    /// The changes between the threads of a pool: its workers run inside the thread that hands them work.
    pub worker_threads: bool,
}

static PASSED: OnceLock<Vec<(OsString, OsString)>> = OnceLock::new();

/// Passes these variables on to every child; those that are not set are omitted. Call it once, before any tool is
/// started.
pub fn pass_on(names: &[String]) {
    let variables = names
        .iter()
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let _ = PASSED.set(variables.collect());
}

/// Returns the passed variables.
pub(super) fn passed() -> &'static [(OsString, OsString)] {
    PASSED.get().map_or(&[], Vec::as_slice)
}

/// Returns the environment of a child.
pub(super) fn environment(invocation: &Invocation<'_>) -> Vec<(OsString, OsString)> {
    let path = std::env::var_os("PATH").map(|path| ("PATH".into(), path));
    let fixed = CHILD_ENVIRONMENT.map(|(name, value)| (name.into(), value.into()));
    let mut environment: Vec<(OsString, OsString)> = path.into_iter().chain(fixed).collect();
    environment.extend(passed().iter().cloned());
    environment.extend(invocation.environment.iter().cloned());
    environment.push(("TMPDIR".into(), invocation.directory.into()));
    environment
}
