//! The wish to stop, and the one place that waits.
//!
//! A signal handler sets the wish ([`request_stop`]); the campaign reads it between cases, and [`wait`] looks at it: a case in flight may come to its
//! end within [`POLITE`], then the call that it makes is ended; a second Ctrl-C ends it at once. [`readable_within`] does not look: it is for what
//! answers as soon as it gets a processor.

use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::base::error::{Error, Result};

/// The longest a wait goes on without looking whether a stop was asked for.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// How long after the first wish the cases in flight may go on.
const POLITE: Duration = Duration::from_secs(1);

static WISHES: AtomicU8 = AtomicU8::new(0);

/// When the first wish came.
static FIRST: OnceLock<Instant> = OnceLock::new();

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Nothing: go on.
    None,
    /// Begin no other case; those in flight have a moment to come to their end.
    Politely,
    /// Kill what runs, clean up, stop.
    AtOnce,
}

/// Asks to stop: politely the first time, at once from the second time on.
pub fn request_stop() {
    FIRST.get_or_init(Instant::now);
    let wishes = WISHES.load(Ordering::Relaxed);
    WISHES.store(wishes.saturating_add(1), Ordering::Relaxed);
}

/// What has been asked for so far; what was asked for politely is meant when it was not heard for a while.
pub fn stop_requested() -> Interrupt {
    match WISHES.load(Ordering::Relaxed) {
        0 => Interrupt::None,
        1 if stop_requested_for() < POLITE => Interrupt::Politely,
        _ => Interrupt::AtOnce,
    }
}

/// How long ago a stop was first asked for; nothing when it was not.
pub fn stop_requested_for() -> Duration {
    FIRST.get().map_or(Duration::ZERO, Instant::elapsed)
}

/// Whether this can be read, or has come to its end, within `grace`; no signal cuts the wait short.
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

/// Waits until one of `waits` is ready or `until` has come; an error when a stop at once was asked for.
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
