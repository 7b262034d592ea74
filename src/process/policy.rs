//! The sandbox policy of a tool, as plain data: its resource limits, and what it may access.
//!
//! Images are hostile, and the tool may be too. A zygote (`setup.rs`) enforces a [`SandboxPolicy`] on a child before it
//! becomes the tool, together with the parts that are specific to a call; without a zygote, `confined_thread.rs` does
//! what is possible from outside. `layers` reports what a machine lacks; nothing is omitted silently. `watch.rs`
//! detects a call that exceeds its limits.

use std::sync::OnceLock;
use std::time::Duration;

use super::limits::{Limits, SetLimit};

/// The CPU time of one process for each second of the call's wall time limit.
const CPU_SECONDS_PER_SECOND: u64 = 4;

/// The resource limits of a tool, and what it may access.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SandboxPolicy {
    /// The resource limits; `None` for no limits.
    pub limits: Option<Limits>,
    /// Whether it may only write to its scratch directory, and use no network.
    pub is_confined: bool,
    /// Whether it also gets its own namespaces, if the machine allows them.
    pub is_apart: bool,
    /// Whether its flushes to the disk succeed without effect.
    pub flushes_off: bool,
}

impl Default for SandboxPolicy {
    fn default() -> Self {
        Self {
            limits: Some(Limits::default()),
            is_confined: true,
            is_apart: true,
            flushes_off: false,
        }
    }
}

impl SandboxPolicy {
    /// No restrictions.
    pub const OPEN: Self = Self {
        limits: None,
        is_confined: false,
        is_apart: false,
        flushes_off: false,
    };

    /// Returns the policy with flushes off.
    pub fn without_flushes(&self) -> Self {
        Self {
            flushes_off: true,
            ..self.clone()
        }
    }

    /// Whether it requires namespaces, if the machine allows them.
    pub(super) fn wants_namespaces(&self) -> bool {
        self.is_confined && self.is_apart
    }

    /// Returns the limits of a process with the wall time limit `wall` (`None` for a persistent process, which performs
    /// many requests), and with this address space in bytes if it is less than the policy's.
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
            // SIGXCPU ends the process; one that ignores it is killed a second later.
            set.push(limit(libc::RLIMIT_CPU, seconds, seconds + 1));
        }
        set
    }
}

/// The kernel counts processes and threads per user, and not at all for root: this only prevents a tool that forks
/// faster than it can be watched from exhausting the machine. It is the number at the beginning of the run plus a
/// reasonable number for tools.
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
