//! Many cases, several at a time, and what comes of them.
//!
//! Gets its cases one by one from a supply, which may learn from what came of them, and hands each record to the caller as it is made. What is done with
//! records is the reports' business.

/// The settings of both doors.
pub mod settings;

/// Several candidates on the same cases.
pub mod contest;

pub mod corpus;
pub mod guide;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use crate::base::error::{Error, Result};
use crate::campaign::contest::Contest;
use crate::case::Case;
use crate::process::{Interrupt, own_cpu_time, stop_requested, stop_requested_for};
use crate::run::record::{Record, Summary};

/// How often it is looked whether a stop was asked for, while no case ends.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// How long after a stop was asked for the cases in flight are waited for: their calls are ended after a second.
const LEFT_BEHIND_AFTER: Duration = Duration::from_millis(1700);

/// How a campaign goes on.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Cases at a time that keep a processor busy.
    pub jobs: usize,
    /// Whether the first divergence that is not known ends it.
    pub fail_fast: bool,
    /// When no more cases are drawn.
    pub until: Option<Instant>,
}

impl Pace {
    /// Threads. A case waits for one tool after another, and in between it copies and compares: with twice as many cases under way as
    /// there are to be tools at work, no processor stands idle meanwhile. One at a time is one at a time.
    fn hands(self) -> usize {
        match self.jobs {
            1 => 1,
            jobs => jobs * 2,
        }
    }
}

/// Where cases come from.
pub trait Supply: Send {
    /// The next one; `None` when there are no more.
    fn next(&mut self) -> Option<Result<Case>>;

    /// What came of one, before another is asked for by the same hand.
    fn learn(&mut self, case: &Case, record: &Record) {
        let _ = (case, record);
    }

    /// The campaign is over.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How many cases in a row that nobody can be asked end a campaign: no other is to be expected then.
const PASSED_OVER_MAX: usize = 2000;

/// Of these cases those that are of concern to somebody.
pub fn passing_over<'a>(
    cases: impl Iterator<Item = Case> + Send + 'a,
    concerns: impl Fn(&Case) -> bool + Send + 'a,
) -> impl Iterator<Item = Case> + Send + 'a {
    let mut passed_over = 0;
    let told = cases.map_while(move |case| {
        let is_of_concern = concerns(&case);
        passed_over = if is_of_concern { 0 } else { passed_over + 1 };
        (passed_over < PASSED_OVER_MAX).then(|| is_of_concern.then_some(case))
    });
    told.flatten()
}

impl<Cases: Iterator<Item = Result<Case>> + Send> Supply for Cases {
    fn next(&mut self) -> Option<Result<Case>> {
        Iterator::next(self)
    }
}

/// How a campaign ended.
#[derive(Debug)]
pub struct Ended {
    /// The figures, of however far it came.
    pub summary: Summary,
    /// Why it did not come to its end: interrupted, or the harness could not go on.
    pub cut_short: Option<Error>,
}

/// What the threads that try cases have in common.
struct Work<Cases> {
    contest: Arc<Contest>,
    cases: Mutex<Cases>,
    enough: AtomicBool,
    /// When no other case is begun.
    until: Option<Instant>,
}

/// Tries every case. `on_record` is called in the calling thread, in the order in which cases end.
///
/// When a stop is asked for, the cases in flight are waited for no longer than [`LEFT_BEHIND_AFTER`]: whatever keeps their threads busy then, they
/// end with the program, and the warden cleans up after them.
pub fn run(
    contest: &Arc<Contest>,
    cases: impl Supply + 'static,
    pace: Pace,
    mut summary: Summary,
    mut on_record: impl FnMut(&Record) -> Result<()>,
) -> Ended {
    let started = Instant::now();
    let own_cpu = own_cpu_time();
    let work = Arc::new(Work {
        contest: Arc::clone(contest),
        cases: Mutex::new(cases),
        enough: AtomicBool::new(false),
        until: pace.until,
    });
    let (results, mut cut_short) = begin(&work, pace.hands());
    work.enough.store(cut_short.is_some(), Ordering::Relaxed);
    loop {
        let tried = match results.recv_timeout(LOOK_AROUND) {
            Ok(tried) => tried,
            Err(RecvTimeoutError::Timeout) if stop_requested_for() < LEFT_BEHIND_AFTER => continue,
            Err(_) => break,
        };
        let counted = tried.and_then(|records| {
            summary.add_case(&records);
            let diverges = |record: &Record| record.class().is_open();
            if pace.fail_fast && records.iter().any(diverges) {
                work.enough.store(true, Ordering::Relaxed);
            }
            records.iter().try_for_each(&mut on_record)
        });
        if let Err(error) = counted {
            work.enough.store(true, Ordering::Relaxed);
            cut_short.get_or_insert(error);
        }
    }
    // A thread that was left behind may hold it for ever.
    let ended = match work.cases.try_lock() {
        Ok(mut cases) => cases.end(),
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().end(),
        Err(TryLockError::WouldBlock) => Ok(()),
    };
    if let Err(error) = ended {
        cut_short.get_or_insert(error);
    }
    if cut_short.is_none() && stop_requested() != Interrupt::None {
        cut_short = Some(Error::interrupted());
    }
    summary.finish(started.elapsed(), own_cpu_time().saturating_sub(own_cpu));
    Ended { summary, cut_short }
}

/// Starts the threads, and says where what came of each case can be had; with it why there are not so many as were wanted, if so.
fn begin(
    work: &Arc<Work<impl Supply + 'static>>,
    hands: usize,
) -> (mpsc::Receiver<Result<Vec<Record>>>, Option<Error>) {
    let (sender, results) = mpsc::channel();
    for _ in 0..hands {
        let (sender, work) = (sender.clone(), Arc::clone(work));
        let try_cases = move || {
            // A fault of ours in one thread must not look like the end of the cases.
            let next = || catch_unwind(AssertUnwindSafe(|| work.next()));
            while let Some(tried) = next().unwrap_or_else(|_| Some(Err(panicked()))) {
                if sender.send(tried).is_err() {
                    break;
                }
            }
        };
        if let Err(error) = thread::Builder::new().spawn(try_cases) {
            let error = Error::system(format!(
                "cannot start a thread for each case at a time ({error}): name fewer with --jobs"
            ));
            return (results, Some(error));
        }
    }
    (results, None)
}

fn panicked() -> Error {
    Error::system("imgduel itself panicked while it tried a case (see above): please report it")
}

impl<Cases: Supply> Work<Cases> {
    /// Tries the next case; `None` when there is none, or it is enough.
    fn next(&self) -> Option<Result<Vec<Record>>> {
        let is_over = self.until.is_some_and(|until| Instant::now() >= until);
        if is_over || self.enough.load(Ordering::Relaxed) || stop_requested() != Interrupt::None {
            return None;
        }
        let case = self.cases().next()?;
        Some(case.and_then(|case| {
            let records = self.contest.try_surely(&case)?;
            let mut cases = self.cases();
            records.iter().for_each(|record| cases.learn(&case, record));
            Ok(records)
        }))
    }

    fn cases(&self) -> MutexGuard<'_, Cases> {
        self.cases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
