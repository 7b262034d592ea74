//! Runs many cases in parallel.
//!
//! A campaign takes its cases one by one from a `CaseSource`, which may learn from the results, and passes each record to the caller as soon
//! as it is complete. Both entry points call [`run`]. Reports are made elsewhere, from the records.

/// The settings that both entry points share.
pub mod settings;

/// Runs the same cases with several candidates.
pub mod candidate_set;

/// Tools that a run must have.
pub mod required;

/// All tools of this machine.
pub mod tools_here;

pub mod corpus;
pub mod guide;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use crate::base::error::{Error, Result};
use crate::campaign::candidate_set::CandidateSet;
use crate::case::Case;
use crate::process::{Interrupt, own_cpu_time, stop_requested, stop_requested_for};
use crate::run::record::{Record, Summary};

/// How often the campaign checks for a stop request while no case ends.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long the campaign waits for running cases after a stop request. Their tool calls are ended after one second.
const ABANDON_AFTER: Duration = Duration::from_millis(1700);

/// How many cases run at a time, and when the campaign ends early.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many cases are to keep a processor busy at a time.
    pub jobs: usize,
    /// Whether the first unknown divergence ends the campaign.
    pub fail_fast: bool,
    /// The time after which no case is started.
    pub until: Option<Instant>,
}

impl Pace {
    /// Returns the number of worker threads. A case alternates between waiting for a tool and copying or comparing files, so twice as
    /// many threads as jobs keep the processors busy. With one job, cases run strictly one after another.
    fn worker_count(self) -> usize {
        match self.jobs {
            1 => 1,
            jobs => jobs * 2,
        }
    }
}

/// A source of cases.
pub trait CaseSource: Send {
    /// Returns the next case; `None` if there are no more.
    fn next(&mut self) -> Option<Result<Case>>;

    /// Learns the result of a case. The worker thread that ran the case calls this before it asks for another.
    fn learn(&mut self, case: &Case, record: &Record) {
        let _ = (case, record);
    }

    /// Finishes the campaign.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// After this many consecutive cases that no candidate supports, the campaign ends, because supported ones are unlikely to follow.
const PASSED_OVER_MAX: usize = 2000;

/// Omits the cases that no candidate supports, as `concerns` says. Ends after `PASSED_OVER_MAX` such cases in a row.
pub fn passing_over<'a>(
    cases: impl Iterator<Item = Case> + Send + 'a,
    concerns: impl Fn(&Case) -> bool + Send + 'a,
) -> impl Iterator<Item = Case> + Send + 'a {
    let mut passed_over = 0;
    let supported = cases.map_while(move |case| {
        let is_of_concern = concerns(&case);
        passed_over = if is_of_concern { 0 } else { passed_over + 1 };
        (passed_over < PASSED_OVER_MAX).then(|| is_of_concern.then_some(case))
    });
    supported.flatten()
}

impl<Cases: Iterator<Item = Result<Case>> + Send> CaseSource for Cases {
    fn next(&mut self) -> Option<Result<Case>> {
        Iterator::next(self)
    }
}

/// The result of a campaign.
#[derive(Debug)]
pub struct Ended {
    /// The figures of all cases that ended.
    pub summary: Summary,
    /// Why the campaign ended early: an interrupt or an error of the harness. `None` if it completed.
    pub cut_short: Option<Error>,
}

/// The state that the worker threads share.
struct Work<Cases> {
    candidate_set: Arc<CandidateSet>,
    cases: Mutex<Cases>,
    enough: AtomicBool,
    /// The time after which no case is started.
    until: Option<Instant>,
}

/// Runs every case. Calls `on_record` in the calling thread, in the order in which cases end.
///
/// After a stop request, the campaign waits for running cases for at most `ABANDON_AFTER`. Threads that are still busy then end with
/// the program, and the reaper removes their processes and files.
pub fn run(
    candidate_set: &Arc<CandidateSet>,
    cases: impl CaseSource + 'static,
    pace: Pace,
    mut summary: Summary,
    mut on_record: impl FnMut(&Record) -> Result<()>,
) -> Ended {
    let started = Instant::now();
    let own_cpu = own_cpu_time();
    let work = Arc::new(Work {
        candidate_set: Arc::clone(candidate_set),
        cases: Mutex::new(cases),
        enough: AtomicBool::new(false),
        until: pace.until,
    });
    let (results, mut cut_short) = begin(&work, pace.worker_count());
    work.enough.store(cut_short.is_some(), Ordering::Relaxed);
    loop {
        let tried = match results.recv_timeout(STOP_CHECK_INTERVAL) {
            Ok(tried) => tried,
            Err(RecvTimeoutError::Timeout) if stop_requested_for() < ABANDON_AFTER => continue,
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
    // A thread that was left behind may hold the lock forever.
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

/// Starts the worker threads. Returns the channel of their results, and an error if not all threads could be started.
fn begin(
    work: &Arc<Work<impl CaseSource + 'static>>,
    worker_count: usize,
) -> (mpsc::Receiver<Result<Vec<Record>>>, Option<Error>) {
    let (sender, results) = mpsc::channel();
    for _ in 0..worker_count {
        let (sender, work) = (sender.clone(), Arc::clone(work));
        let try_cases = move || {
            // A panic of the harness in one thread must be reported, not taken for the end of the cases.
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

impl<Cases: CaseSource> Work<Cases> {
    /// Runs the next case with every candidate; `None` if there is no case left or the campaign is to end.
    fn next(&self) -> Option<Result<Vec<Record>>> {
        let is_over = self.until.is_some_and(|until| Instant::now() >= until);
        if is_over || self.enough.load(Ordering::Relaxed) || stop_requested() != Interrupt::None {
            return None;
        }
        let case = self.cases().next()?;
        Some(case.and_then(|case| {
            let records = self.candidate_set.run_confirmed(&case)?;
            let mut cases = self.cases();
            records.iter().for_each(|record| cases.learn(&case, record));
            Ok(records)
        }))
    }

    fn cases(&self) -> MutexGuard<'_, Cases> {
        self.cases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
