//! Where the time of a campaign goes, by phase.
//!
//! The duel and the rooms below it say which phase begins; a phase within a phase takes over until it ends, so that no time is
//! counted twice. Costs some tens of nanoseconds each time. Read by `benches/throughput`.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A source image is made.
    Fixture,
    /// The candidate does its part of an operation, or looks at an output.
    CandidateCalls,
    /// The reference does its part of an operation, or looks at an output.
    ReferenceCalls,
    /// Both sides' files or answers are compared.
    Comparing,
    /// Contents are read and hashed.
    Hashing,
    /// Images are copied.
    Copying,
    /// What is left is removed, in a case's own thread or beside it.
    Cleanup,
    /// Everything else that belongs to a case.
    Other,
}

/// All phases, in the order in which they are told.
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
    /// Does `work` as this phase.
    pub fn of<T>(self, work: impl FnOnce() -> T) -> T {
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

/// Gives the outer phase back, also on the way of an early return.
struct Guard {
    outer: Option<Phase>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        switch(self.outer);
    }
}

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

    /// Other tests of this process count into the same totals: what is looked at is where a thread's time goes.
    #[test]
    fn a_phase_within_a_phase_is_counted_once() {
        let current = || CURRENT.get().map(|(phase, _)| phase as usize);
        let before = totals()[Phase::Copying as usize];
        let pause = Duration::from_millis(5);
        Phase::Fixture.of(|| {
            Phase::Copying.of(|| {
                assert_eq!(current(), Some(Phase::Copying as usize));
                std::thread::sleep(pause);
            });
            assert_eq!(current(), Some(Phase::Fixture as usize));
        });
        assert_eq!(current(), None);
        assert!(totals()[Phase::Copying as usize] - before >= pause);
    }
}
