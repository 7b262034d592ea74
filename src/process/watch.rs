//! Watches a call that takes long: whether it exceeds its resource limits and, at its time limit, whether it is busy or
//! stuck.
//!
//! A short call is never sampled, so it costs nothing. [`run`](super::call::run) and the dialogue use it.

use std::path::Path;
use std::time::{Duration, Instant};

use super::ending::Ending;
use super::invocation::Invocation;
use super::limits::{HitLimit, Limit, Limits};
use super::policy::SandboxPolicy;
use super::post_mortem::PostMortem;
use super::pulse::{Kin, Pulse};
use super::usage;

/// The time from the start to the first sample; each later interval is twice as long, up to [`LOOK_RARELY`].
const LOOK_FIRST: Duration = Duration::from_millis(50);

/// The time after the start in which a call's processes are recognized by being younger than it: a machine does not
/// wrap around its process ids in this time.
const YOUNG: Duration = Duration::from_millis(500);

/// The maximum interval between two samples.
const LOOK_RARELY: Duration = Duration::from_millis(250);

/// The maximum number of time limits for a call that needs a processor and hardly gets one: its limit starts again,
/// because the machine is slow, not the tool.
const STARVED_LIMITS_MAX: u32 = 10;

/// A call in progress.
pub(super) struct Watch<'call> {
    kin: Kin,
    started: Instant,
    young_until: Instant,
    limits: Option<&'call Limits>,
    scratch: &'call Path,
    limit: Duration,
    /// The time in which progress must show: a tenth of the limit.
    window: Duration,
    deadline: Instant,
    /// The deadline of a busy call.
    last_deadline: Instant,
    /// The deadline of a starved call.
    last_deadline_starved: Instant,
    before: Option<Pulse>,
    /// The time of the first sample since the start, or since the limit started again, and the CPU time in seconds at
    /// that time.
    first: Option<(Instant, f64)>,
    next_pulse: Instant,
    next_look: Instant,
    pause: Duration,
}

impl<'call> Watch<'call> {
    /// Watches a call from its start on.
    pub(super) fn new(kin: Kin, started: Instant, invocation: &Invocation<'call>) -> Self {
        let Invocation {
            directory,
            limit,
            grace,
            sandbox,
            ..
        } = *invocation;
        let watch = Self::of_kin(kin, started, limit, grace);
        Self {
            young_until: started + YOUNG,
            ..watch.limited(sandbox, directory)
        }
    }

    /// Watches a group that gets a request at `started` with this `limit`, and `grace` in addition while it is busy.
    pub(super) fn of_kin(kin: Kin, started: Instant, limit: Duration, grace: Duration) -> Self {
        let window = limit / 10;
        let deadline = started + limit;
        Self {
            kin,
            started,
            young_until: started,
            limits: None,
            scratch: Path::new("."),
            limit,
            window,
            deadline,
            last_deadline: deadline + grace,
            last_deadline_starved: started + limit * STARVED_LIMITS_MAX,
            before: None,
            first: None,
            next_pulse: deadline - window,
            next_look: started + LOOK_FIRST,
            pause: LOOK_FIRST,
        }
    }

    /// Also watches its resource limits.
    pub(super) fn limited(
        self,
        sandbox: Option<&'call SandboxPolicy>,
        scratch: &'call Path,
    ) -> Self {
        Self {
            limits: sandbox.and_then(|policy| policy.limits.as_ref()),
            scratch,
            ..self
        }
    }

    /// Returns the time of the next sample.
    pub(super) fn next(&self) -> Instant {
        let next = self.next_pulse.min(self.deadline);
        match self.limits {
            Some(_) => next.min(self.next_look),
            None => next,
        }
    }

    /// Takes a sample if it is time; returns the ending if the call must not continue.
    pub(super) fn look(&mut self) -> Option<Ending> {
        let now = Instant::now();
        if now < self.next() {
            return None;
        }
        let pulse = match now < self.young_until && now < self.next_pulse {
            true => Pulse::of_young_group(self.kin),
            false => Pulse::of_group(self.kin),
        };
        let (then, cpu_seconds) = *self.first.get_or_insert((now, pulse.cpu_seconds()));
        if let Some(hit) = self.used_up(now, &pulse) {
            return Some(Ending::HitLimit(hit));
        }
        if now < self.deadline {
            if now >= self.next_pulse {
                self.before = Some(pulse);
                self.next_pulse = self.deadline;
            }
            return None;
        }
        let Some(before) = &self.before else {
            // The harness itself had to wait for a processor: progress must show from now on.
            self.deadline = now + self.window;
            self.next_pulse = self.deadline;
            self.before = Some(pulse);
            return None;
        };
        if now < self.last_deadline_starved && pulse.is_starved(cpu_seconds, now - then) {
            self.deadline = (now + self.limit).min(self.last_deadline_starved);
            self.next_pulse = self.deadline - self.window;
            self.first = Some((now, pulse.cpu_seconds()));
            return None;
        }
        let is_busy = pulse.has_moved_since(before);
        if is_busy && now < self.last_deadline {
            self.deadline = (now + self.window).min(self.last_deadline);
            self.next_pulse = self.deadline;
            self.before = Some(pulse);
            return None;
        }
        let post_mortem = PostMortem::new(pulse, now - self.started, is_busy);
        Some(Ending::TimedOut(post_mortem))
    }

    fn used_up(&mut self, now: Instant, pulse: &Pulse) -> Option<HitLimit> {
        let limits = self.limits?;
        if now < self.next_look {
            return None;
        }
        self.pause = (self.pause * 2).min(LOOK_RARELY);
        self.next_look = now + self.pause;
        if pulse.processes.len() as u64 > limits.processes {
            return Some(HitLimit::new(Limit::Processes, limits.processes));
        }
        let held = usage::measured_in(self.scratch, &pulse.numbers);
        // Memory that processes share counts for each of them: the limit is far above that.
        if pulse.memory_bytes + held.memory_bytes > limits.memory_bytes {
            return Some(HitLimit::new(Limit::Memory, limits.memory_bytes));
        }
        (held.scratch_bytes > limits.scratch_bytes)
            .then(|| HitLimit::new(Limit::DiskQuota, limits.scratch_bytes))
    }
}
