//! One call of a program, as plain data, and the environment that it sees.

use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use super::policy::SandboxPolicy;

/// The environment every child sees, beside `PATH`.
pub const CHILD_ENVIRONMENT: [(&str, &str); 2] = [("LC_ALL", "C"), ("TZ", "UTC")];

/// One call of a program.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'call> {
    /// The program, as a path.
    pub program: &'call Path,
    /// Its arguments, without the program's own name.
    pub arguments: &'call [String],
    /// The working directory, which is also the child's `TMPDIR`.
    pub directory: &'call Path,
    /// Wall time it may take.
    pub limit: Duration,
    /// Wall time that it may take beyond its limit for as long as it is busy.
    pub grace: Duration,
    /// What it may use up and touch, with `directory` as its scratch; none: it is no tool under test, but trusted.
    pub sandbox: Option<&'call SandboxPolicy>,
    /// What it sees in its environment beside [`CHILD_ENVIRONMENT`] and `PATH`; nothing, for a tool.
    pub environment: &'call [(OsString, OsString)],
    /// How large its address space may become, in bytes; as large as it likes when nothing is said.
    pub memory_bytes_max: Option<u64>,
}

/// What a forked call leaves out of what the tool does by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Omissions {
    /// Waiting for the disk: a flush succeeds at once.
    pub flushes: bool,
    /// The destructors of its libraries. The tool's own exit handlers and destructors are run, and its streams flushed.
    pub library_destructors: bool,
}

static PASSED: OnceLock<Vec<(OsString, OsString)>> = OnceLock::new();

/// Lets every child see these variables as this program does; those that are not set are none. Once, before any tool is started.
pub fn pass_on(names: &[String]) {
    let variables = names
        .iter()
        .filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    let _ = PASSED.set(variables.collect());
}

/// What was named so.
pub(super) fn passed() -> &'static [(OsString, OsString)] {
    PASSED.get().map_or(&[], Vec::as_slice)
}

/// What a child sees as its environment.
pub(super) fn environment(invocation: &Invocation<'_>) -> Vec<(OsString, OsString)> {
    let path = std::env::var_os("PATH").map(|path| ("PATH".into(), path));
    let fixed = CHILD_ENVIRONMENT.map(|(name, value)| (name.into(), value.into()));
    let mut environment: Vec<(OsString, OsString)> = path.into_iter().chain(fixed).collect();
    environment.extend(passed().iter().cloned());
    environment.extend(invocation.environment.iter().cloned());
    environment.push(("TMPDIR".into(), invocation.directory.into()));
    environment
}
