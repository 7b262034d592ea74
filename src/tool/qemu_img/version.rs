//! What a version of qemu-img says about the program.
//!
//! Only qemu-img's own file uses this.

use std::ops::RangeInclusive;

/// The major versions whose workers wait by a condition alone (util/thread-pool.c since 7.1), as far as they were tried.
const KNOWN_WORKERS: RangeInclusive<u32> = 10..=10;

/// Returns the major version; 0 if there is none.
pub(super) fn major(version: &str) -> u32 {
    let first = version.split('.').next().unwrap_or_default();
    first.parse().unwrap_or(0)
}

/// Whether the workers of this version can run inside the thread that hands them work (`preload/user_threads.rs`).
pub(super) fn has_known_workers(version: &str) -> bool {
    KNOWN_WORKERS.contains(&major(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_known_of_versions_that_were_tried() {
        for (version, known) in [
            ("10.0.2", true),
            ("10.1.0", true),
            ("7.2.22", false),
            ("11.1.3", false),
            ("git", false),
        ] {
            assert_eq!(has_known_workers(version), known, "{version}");
        }
    }
}
