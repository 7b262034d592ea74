//! What one call may use up, and which limit one ran into: plain data.
//!
//! Part of a [`SandboxPolicy`](super::SandboxPolicy); records hold a [`HitLimit`]. Who enforces them is told in `policy.rs` and `watch.rs`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Address space of one process, in bytes.
pub const ADDRESS_SPACE_BYTES: u64 = 4 << 30;

/// Memory that a call's processes may have in use together, in bytes.
pub const MEMORY_BYTES: u64 = 2 << 30;

/// The length of one file, in bytes. Sparse images are long; what they take up is limited by [`SCRATCH_BYTES`].
pub const FILE_BYTES: u64 = 1 << 42;

/// Files that one process may have open.
pub const OPEN_FILES: u64 = 256;

/// Processes of one call.
pub const PROCESSES: u64 = 64;

/// What a side's scratch directory may take up on the disk, in bytes.
pub const SCRATCH_BYTES: u64 = 6 << 30;

/// What one call may use up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Address space of each process, in bytes.
    pub address_space_bytes: u64,
    /// Memory in use by all processes, in bytes.
    pub memory_bytes: u64,
    /// The length of each file, in bytes.
    pub file_bytes: u64,
    /// Open files of each process.
    pub open_files: u64,
    /// Processes.
    pub processes: u64,
    /// CPU time of each process, in whole seconds; none: four times the wall time.
    pub cpu_seconds: Option<u64>,
    /// What the scratch directory may take up on the disk, in bytes.
    pub scratch_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            address_space_bytes: ADDRESS_SPACE_BYTES,
            memory_bytes: MEMORY_BYTES,
            file_bytes: FILE_BYTES,
            open_files: OPEN_FILES,
            processes: PROCESSES,
            cpu_seconds: None,
            scratch_bytes: SCRATCH_BYTES,
        }
    }
}

/// A limit as the system takes it, setrlimit(2).
#[derive(Clone, Copy, Debug)]
pub(super) struct SetLimit {
    pub(super) resource: u32,
    pub(super) soft: u64,
    pub(super) hard: u64,
}

/// What there is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Address space, or memory in use, in bytes.
    Memory,
    /// The length of a file in bytes.
    FileSize,
    /// Open files of a process.
    OpenFiles,
    /// Processes.
    Processes,
    /// CPU time in seconds; 0 when it goes by the wall time.
    Cpu,
    /// Bytes of the scratch directory on the disk.
    DiskQuota,
}

impl Limit {
    /// Its name, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::FileSize => "file size",
            Self::OpenFiles => "open files",
            Self::Processes => "processes",
            Self::Cpu => "CPU",
            Self::DiskQuota => "disk quota",
        }
    }
}

/// A limit that a tool ran into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HitLimit {
    /// Of what.
    pub limit: Limit,
    /// How much is allowed, in the limit's own unit.
    pub allowed: u64,
}

impl HitLimit {
    pub(super) fn new(limit: Limit, allowed: u64) -> Self {
        Self { limit, allowed }
    }
}

impl fmt::Display for HitLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, allowed } = self;
        write!(formatter, "hit its limit of {}", limit.name())?;
        match limit {
            Limit::Memory | Limit::FileSize | Limit::DiskQuota => {
                write!(formatter, " ({allowed} bytes)")
            }
            Limit::Cpu if *allowed == 0 => Ok(()),
            Limit::Cpu => write!(formatter, " ({allowed} s)"),
            Limit::OpenFiles | Limit::Processes => write!(formatter, " ({allowed})"),
        }
    }
}
