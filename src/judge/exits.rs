//! How both sides came out of an operation's steps.

use super::{candidate_died, reference_failed};
use crate::exchange::{Exchange, Side, Turn};
use crate::request::Exit;
use crate::verdict::{Difference, DivergenceKind, Finding, InconclusiveKind, Verdict};

/// How the two sides came out of their steps: the verdicts, and whether both got to the end.
pub struct Exits {
    /// What is to be said; empty when nothing is.
    pub verdicts: Vec<Verdict>,
    /// Whether every step succeeded on each side, so that there is something to examine.
    pub completed: bool,
}

/// Judges the exits of every step, in order, up to the first that did not succeed.
pub fn exits(exchange: &Exchange) -> Exits {
    let ended = |verdict: Option<Verdict>| Exits {
        verdicts: verdict.into_iter().collect(),
        completed: false,
    };
    let reference = exchange.reference.as_ref();
    let steps = exchange
        .candidate
        .turns
        .len()
        .max(reference.map_or(0, |deed| deed.turns.len()));
    for index in 0..steps {
        let candidate = exchange.candidate.turns.get(index);
        let Some(reference) = reference else {
            match candidate.map(|turn| (turn, &turn.answer.exit)) {
                Some((_, Exit::Success)) => continue,
                Some((turn, _)) => return ended(Some(alone(turn))),
                None => return ended(None),
            }
        };
        match pair(candidate, reference.turns.get(index)) {
            Pair::Succeeded => {}
            Pair::Ended(verdict) => return ended(verdict),
        }
    }
    Exits {
        verdicts: Vec::new(),
        completed: exchange.candidate.turns.len() == steps,
    }
}

enum Pair {
    Succeeded,
    Ended(Option<Verdict>),
}

fn pair(candidate: Option<&Turn>, reference: Option<&Turn>) -> Pair {
    if let Some(verdict) = candidate.and_then(died) {
        // A crash is a finding even where the reference ran out of time; two timeouts are not.
        let both_timed_out = matches!(verdict, Verdict::Divergence(ref finding) if finding.kind == DivergenceKind::CANDIDATE_TIMEOUT)
            && reference.is_some_and(|turn| matches!(turn.answer.exit, Exit::TimedOut(_)));
        if !both_timed_out {
            return Pair::Ended(Some(verdict));
        }
        let reason = candidate
            .map(|turn| format!("both: {}", turn.answer.exit.describe()))
            .unwrap_or_default();
        return Pair::Ended(Some(Verdict::inconclusive(
            InconclusiveKind::BothTimeout,
            reason,
        )));
    }
    if let Some(verdict) = reference.and_then(|turn| reference_failed(&turn.answer)) {
        return Pair::Ended(Some(verdict));
    }
    let (candidate, reference) = match (candidate, reference) {
        (Some(candidate), Some(reference)) => (candidate, reference),
        // The candidate was not asked, because the reference will be found to have run out of time further on.
        (None, Some(reference)) if reference.answer.succeeded() => return Pair::Succeeded,
        _ => return Pair::Ended(None),
    };
    match (candidate.answer.succeeded(), reference.answer.succeeded()) {
        (true, true) => Pair::Succeeded,
        (false, false) => Pair::Ended(None),
        _ => {
            let what = format!("exit of {}", candidate.step.request.name());
            let difference = Difference::new(
                what,
                candidate.answer.describe(),
                reference.answer.describe(),
            );
            Pair::Ended(Some(Verdict::Divergence(Finding::of_difference(
                candidate.step.kind,
                difference,
            ))))
        }
    }
}

/// A step on the candidate's side that ended in a crash or a timeout: the candidate's, or the reference's on its image.
fn died(turn: &Turn) -> Option<Verdict> {
    match turn.by {
        Side::Reference => reference_failed(&turn.answer),
        Side::Candidate => {
            candidate_died(turn.step.request.name(), &turn.answer, "not asked or done")
        }
    }
}

/// A step that only the candidate was asked.
fn alone(turn: &Turn) -> Verdict {
    died(turn).unwrap_or_else(|| Verdict::Unsupported {
        reason: format!(
            "the candidate refuses {}: {}",
            turn.step.request.name(),
            turn.answer.describe()
        ),
    })
}
