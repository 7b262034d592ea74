//! The cage of a tool, as plain data: what it may use up, and what it may touch.
//!
//! Images are hostile, and so may be the tool. [`Cage::set_limits`] and [`Cage::ruleset`] are what a starter gives a child before it
//! is the tool, beside what it entered itself (`setup.rs`); where there is none, [`Cage::confine`] confines a thread and [`Cage::limit_late`] the process that it started. What cannot be had on a machine is told by
//! [`layers`](super::layers), never silently left out. Using up more than is allowed is watched in `watch.rs`.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde::{Deserialize, Serialize};

use super::{Captured, Ending, confinement, refusal};

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

/// CPU time of one process, for each second of wall time that the call may take.
const CPU_SECONDS_PER_SECOND: u64 = 4;

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

/// What a tool may use up and touch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cage {
    /// What it may use up; none: whatever there is.
    pub limits: Option<Limits>,
    /// Whether it may write to its scratch directory only, and reach no network.
    pub is_confined: bool,
    /// Whether it is also put into namespaces of its own, where the machine allows it.
    pub is_apart: bool,
    /// Whether its flushes to the disk are made to succeed without being done.
    pub flushes_off: bool,
}

impl Default for Cage {
    fn default() -> Self {
        Self {
            limits: Some(Limits::default()),
            is_confined: true,
            is_apart: true,
            flushes_off: false,
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

impl Cage {
    /// None at all.
    pub const OPEN: Self = Self {
        limits: None,
        is_confined: false,
        is_apart: false,
        flushes_off: false,
    };

    /// The same with flushes off.
    pub fn without_flushes(&self) -> Self {
        Self {
            flushes_off: true,
            ..self.clone()
        }
    }

    /// Does `deed` in a thread of its own that is confined for good, with everything that it starts: writing below `scratch` only,
    /// where there is one.
    pub(super) fn confine<T: Send>(
        &self,
        scratch: Option<&Path>,
        deed: impl FnOnce() -> T + Send,
    ) -> io::Result<T> {
        if !self.is_confined && !self.flushes_off {
            return Ok(deed());
        }
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| self.enter(scratch).map(|()| deed()));
            match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn enter(&self, scratch: Option<&Path>) -> io::Result<()> {
        if self.is_confined {
            confinement::give_up_rights()?;
            scratch.map_or(Ok(()), confinement::write_only_below)?;
        }
        refusal::enter(self.is_confined, self.flushes_off)
    }

    /// What a process is limited to that may take `wall` time (none: it is kept, and does many things), and this much address space, in
    /// bytes, where that is less than the cage's.
    pub(super) fn set_limits(&self, wall: Option<Duration>, memory: Option<u64>) -> Vec<SetLimit> {
        let limit = |resource, soft, hard| SetLimit {
            resource,
            soft,
            hard,
        };
        let Some(limits) = &self.limits else {
            let own = memory.map(|bytes| limit(libc::RLIMIT_AS, bytes, libc::RLIM_INFINITY));
            return own.into_iter().collect();
        };
        let space = limits.address_space_bytes;
        let mut set = vec![limit(
            libc::RLIMIT_AS,
            memory.map_or(space, |bytes| bytes.min(space)),
            space,
        )];
        let amounts = [
            (libc::RLIMIT_FSIZE, limits.file_bytes),
            (libc::RLIMIT_NOFILE, limits.open_files),
            (libc::RLIMIT_CORE, 0),
            (libc::RLIMIT_NPROC, processes_of_user_max()),
        ];
        set.extend(amounts.map(|(resource, amount)| limit(resource, amount, amount)));
        let by_wall = |wall: Duration| (wall.as_secs() + 1) * CPU_SECONDS_PER_SECOND;
        if let Some(wall) = wall {
            let seconds = limits.cpu_seconds.unwrap_or(by_wall(wall));
            // It ends a process by SIGXCPU; one that will not hear it is killed a second later.
            set.push(limit(libc::RLIMIT_CPU, seconds, seconds + 1));
        }
        set
    }

    /// Limits a process that was started without a starter. One that has ended already needs no limits.
    pub(super) fn limit_late(&self, process: Pid, limits: &[SetLimit]) {
        const RESOURCES: [(u32, Resource); 6] = [
            (libc::RLIMIT_AS, Resource::As),
            (libc::RLIMIT_FSIZE, Resource::Fsize),
            (libc::RLIMIT_NOFILE, Resource::Nofile),
            (libc::RLIMIT_CORE, Resource::Core),
            (libc::RLIMIT_NPROC, Resource::Nproc),
            (libc::RLIMIT_CPU, Resource::Cpu),
        ];
        for limit in limits {
            let meant = RESOURCES
                .iter()
                .find(|(number, _)| *number == limit.resource);
            let Some((_, resource)) = meant else {
                continue;
            };
            let amounts = Rlimit {
                current: Some(limit.soft),
                maximum: Some(limit.hard).filter(|hard| *hard != libc::RLIM_INFINITY),
            };
            let _ = prlimit(Some(process), *resource, amounts);
        }
    }

    /// What a child in `scratch` restricts itself by; nothing, where it is not to, or the kernel has no Landlock.
    pub(super) fn ruleset(&self, scratch: &Path) -> io::Result<Option<OwnedFd>> {
        match self.is_confined {
            true => confinement::ruleset_below(scratch),
            false => Ok(None),
        }
    }

    /// The limit that an ending tells of, by its signal or by what the tool complained about.
    pub(super) fn hit(&self, ending: &Ending, complaint: &Captured) -> Option<HitLimit> {
        let limits = self.limits.as_ref()?;
        match ending {
            Ending::Signaled(libc::SIGXFSZ) => {
                return Some(HitLimit::new(Limit::FileSize, limits.file_bytes));
            }
            Ending::Signaled(libc::SIGXCPU) => {
                let allowed = limits.cpu_seconds.unwrap_or_default();
                return Some(HitLimit::new(Limit::Cpu, allowed));
            }
            Ending::Exited(0) | Ending::TimedOut(_) | Ending::HitLimit(_) => return None,
            Ending::Exited(_) | Ending::Signaled(_) => {}
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

/// The kernel counts processes and threads by user, and not at all for root: this is only what stops a tool that forks faster than it can be
/// watched from taking the machine with it. What was there at the beginning of the run, and as many more as tools may reasonably need.
fn processes_of_user_max() -> u64 {
    const SPARE: u64 = 4096;
    static THERE: OnceLock<u64> = OnceLock::new();
    *THERE.get_or_init(|| {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        // proc_loadavg(5): the fourth field is runnable/existing scheduling entities.
        let entities = load.split_whitespace().nth(3);
        let existing = entities.and_then(|field| field.split('/').nth(1)?.parse::<u64>().ok());
        existing.unwrap_or_default() + SPARE
    })
}

/// How programs say that no memory was left: strerror(ENOMEM), the shells, the GNU tools, GLib, Rust, C++, Python.
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
