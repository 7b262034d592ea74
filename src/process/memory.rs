//! How much memory a process may have, and how much it had.
//!
//! A tool is limited before its start (`SandboxPolicy::set_limits`); here, from outside, is limited what is kept and does one thing after
//! another. It is a limit of the address space, so that what is allocated and never touched counts as well.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::base::error::{Error, Result};

/// How the kernel is told to forget the peak: proc_pid_clear_refs(5).
const FORGET_PEAK: &str = "5";

/// Limits the address space of a process that is there, or takes the limit away as far as its policy allows. One that is gone already
/// needs none.
pub(super) fn limit(process: Pid, bytes: Option<u64>) -> Result<()> {
    let maximum = maximum(process);
    let within = |bytes: u64| maximum.map_or(bytes, |maximum| bytes.min(maximum));
    let wanted = Rlimit {
        current: bytes.map(within).or(maximum),
        maximum,
    };
    match prlimit(Some(process), Resource::As, wanted) {
        Ok(_) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(Error::system(format!(
            "cannot limit a tool's memory: {error}"
        ))),
    }
}

/// What the process may raise its own limit to, in bytes: the policy's. Nobody may raise that.
fn maximum(process: Pid) -> Option<u64> {
    let limits = format!("/proc/{}/limits", process.as_raw_nonzero());
    let limits = fs::read_to_string(limits).ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Lets the kernel forget the most memory that a process had at once. Where it does not offer that, the peak of the whole life is told.
pub(super) fn forget_peak(process: Pid) {
    let path = format!("/proc/{}/clear_refs", process.as_raw_nonzero());
    let _ = fs::write(path, FORGET_PEAK);
}

/// The most memory that this process had at once since it was told to forget, in bytes; 0 where the system does not tell.
pub fn own_peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kibibytes.unwrap_or(0_u64) * 1024
}
