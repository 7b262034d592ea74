//! Limits and measures the memory of a process.
//!
//! A tool is limited before its start (`SandboxPolicy::set_limits`); this module limits persistent processes from
//! outside, which perform one request after another. It limits the address space, so that memory that is allocated and
//! never touched counts as well.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::base::error::{Error, Result};

/// The value that makes the kernel reset the peak: proc_pid_clear_refs(5).
const FORGET_PEAK: &str = "5";

/// Limits the address space of a running process, or removes the limit as far as its policy allows. A process that has
/// already ended needs none.
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

/// Returns the maximum in bytes to which the process may raise its own limit: the policy's, which nobody may raise.
fn maximum(process: Pid) -> Option<u64> {
    let limits = format!("/proc/{}/limits", process.as_raw_nonzero());
    let limits = fs::read_to_string(limits).ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Makes the kernel reset the peak memory of a process. Without support, the peak of its whole life is reported.
pub(super) fn forget_peak(process: Pid) {
    let path = format!("/proc/{}/clear_refs", process.as_raw_nonzero());
    let _ = fs::write(path, FORGET_PEAK);
}

/// Returns the peak memory of this process since the last reset, in bytes; 0 if the system does not report it.
pub fn own_peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kibibytes.unwrap_or(0_u64) * 1024
}
