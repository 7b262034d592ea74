//! How a child ended, as plain data.
//!
//! The meaning of an exit code is known only to the tools.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::capture::Captured;
use super::limits::{HitLimit, Limit, Limits};
use super::post_mortem::PostMortem;

/// How a child ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It ran until its limit and was killed with its whole group.
    TimedOut(PostMortem),
    /// It exceeded one of its limits.
    HitLimit(HitLimit),
}

impl Ending {
    /// Returns the ending of a child that ended by itself or by a signal.
    pub(super) fn from_status(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Signaled(signal.unwrap_or_default()),
        }
    }

    /// Returns the limit that the signal or the message indicates.
    pub(super) fn limit_hit(&self, limits: &Limits, complaint: &Captured) -> Option<HitLimit> {
        match self {
            Self::Signaled(libc::SIGXFSZ) => {
                return Some(HitLimit::new(Limit::FileSize, limits.file_bytes));
            }
            Self::Signaled(libc::SIGXCPU) => {
                let allowed = limits.cpu_seconds.unwrap_or_default();
                return Some(HitLimit::new(Limit::Cpu, allowed));
            }
            Self::Exited(0) | Self::TimedOut(_) | Self::HitLimit(_) => return None,
            Self::Exited(_) | Self::Signaled(_) => {}
        }
        let complaint = complaint.text();
        let complains = |words: &[&str]| words.iter().any(|words| complaint.contains(words));
        if complains(&MEMORY_COMPLAINTS) {
            return Some(HitLimit::new(Limit::Memory, limits.address_space_bytes));
        }
        complains(&OPEN_FILES_COMPLAINTS)
            .then(|| HitLimit::new(Limit::OpenFiles, limits.open_files))
    }
}

/// The messages of programs without memory: strerror(ENOMEM), the shells, the GNU tools, GLib, Rust, C++, Python.
const MEMORY_COMPLAINTS: [&str; 8] = [
    "Cannot allocate memory",
    "Out of memory",
    "out of memory",
    "failed to allocate",
    "memory allocation of",
    "std::bad_alloc",
    "memory exhausted",
    "MemoryError",
];

/// strerror(EMFILE).
const OPEN_FILES_COMPLAINTS: [&str; 1] = ["Too many open files"];
