//! A file without a name: a program or a library that imgduel carries, where the system can load it.
//!
//! Used by the zygote, the fork server and fixed entropy. It is closed in every program that is started, unless it is handed over.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};

/// A file in memory that is only read any more.
pub(super) struct MemoryFile {
    file: File,
}

impl MemoryFile {
    /// With these bytes; the name shows in `/proc` only.
    pub(super) fn holding(name: &str, bytes: &[u8]) -> io::Result<Self> {
        let mut written = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
        written.write_all(bytes)?;
        // A program that is open for writing cannot be executed.
        let file = File::open(path_of(&written))?;
        Ok(Self { file })
    }

    /// Where this process, and one that it is about to start, finds it.
    pub(super) fn path(&self) -> PathBuf {
        path_of(&self.file)
    }

    /// Where a program that this process becomes finds it.
    pub(super) fn hand_over(self) -> io::Result<PathBuf> {
        fcntl_setfd(&self.file, FdFlags::empty())?;
        let path = self.path();
        let _kept_open = self.file.into_raw_fd();
        Ok(path)
    }

    /// The same once more, to be handed over.
    pub(super) fn opened(&self) -> io::Result<File> {
        File::open(self.path())
    }
}

fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}
