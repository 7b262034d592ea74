//! The reaper: a process that cleans up after this one has ended, in whatever way.
//!
//! A harness that is killed by SIGKILL cannot clean up: its tools would continue, and its scratch directories would
//! stay. The program starts itself again with `ARGUMENT`, as a process that only waits for the end of its standard
//! input, which only the harness holds open. Then it kills every process that works in a scratch directory of that run,
//! and removes those directories. After an orderly end there is nothing to do. `sweep` is for what even the reaper
//! could not clean up: the next run calls it.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::mark::{RUN_VARIABLE, marked, run_token};
use super::removal::remove;
use crate::base::error::{Error, Result};

/// The hidden argument that makes the program a reaper; the parent of the scratch directories and the run's token
/// follow.
const ARGUMENT: &str = "__imgduel-warden";

/// How long to wait for killed processes to end.
const KILL_GRACE: Duration = Duration::from_secs(3);

/// Starts the reaper, once: `program` is this program. Its standard input stays open as long as this process lives.
pub fn post(program: &Path, workdir: &Path) -> Result<()> {
    static POSTED: OnceLock<Option<ChildStdin>> = OnceLock::new();
    let mut failed = None;
    POSTED.get_or_init(|| {
        let child = Command::new(program)
            .arg(ARGUMENT)
            .arg(workdir)
            .arg(run_token())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C on the terminal does not reach it.
            .process_group(0)
            .spawn();
        match child {
            Ok(mut child) => child.stdin.take(),
            Err(error) => {
                failed = Some(Error::io("start the reaper", program, &error));
                None
            }
        }
    });
    failed.map_or(Ok(()), Err)
}

/// Becomes the reaper if the program was started as one. Call it first in `main`.
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let (Some(workdir), Some(token)) = (arguments.next(), arguments.next()) else {
        return Some(ExitCode::FAILURE);
    };
    let mut nothing = [0; 1];
    while std::io::stdin()
        .read(&mut nothing)
        .is_ok_and(|count| count > 0)
    {}
    let (workdir, temporary) = (PathBuf::from(workdir), std::env::temp_dir());
    // The directory in which tools report their versions.
    let temporary = Some(temporary).filter(|temporary| *temporary != workdir);
    for place in temporary.into_iter().chain([workdir]) {
        clean_up(&place, &token.to_string_lossy());
    }
    Some(ExitCode::SUCCESS)
}

fn clean_up(workdir: &Path, token: &str) {
    let run = format!("{RUN_VARIABLE}={token}");
    let own: Vec<PathBuf> = marked(workdir)
        .into_iter()
        .filter(|(_, mark)| mark.run == token)
        .map(|(path, _)| path)
        .collect();
    kill_all(|variable| {
        variable == run.as_bytes() || own.iter().any(|path| lies_in(variable, path))
    });
    own.iter().for_each(|path| remove(path));
}

/// Whether an environment variable says that its process works in a directory or below it.
fn lies_in(variable: &[u8], directory: &Path) -> bool {
    let place = variable.strip_prefix(b"TMPDIR=");
    place.is_some_and(|place| Path::new(OsStr::from_bytes(place)).starts_with(directory))
}

/// Kills every process with such a variable in its environment, until there is none.
fn kill_all(is_meant: impl Fn(&[u8]) -> bool) {
    let deadline = Instant::now() + KILL_GRACE;
    let own = std::process::id();
    loop {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut found = 0;
        for process in processes {
            let Some(id) = process.file_name().to_str().and_then(|id| id.parse().ok()) else {
                continue;
            };
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            if id != own as i32 && environment.split(|byte| *byte == 0).any(&is_meant) {
                found += 1;
                let _ = Pid::from_raw(id).map(|id| kill_process(id, Signal::KILL));
            }
        }
        if found == 0 || Instant::now() >= deadline {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Removes what runs that have ended left in `workdir`, kills what still works there, and returns what was removed.
/// Only directories with a run's mark are touched; the run locks a directory in use.
pub fn sweep(workdir: &Path) -> Vec<PathBuf> {
    let mut swept = Vec::new();
    for (path, mark) in marked(workdir) {
        if mark.run_is_there() {
            continue;
        }
        let Ok(lock) = fs::File::open(&path) else {
            continue;
        };
        if matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)) {
            continue;
        }
        kill_all(|variable| lies_in(variable, &path));
        remove(&path);
        if !path.exists() {
            swept.push(path);
        }
    }
    swept
}
