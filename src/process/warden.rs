//! The warden: a process beside this one that cleans up when this one is gone, however it went.
//!
//! A harness that is killed by SIGKILL can do nothing any more: its tools would go on, and its scratch directories stay. The program starts
//! itself again with [`ARGUMENT`], as a process that does nothing but wait for the end of its standard input, which only the harness holds open. Then
//! it kills every process that works in a scratch directory of that run, and removes those directories. After an orderly end it finds nothing to do.
//! [`sweep`] is for what even the warden could not clean up: the next run calls it.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Result};

/// The hidden argument with which the program becomes a warden; the directory of the scratch directories and the run's token follow.
const ARGUMENT: &str = "__imgduel-warden";

/// The beginning of the name of every scratch directory.
const PREFIX: &str = "imgduel-";

/// The beginning of the name of one that is to stay.
pub const KEPT_PREFIX: &str = "imgduel-kept-";

/// The variable that tells a kept child's run.
pub const RUN_VARIABLE: &str = "IMGDUEL_RUN";

/// A scratch directory younger than this may not have been locked yet.
const LOCKED_AFTER: Duration = Duration::from_secs(5);

/// How long processes that were killed are waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// What no other run on this machine has in the names of its scratch directories.
pub fn run_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_micros();
        format!("{:x}.{now:x}", std::process::id())
    })
}

/// The beginning of the names of this run's scratch directories.
pub fn scratch_prefix() -> String {
    prefix_of(run_token())
}

fn prefix_of(token: &str) -> String {
    format!("{PREFIX}{token}-")
}

/// Posts the warden, once: `program` is this very program. Its standard input stays open for as long as this process lives.
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
            // Ctrl-C on the terminal is not for it.
            .process_group(0)
            .spawn();
        match child {
            Ok(mut child) => child.stdin.take(),
            Err(error) => {
                failed = Some(Error::io("start the warden", program, &error));
                None
            }
        }
    });
    failed.map_or(Ok(()), Err)
}

/// Becomes the warden when the program was started as one. To be called first in `main`.
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
    clean_up(Path::new(&workdir), &token.to_string_lossy());
    Some(ExitCode::SUCCESS)
}

fn clean_up(workdir: &Path, token: &str) {
    let prefix = prefix_of(token);
    let mut directory = OsString::from(workdir.join(&prefix));
    let run = OsString::from(format!("{RUN_VARIABLE}={token}"));
    directory = OsString::from_iter([OsString::from("TMPDIR="), directory]);
    kill_all(|variable| variable.starts_with(directory.as_bytes()) || variable == run.as_bytes());
    for path in scratch_directories(workdir, &prefix) {
        remove(&path);
    }
}

/// Kills every process that has such a variable in its environment, until there is none.
fn kill_all(is_meant: impl Fn(&[u8]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
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

fn scratch_directories(workdir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(workdir).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_directory && name.starts_with(prefix) && !name.starts_with(KEPT_PREFIX)
    });
    ours.map(|entry| entry.path()).collect()
}

/// Removes a scratch directory, whatever a tool did to the rights in it.
pub fn remove(directory: &Path) {
    if fs::remove_dir_all(directory).is_err() {
        open_up(directory);
        // What is left then is not ours to remove.
        let _ = fs::remove_dir_all(directory);
    }
}

fn open_up(directory: &Path) {
    let _ = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    below.for_each(|entry| open_up(&entry.path()));
}

/// Removes the scratch directories in `workdir` whose run is gone, and kills what still works in them: how many there were. A
/// directory in use is locked by its run.
pub fn sweep(workdir: &Path) -> usize {
    let own = rustix::process::geteuid().as_raw();
    let mut swept = 0;
    for path in scratch_directories(workdir, PREFIX) {
        let is_old = fs::symlink_metadata(&path).is_ok_and(|metadata| {
            let age = metadata
                .modified()
                .ok()
                .and_then(|then| then.elapsed().ok());
            metadata.uid() == own && age.is_some_and(|age| age >= LOCKED_AFTER)
        });
        let Some(lock) = is_old.then(|| fs::File::open(&path).ok()).flatten() else {
            continue;
        };
        if lock.try_lock().is_err() {
            continue;
        }
        let directory = OsString::from_iter([OsString::from("TMPDIR="), path.clone().into()]);
        kill_all(|variable| variable.starts_with(directory.as_bytes()));
        remove(&path);
        swept += 1;
    }
    swept
}
