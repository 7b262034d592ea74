//! The resource limits of one call, and the limit that a call exceeded: plain data.
//!
//! Part of a [`SandboxPolicy`](super::SandboxPolicy); records contain a [`HitLimit`]. `policy.rs` and `watch.rs`
//! describe who enforces them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The default maximum address space of one process, in bytes.
pub const ADDRESS_SPACE_BYTES: u64 = 4 << 30;

/// The default maximum memory in use by all processes of a call, in bytes.
pub const MEMORY_BYTES: u64 = 2 << 30;

/// The default maximum length of one file, in bytes. Sparse images are long; [`SCRATCH_BYTES`] limits their space.
pub const FILE_BYTES: u64 = 1 << 42;

/// The default maximum number of open files of one process.
pub const OPEN_FILES: u64 = 256;

/// The default maximum number of processes of one call.
pub const PROCESSES: u64 = 64;

/// The default maximum disk space of a side's scratch directory, in bytes.
pub const SCRATCH_BYTES: u64 = 6 << 30;

/// The resource limits of one call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The address space of each process, in bytes.
    pub address_space_bytes: u64,
    /// The memory in use by all processes, in bytes.
    pub memory_bytes: u64,
    /// The length of each file, in bytes.
    pub file_bytes: u64,
    /// The open files of each process.
    pub open_files: u64,
    /// The number of processes.
    pub processes: u64,
    /// The CPU time of each process, in whole seconds; `None` for four times the wall time.
    pub cpu_seconds: Option<u64>,
    /// The disk space of the scratch directory, in bytes.
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

/// A limit in the form of the system, setrlimit(2).
#[derive(Clone, Copy, Debug)]
pub(super) struct SetLimit {
    pub(super) resource: u32,
    pub(super) soft: u64,
    pub(super) hard: u64,
}

/// A limited resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Address space, or memory in use, in bytes.
    Memory,
    /// The length of a file in bytes.
    FileSize,
    /// The open files of a process.
    OpenFiles,
    /// The number of processes.
    Processes,
    /// The CPU time in seconds; 0 if it depends on the wall time.
    Cpu,
    /// The disk space of the scratch directory in bytes.
    DiskQuota,
}

impl Limit {
    /// Returns its name.
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

/// A limit that a tool exceeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HitLimit {
    /// The resource.
    pub limit: Limit,
    /// The limit, in the unit of the resource.
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
