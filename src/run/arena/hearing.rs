//! What is heard a second time before it is believed: time that ran out, and every divergence that is new.
//!
//! Time that ran out is heard again alone: no other case of this program runs meanwhile, and flushes are off. A divergence is replayed from
//! scratch; one that does not come back is *flaky*, with the evidence of both times. Only processes of this program wait for each other: beside
//! other programs, and trials that have a process each, "alone" is as alone as the machine is.

use std::sync::{Arc, PoisonError};

use super::Arena;
use crate::base::error::Result;
use crate::case::Case;
use crate::oracle::behaviour::Observed;
use crate::oracle::verdict::{DivergenceKind, Finding, InconclusiveKind, Verdict};
use crate::run::duel::{Duel, OperationOutcome, Outcome};
use crate::run::evidence::Evidence;

/// What is added to a reason that was heard again alone.
const ALONE: &str = "again alone, with flushes off";

impl Arena {
    /// Hears a case, and again what is not to be believed at once.
    pub(super) fn hear(&self, case: &Case) -> Result<Outcome> {
        let mut outcome = {
            let _beside = self.gate.read().unwrap_or_else(PoisonError::into_inner);
            self.duel.fight(case)?
        };
        // The scratch directory that is kept is that of the first time; what the reference said then does not count.
        let duel = Duel {
            keep: false,
            reference: Arc::clone(&self.reference),
            ..self.duel.clone()
        };
        let every = 0..outcome.operations.len();
        let (timely, late): (Vec<usize>, Vec<usize>) =
            every.partition(|place| !ran_out_of_time(&outcome.operations[*place].verdict));
        if !late.is_empty() {
            let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
            let quiet = duel.without_flushes();
            let candidate_was_late = |verdict: &Verdict| {
                matches!(verdict, Verdict::Divergence(_)) && ran_out_of_time(verdict)
            };
            let twice: Vec<bool> = outcome
                .operations
                .iter()
                .map(|operation| candidate_was_late(&operation.verdict))
                .collect();
            again(&quiet, case, &late, &late, &mut outcome, in_time)?;
            // What shows only when time does not run out has been seen once.
            let is_late_divergence = |place: &usize| {
                let is_late = candidate_was_late(&outcome.operations[*place].verdict);
                !(twice[*place] && is_late) && self.is_new(case, *place, &outcome)
            };
            let seen_once: Vec<usize> = late.iter().copied().filter(is_late_divergence).collect();
            again(&quiet, case, &seen_once, &seen_once, &mut outcome, confirm)?;
        }
        let new: Vec<usize> = timely
            .iter()
            .copied()
            .filter(|place| self.is_new(case, *place, &outcome))
            .collect();
        if !new.is_empty() {
            let _beside = self.gate.read().unwrap_or_else(PoisonError::into_inner);
            // Not the new ones alone: a tool that is kept may have been led astray by an earlier operation.
            again(&duel, case, &timely, &new, &mut outcome, confirm)?;
        }
        Ok(outcome)
    }

    fn is_new(&self, case: &Case, place: usize, outcome: &Outcome) -> bool {
        let verdict = &outcome.operations[place].verdict;
        matches!(verdict, Verdict::Divergence(_))
            && self.explained(case, place, verdict).known().is_none()
    }
}

/// Tries the operations at `places` again, and decides of those at `decided` what counts.
fn again(
    duel: &Duel,
    case: &Case,
    places: &[usize],
    decided: &[usize],
    outcome: &mut Outcome,
    decide: fn(OperationOutcome, OperationOutcome) -> OperationOutcome,
) -> Result<()> {
    if decided.is_empty() {
        return Ok(());
    }
    let second = duel.fight_again(case, places)?;
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

/// Of a divergence and what came of the same once more.
fn confirm(first: OperationOutcome, second: OperationOutcome) -> OperationOutcome {
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

/// Of an operation whose time ran out, and what came of it alone.
fn in_time(first: OperationOutcome, second: OperationOutcome) -> OperationOutcome {
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
        // It was not even trying, and then it was: that is no matter of speed.
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
