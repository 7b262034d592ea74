//! The socket of a process that is kept for later processes of the same user.
//!
//! The test target's kept process listens there, and its trials connect (`frontend::trial::kept`). The socket lies in a
//! directory of this user alone, and both sides ask the kernel who the other one is. A lock lets one process listen at a
//! time. What is said over it is not known here.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};
use rustix::process::geteuid;

use super::interrupt::readable_within;

/// The mode of a directory that nobody else may enter.
const OWN_MODE: u32 = 0o700;

/// How long a process that was just started may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(2);
const START_PAUSE: Duration = Duration::from_millis(5);

/// Returns the directory of this user's sockets, which is made if it is not there.
///
/// # Errors
///
/// If somebody else may enter it, or it is another user's.
pub fn directory() -> io::Result<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let parent = runtime.filter(|path| path.is_absolute() && path.is_dir());
    let user = geteuid().as_raw();
    let path = parent
        .unwrap_or_else(std::env::temp_dir)
        .join(format!("imgduel-{user}"));
    match DirBuilder::new().mode(OWN_MODE).create(&path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(&path)?;
    let is_own = found.is_dir() && found.uid() == user && found.mode() & 0o777 == OWN_MODE;
    is_own.then_some(path).ok_or_else(not_own)
}

fn not_own() -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, "it is not this user's alone")
}

/// Fails if the other side is another user's process.
fn check_peer(stream: &UnixStream) -> io::Result<()> {
    let peer = sockopt::socket_peercred(stream)?;
    (peer.uid == geteuid()).then_some(()).ok_or_else(not_own)
}

/// Connects, without waiting for a process that takes no connections.
fn connected(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    check_peer(&stream)?;
    Ok(stream)
}

/// Connects to the process that listens at `path`. If none does, this program is started once more, as the one that
/// will: with the same arguments, the variable `mark`, and without the variables that `is_dropped` names. It has no
/// streams, because nextest waits for whoever holds a trial's.
pub fn reached(
    path: &Path,
    mark: (&str, &str),
    is_dropped: fn(&OsStr) -> bool,
) -> Option<UnixStream> {
    if let Ok(stream) = connected(path) {
        return Some(stream);
    }
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.args(std::env::args_os().skip(1));
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_dropped(name)) {
        command.env_remove(name);
    }
    command
        .env(mark.0, mark.1)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let until = Instant::now() + START_PATIENCE;
    while Instant::now() < until {
        if let Ok(stream) = connected(path) {
            return Some(stream);
        }
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            // Another one listens, or none can.
            return connected(path).ok();
        }
        std::thread::sleep(START_PAUSE);
    }
    None
}

/// The listening end. It goes with its socket and its lock.
pub struct KeptSocket {
    listener: UnixListener,
    path: PathBuf,
    lock_path: PathBuf,
    /// Held as long as this process listens.
    _lock: File,
}

impl KeptSocket {
    /// Listens at `path`; `None` if another process does.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let lock_path = path.with_extension("lock");
        let lock = File::create(&lock_path)?;
        if lock.try_lock().is_err() {
            return Ok(None);
        }
        // The last holder may have removed the file between the two calls.
        let there = fs::metadata(&lock_path).map(|found| found.ino());
        if there.ok() != Some(lock.metadata()?.ino()) {
            return Ok(None);
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Some(Self {
            listener,
            path: path.to_owned(),
            lock_path,
            _lock: lock,
        }))
    }

    /// Returns the next connection of this user's; `None` if none came within `grace`.
    pub fn next(&self, grace: Duration) -> io::Result<Option<UnixStream>> {
        if !readable_within(self.listener.as_fd(), grace)? {
            return Ok(None);
        }
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            // It has gone already.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(false)?;
        Ok(check_peer(&stream).is_ok().then_some(stream))
    }
}

impl Drop for KeptSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}
