//! Requests to stop, and the one place that waits.
//!
//! A signal handler requests a stop ([`request_stop`]); the campaign checks it between cases, and [`wait`] checks it
//! too: a case in flight may complete within [`POLITE`], then its current call is killed; a second Ctrl-C kills it at
//! once. [`readable_within`] does not check, because it waits for processes that answer as soon as they get a
//! processor.

use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::base::error::{Error, Result};

/// The maximum time of a wait without checking for a stop.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// How long the cases in flight may continue after the first request.
const POLITE: Duration = Duration::from_secs(1);

static WISHES: AtomicU8 = AtomicU8::new(0);

/// When the first request came.
static FIRST: OnceLock<Instant> = OnceLock::new();

/// What was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Nothing.
    None,
    /// Start no other case; those in flight may complete for a moment.
    Politely,
    /// Kill what runs, clean up, and stop.
    AtOnce,
}

/// Requests a stop: politely the first time, at once from the second time on.
pub fn request_stop() {
    FIRST.get_or_init(Instant::now);
    let wishes = WISHES.load(Ordering::Relaxed);
    WISHES.store(wishes.saturating_add(1), Ordering::Relaxed);
}

/// Returns what was requested so far. A polite request becomes one to stop at once if it is not fulfilled for a while.
pub fn stop_requested() -> Interrupt {
    match WISHES.load(Ordering::Relaxed) {
        0 => Interrupt::None,
        1 if stop_requested_for() < POLITE => Interrupt::Politely,
        _ => Interrupt::AtOnce,
    }
}

/// Returns how long ago a stop was first requested; zero if it was not.
pub fn stop_requested_for() -> Duration {
    FIRST.get().map_or(Duration::ZERO, Instant::elapsed)
}

/// Whether the descriptor becomes readable, or reaches its end, within `grace`; signals do not shorten the wait.
pub(super) fn readable_within(
    descriptor: BorrowedFd<'_>,
    grace: Duration,
) -> std::result::Result<bool, Errno> {
    let timeout = timeout(grace);
    let mut waits = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    loop {
        match poll(&mut waits, Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn timeout(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs() as i64,
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

/// Waits until one of `waits` is ready or until `until`; returns an error if a stop at once was requested.
pub(super) fn wait(waits: &mut [PollFd<'_>], until: Instant) -> Result<()> {
    loop {
        if stop_requested() == Interrupt::AtOnce {
            return Err(Error::interrupted());
        }
        let left = until.saturating_duration_since(Instant::now());
        let slice = left.min(LOOK_AROUND);
        match poll(waits, Some(&timeout(slice))) {
            Ok(0) if left > slice => {}
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(Error::system(format!("cannot wait for a tool: {error}"))),
        }
    }
}
