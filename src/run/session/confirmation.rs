//! Confirmation: timeouts and new divergences are run a second time before they are reported.
//!
//! An operation that timed out is run again alone, that is without other cases of this process in parallel, and with
//! flushes off. A divergence is replayed from scratch; if it does not recur it is *flaky*, and its record keeps the
//! evidence of both runs. Only cases of this process wait for each other: other programs, and tests that have a
//! process each (nextest), may still load the machine.

use std::sync::{Arc, PoisonError};

use super::Session;
use crate::base::error::Result;
use crate::case::Case;
use crate::oracle::coverage::Observed;
use crate::oracle::verdict::{DivergenceKind, Finding, InconclusiveKind, Verdict};
use crate::run::evidence::Evidence;
use crate::run::runner::{DifferentialRunner, OperationOutcome, Outcome};

/// Introduces the result of the second run in a reason.
const ALONE: &str = "again alone, with flushes off";

impl Session {
    /// Runs a case, then confirms what needs confirmation.
    pub(super) fn run_and_confirm(&self, case: &Case) -> Result<Outcome> {
        let mut outcome = {
            let _beside = self.gate.read().unwrap_or_else(PoisonError::into_inner);
            self.run_once(case)?
        };
        // Only the first run keeps its scratch directory. The second run calls the reference anew, not its cache.
        let runner = DifferentialRunner {
            keep: false,
            reference: Arc::clone(&self.reference),
            ..self.runner.clone()
        };
        let every = 0..outcome.operations.len();
        let (timely, late): (Vec<usize>, Vec<usize>) =
            every.partition(|place| !ran_out_of_time(&outcome.operations[*place].verdict));
        if !late.is_empty() {
            let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
            let quiet = runner.without_flushes();
            let candidate_was_late = |verdict: &Verdict| {
                matches!(verdict, Verdict::Divergence(_)) && ran_out_of_time(verdict)
            };
            let twice: Vec<bool> = outcome
                .operations
                .iter()
                .map(|operation| candidate_was_late(&operation.verdict))
                .collect();
            rerun(&quiet, case, &late, &late, &mut outcome, merge_timeouts)?;
            // A divergence that appears only in the second run, once time suffices, has itself been seen only once.
            let is_late_divergence = |place: &usize| {
                let is_late = candidate_was_late(&outcome.operations[*place].verdict);
                !(twice[*place] && is_late) && self.is_new(case, *place, &outcome)
            };
            let seen_once: Vec<usize> = late.iter().copied().filter(is_late_divergence).collect();
            rerun(
                &quiet,
                case,
                &seen_once,
                &seen_once,
                &mut outcome,
                merge_divergences,
            )?;
        }
        let new: Vec<usize> = timely
            .iter()
            .copied()
            .filter(|place| self.is_new(case, *place, &outcome))
            .collect();
        if !new.is_empty() {
            let _beside = self.gate.read().unwrap_or_else(PoisonError::into_inner);
            // All operations in their order, not only the diverging ones: an earlier operation may have corrupted the
            // state of a tool that serves several calls.
            rerun(
                &runner,
                case,
                &timely,
                &new,
                &mut outcome,
                merge_divergences,
            )?;
        }
        self.ask_second_reference(case, &mut outcome)?;
        Ok(outcome)
    }

    /// Runs a case that shows a new divergence from the model against the second reference too, and adds to the finding what comes of it.
    fn ask_second_reference(&self, case: &Case, outcome: &mut Outcome) -> Result<()> {
        let Some(second) = &self.second else {
            return Ok(());
        };
        let places = 0..outcome.operations.len();
        let new: Vec<usize> = places
            .filter(|place| self.is_new(case, *place, outcome))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let runner = DifferentialRunner {
            keep: false,
            reference: Arc::clone(second),
            ..self.runner.clone()
        };
        let again = {
            let _beside = self.gate.read().unwrap_or_else(PoisonError::into_inner);
            runner.run(case)?
        };
        let who = format!("{} {}", second.name(), second.version());
        for place in new {
            let seen = &again.operations[place].verdict;
            if let Verdict::Divergence(finding) = &mut outcome.operations[place].verdict {
                let opinion = match seen {
                    Verdict::Divergence(found) if found.kind == finding.kind => {
                        format!("{who} as reference shows it too")
                    }
                    Verdict::Match => {
                        format!("only the model sees it: {who} as reference shows a match")
                    }
                    other => format!(
                        "{who} as reference: {}",
                        other.reason().unwrap_or("nothing could be told")
                    ),
                };
                finding.summary = format!("{}; {opinion}", finding.summary);
            }
        }
        Ok(())
    }

    fn is_new(&self, case: &Case, place: usize, outcome: &Outcome) -> bool {
        let verdict = &outcome.operations[place].verdict;
        matches!(verdict, Verdict::Divergence(_))
            && self.explained(case, place, verdict).known().is_none()
    }
}

/// Runs the operations at `places` again and lets `decide` merge both outcomes of those at `decided`.
fn rerun(
    runner: &DifferentialRunner,
    case: &Case,
    places: &[usize],
    decided: &[usize],
    outcome: &mut Outcome,
    decide: fn(OperationOutcome, OperationOutcome) -> OperationOutcome,
) -> Result<()> {
    if decided.is_empty() {
        return Ok(());
    }
    let second = runner.rerun(case, places)?;
    outcome.duration += second.duration;
    outcome.tool_calls += second.tool_calls;
    outcome.tool_cpu += second.tool_cpu;
    for (place, second) in std::iter::zip(places, second.operations) {
        if decided.contains(place) {
            let first = &mut outcome.operations[*place];
            let nothing = OperationOutcome {
                verdict: Verdict::Match,
                evidence: None,
                is_stuck: false,
                observed: Observed::default(),
                duration: first.duration + second.duration,
            };
            let duration = nothing.duration;
            *first = OperationOutcome {
                duration,
                ..decide(std::mem::replace(first, nothing), second)
            };
        }
    }
    Ok(())
}

fn ran_out_of_time(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Divergence(finding) => finding.kind == DivergenceKind::CandidateTimeout,
        Verdict::Inconclusive { kind, .. } => matches!(
            kind,
            InconclusiveKind::QemuTimeout | InconclusiveKind::BothTimeout
        ),
        Verdict::Match | Verdict::Flaky(_) | Verdict::Unsupported { .. } => false,
    }
}

/// Merges both outcomes of a divergence: confirmed if the second run diverges in the same kind, else flaky.
fn merge_divergences(first: OperationOutcome, second: OperationOutcome) -> OperationOutcome {
    match (first.verdict, &second.verdict) {
        (Verdict::Divergence(found), Verdict::Divergence(again)) if found.kind == again.kind => {
            OperationOutcome {
                verdict: Verdict::Divergence(found),
                ..first
            }
        }
        (Verdict::Divergence(found), _) => flaky(found, first.evidence, second),
        (verdict, _) => OperationOutcome { verdict, ..first },
    }
}

/// Merges both outcomes of an operation that timed out first.
fn merge_timeouts(first: OperationOutcome, second: OperationOutcome) -> OperationOutcome {
    let still = ran_out_of_time(&second.verdict)
        .then(|| second.verdict.reason().unwrap_or_default().to_owned());
    match (first.verdict, still) {
        (Verdict::Divergence(found), Some(reason)) => match second.verdict {
            Verdict::Divergence(_) => OperationOutcome {
                verdict: Verdict::Divergence(Finding {
                    summary: format!("{}; {ALONE}: {reason}", found.summary),
                    ..found
                }),
                ..first
            },
            _ => second,
        },
        // A candidate that made no progress at first and then finished is not merely slow: the hang is flaky.
        (Verdict::Divergence(found), None) if first.is_stuck => {
            flaky(found, first.evidence, second)
        }
        (Verdict::Inconclusive { kind, reason }, Some(still)) => match second.verdict {
            Verdict::Inconclusive { .. } => OperationOutcome {
                verdict: Verdict::Inconclusive {
                    kind,
                    reason: format!("{reason}; {ALONE}: {still}"),
                },
                ..second
            },
            _ => second,
        },
        (_, _) => second,
    }
}

fn flaky(found: Finding, evidence: Option<Evidence>, second: OperationOutcome) -> OperationOutcome {
    let came_out = match second.verdict.reason() {
        Some(reason) => format!("{}: {reason}", second.verdict.name()),
        None => second.verdict.name().to_string(),
    };
    let summary = format!("{}; tried again: {came_out}", found.summary);
    OperationOutcome {
        verdict: Verdict::Flaky(Finding { summary, ..found }),
        evidence: evidence.map(|evidence| Evidence {
            again: second.evidence.map(Box::new),
            ..evidence
        }),
        ..second
    }
}
