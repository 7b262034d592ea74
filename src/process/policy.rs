//! The sandbox of a tool, as plain data: what a tool may use up, and what it may touch.
//!
//! Images are hostile, and so may be the tool. A [`SandboxPolicy`] is enforced on a child before it is the tool, by its zygote (`setup.rs`) and by
//! what each call gives it; without a zygote, `confined_thread.rs` does what can be done from outside. What a machine lacks is told by
//! `layers`, never silently left out. `watch.rs` watches for a call that uses up more than it may.

use std::sync::OnceLock;
use std::time::Duration;

use super::limits::{Limits, SetLimit};

/// CPU time of one process, for each second of wall time that the call may take.
const CPU_SECONDS_PER_SECOND: u64 = 4;

/// What a tool may use up and touch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SandboxPolicy {
    /// What it may use up; none: whatever there is.
    pub limits: Option<Limits>,
    /// Whether it may write to its scratch directory only, and reach no network.
    pub is_confined: bool,
    /// Whether it is also put into namespaces of its own, where the machine allows it.
    pub is_apart: bool,
    /// Whether its flushes to the disk are made to succeed without being done.
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

    /// The same policy with flushes off.
    pub fn without_flushes(&self) -> Self {
        Self {
            flushes_off: true,
            ..self.clone()
        }
    }

    /// Whether it asks for namespaces, where the machine allows them.
    pub(super) fn wants_namespaces(&self) -> bool {
        self.is_confined && self.is_apart
    }

    /// What a process is limited to that may take `wall` time (none: it is kept, and does many things), and this much address space, in
    /// bytes, where that is less than the policy's.
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
