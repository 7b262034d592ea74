//! Wall time of a campaign by phase.
//!
//! The differential runner and the rooms that it calls mark where a phase begins. A nested phase takes over until it ends, so no time is
//! counted twice. Each switch costs some tens of nanoseconds. `benches/throughput` reads the totals.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a thread spends its time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Building a source image.
    Fixture,
    /// Calls of the candidate, for an operation or to inspect an output.
    CandidateCalls,
    /// Calls of the reference, for an operation or to inspect an output.
    ReferenceCalls,
    /// Comparing both sides' files or answers.
    Comparing,
    /// Reading and hashing contents.
    Hashing,
    /// Copying images.
    Copying,
    /// Removing scratch files, in the case's own thread or in the background.
    Cleanup,
    /// The rest of a case.
    Other,
}

/// All phases with their names, in the order in which [`totals`] returns them.
pub const PHASES: [(Phase, &str); 8] = [
    (Phase::Fixture, "fixture"),
    (Phase::CandidateCalls, "candidate calls"),
    (Phase::ReferenceCalls, "reference calls"),
    (Phase::Comparing, "comparing"),
    (Phase::Hashing, "hashing"),
    (Phase::Copying, "copying"),
    (Phase::Cleanup, "cleanup"),
    (Phase::Other, "other"),
];

/// Wall time by phase over all threads, in nanoseconds.
static TOTALS: [AtomicU64; PHASES.len()] = [const { AtomicU64::new(0) }; PHASES.len()];

thread_local! {
    static CURRENT: Cell<Option<(Phase, Instant)>> = const { Cell::new(None) };
}

impl Phase {
    /// Runs `work`, counts its wall time for this phase, and returns its result.
    pub fn time<T>(self, work: impl FnOnce() -> T) -> T {
        let guard = Guard {
            outer: switch(Some(self)),
        };
        let done = work();
        drop(guard);
        done
    }
}

/// Wall time spent in each phase by all threads of this process so far, in the order of [`PHASES`].
pub fn totals() -> [Duration; PHASES.len()] {
    [0, 1, 2, 3, 4, 5, 6, 7]
        .map(|index| Duration::from_nanos(TOTALS[index].load(Ordering::Relaxed)))
}

/// Restores the outer phase when it is dropped, so that early returns and panics restore it as well.
struct Guard {
    outer: Option<Phase>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        switch(self.outer);
    }
}

/// Ends this thread's current phase, adds its time to the totals, begins `to`, and returns the phase that ended.
fn switch(to: Option<Phase>) -> Option<Phase> {
    let now = Instant::now();
    let left = CURRENT.replace(to.map(|phase| (phase, now)));
    let (phase, since) = left?;
    let spent = now.saturating_duration_since(since).as_nanos() as u64;
    TOTALS[phase as usize].fetch_add(spent, Ordering::Relaxed);
    Some(phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other tests of this process add to the same totals, so this test checks the thread's current phase, and a lower bound of the total.
    #[test]
    fn a_nested_phase_is_counted_once() {
        let current = || CURRENT.get().map(|(phase, _)| phase as usize);
        let before = totals()[Phase::Copying as usize];
        let pause = Duration::from_millis(5);
        Phase::Fixture.time(|| {
            Phase::Copying.time(|| {
                assert_eq!(current(), Some(Phase::Copying as usize));
                std::thread::sleep(pause);
            });
            assert_eq!(current(), Some(Phase::Fixture as usize));
        });
        assert_eq!(current(), None);
        assert!(totals()[Phase::Copying as usize] - before >= pause);
    }
}
