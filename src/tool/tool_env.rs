//! What opening a tool needs: the worker program, a time limit, how programs are started.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::base::error::{Error, Result};
use crate::tool::launcher::Launcher;

/// The minimum time limit for reporting a version.
const OPENING_LIMIT_MIN: Duration = Duration::from_secs(5);

/// What opening a tool needs.
#[derive(Clone)]
pub struct ToolEnv {
    /// The program that becomes a worker if it is started with `worker::ARGUMENT`: this program.
    pub worker_program: PathBuf,
    /// The wall time limit for reporting a version.
    pub limit: Duration,
    /// Starts the tools that are programs.
    pub launcher: Arc<Launcher>,
}

impl ToolEnv {
    /// Returns the environment in which this program is the worker. `limit` is the limit of one request. A tool has at
    /// least [`OPENING_LIMIT_MIN`] to report its version, so that a short limit for requests does not prevent a run on
    /// a busy machine.
    pub fn of_this_program(limit: Duration, launcher: Arc<Launcher>) -> Result<Self> {
        let worker_program = std::env::current_exe().map_err(|error| {
            Error::system(format!("cannot tell where this program lies: {error}"))
        })?;
        Ok(Self {
            worker_program,
            limit: limit.max(OPENING_LIMIT_MIN),
            launcher,
        })
    }

    /// Returns where a program of this repository lies: beside this program or, of a test target, in the directory above.
    pub fn beside(&self, program: &str) -> Option<PathBuf> {
        let directories = self.worker_program.ancestors().skip(1).take(2);
        let mut beside = directories.map(|directory| directory.join(program));
        beside.find(|program| program.is_file())
    }
}
