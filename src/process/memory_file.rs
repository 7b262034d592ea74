//! A file without a name: for a program or library that imgduel carries and the system must load, and for what a tool
//! reads from its standard input.
//!
//! The zygote, the fork server and fixed entropy use it. It is closed in every program that is started, unless it is
//! handed over.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};

/// A read-only file in memory.
pub(super) struct MemoryFile {
    file: File,
}

impl MemoryFile {
    /// Creates a file with these bytes; the name only shows in `/proc`.
    pub(super) fn holding(name: &str, bytes: &[u8]) -> io::Result<Self> {
        let mut written = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
        written.write_all(bytes)?;
        // A program that is open for writing cannot be executed.
        let file = File::open(path_of(&written))?;
        Ok(Self { file })
    }

    /// Returns the path for this process, and for one that it is about to start.
    pub(super) fn path(&self) -> PathBuf {
        path_of(&self.file)
    }

    /// Returns the path for a program that this process becomes.
    pub(super) fn hand_over(self) -> io::Result<PathBuf> {
        fcntl_setfd(&self.file, FdFlags::empty())?;
        let path = self.path();
        let _kept_open = self.file.into_raw_fd();
        Ok(path)
    }

    /// Opens the file again, to hand it over.
    pub(super) fn opened(&self) -> io::Result<File> {
        File::open(self.path())
    }
}

fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}
