//! The limits of each call of a reproducer, where the divergence is about time, memory, or output without end.

use std::time::Duration;

use super::exits;
use crate::oracle::verdict::{Difference, DivergenceKind};

/// The minimum time limit of a reproducer for a timeout, in seconds.
const LIMIT_MIN_SECONDS: u64 = 1;

/// The signal that ends a tool that exceeds the maximum length of a file.
const FILE_SIZE_SIGNAL: &str = "SIGXFSZ";

/// That length in a reproducer, in the units of 512 bytes of POSIX's `ulimit -f`: 1 TiB.
const FILE_BLOCKS: u64 = 1 << 31;

/// The address space that the harness allows, in the KiB of `ulimit -v`.
const MEMORY_KIB: u64 = 2 << 20;

/// The address space for a tool whose allocations succeeded but whose peak exceeded the maximum: less, so that they
/// fail.
const MEMORY_KIB_MAX: u64 = 512 << 10;

/// Returns the prefix of each call, if the divergence is about time, memory, or output without end.
pub(super) fn call_limit(
    kind: DivergenceKind,
    resources: Option<&str>,
    limit: Duration,
) -> Option<String> {
    let seconds = limit.as_secs().max(LIMIT_MIN_SECONDS);
    match kind {
        DivergenceKind::CandidateTimeout => Some(format!("timeout {seconds} ")),
        _ => resources.map(|limits| format!("sh -c '{limits}exec \"$@\"' sh ")),
    }
}

/// Returns the shell commands that limit a tool's resources.
pub(super) fn resource_limits(kind: DivergenceKind, differences: &[Difference]) -> Option<String> {
    let is_endless = |found: &Difference| found.candidate.contains(FILE_SIZE_SIGNAL);
    let memory = match exits::is_about_a_peak(differences) {
        true => MEMORY_KIB_MAX,
        false => MEMORY_KIB,
    };
    if differences.iter().any(is_endless) {
        return Some(format!("ulimit -f {FILE_BLOCKS}; "));
    }
    (kind == DivergenceKind::MalformedMemory).then(|| format!("ulimit -v {memory}; "))
}
