//! Many cases, several at a time, and what comes of them.
//!
//! Gets its cases one by one from a supply, which may learn from what came of them, and hands each record to the caller as it is made. What is done with
//! records is the reports' business.

pub mod corpus;
pub mod guide;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Instant;

use crate::case::Case;
use crate::contest::Contest;
use crate::error::{Error, Result};
use crate::process::{Interrupt, own_cpu_time, stop_requested};
use crate::record::{Record, Summary};

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

/// Tries every case. `on_record` is called in the calling thread, in the order in which cases end.
pub fn run(
    contest: &Contest,
    cases: impl Supply,
    pace: Pace,
    mut summary: Summary,
    mut on_record: impl FnMut(&Record) -> Result<()>,
) -> Ended {
    let started = Instant::now();
    let own_cpu = own_cpu_time();
    let cases = Mutex::new(cases);
    let enough = AtomicBool::new(false);
    let mut cut_short = None;
    std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..pace.hands() {
            let (sender, cases, enough) = (sender.clone(), &cases, &enough);
            scope.spawn(move || {
                while let Some(case) = next(cases, enough, pace.until) {
                    let tried = case.and_then(|case| {
                        let records = contest.try_surely(&case)?;
                        let mut cases = cases.lock().unwrap_or_else(PoisonError::into_inner);
                        records.iter().for_each(|record| cases.learn(&case, record));
                        Ok(records)
                    });
                    if sender.send(tried).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for tried in results {
            let counted = tried.and_then(|records| {
                summary.add_case(&records);
                let diverges = |record: &Record| record.class().is_open();
                if pace.fail_fast && records.iter().any(diverges) {
                    enough.store(true, Ordering::Relaxed);
                }
                records.iter().try_for_each(&mut on_record)
            });
            if let Err(error) = counted {
                enough.store(true, Ordering::Relaxed);
                cut_short.get_or_insert(error);
            }
        }
    });
    let mut cases = cases.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = cases.end() {
        cut_short.get_or_insert(error);
    }
    if cut_short.is_none() && stop_requested() != Interrupt::None {
        cut_short = Some(Error::interrupted());
    }
    summary.finish(started.elapsed(), own_cpu_time().saturating_sub(own_cpu));
    Ended { summary, cut_short }
}

fn next(
    cases: &Mutex<impl Supply>,
    enough: &AtomicBool,
    until: Option<Instant>,
) -> Option<Result<Case>> {
    let is_over = until.is_some_and(|until| Instant::now() >= until);
    if is_over || enough.load(Ordering::Relaxed) || stop_requested() != Interrupt::None {
        return None;
    }
    cases.lock().unwrap_or_else(PoisonError::into_inner).next()
}
