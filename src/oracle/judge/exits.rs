//! Judges the exits of both sides' steps.

use super::{candidate_died, reference_failed};
use crate::oracle::observations::{ExitExpectation, Observations, Side, StepResult};
use crate::oracle::refusal_class::RefusalClass;
use crate::oracle::verdict::{
    Blame, Difference, DivergenceKind, Finding, InconclusiveKind, Place, Subject, Verdict,
};
use crate::tool::request::Exit;

/// The result of judging the exits.
pub struct Exits {
    /// The verdicts; empty if everything agrees.
    pub verdicts: Vec<Verdict>,
    /// Whether each side completed the steps, so that outputs can be compared.
    pub completed: bool,
}

impl Exits {
    /// Returns the exits of an operation that judges them itself.
    pub fn left_to_the_operation() -> Self {
        Self {
            verdicts: Vec::new(),
            completed: true,
        }
    }
}

/// Judges the exits of all steps, in order, up to the one that ended the operation.
pub fn exits(observations: &Observations) -> Exits {
    let reference = observations.reference.as_ref();
    let step_results = &observations.candidate.step_results;
    let steps = step_results
        .len()
        .max(reference.map_or(0, |side_run| side_run.step_results.len()));
    for index in 0..steps {
        let judged = match reference {
            Some(reference) => pair(step_results.get(index), reference.step_results.get(index)),
            None => step_results.get(index).map_or(Judged::Ended(None), alone),
        };
        if let Judged::Ended(verdict) = judged {
            let placed = verdict.map(|verdict| verdict.placed(Place::step(index)));
            return Exits {
                verdicts: placed.into_iter().collect(),
                completed: false,
            };
        }
    }
    Exits {
        verdicts: Vec::new(),
        completed: step_results.len() == steps,
    }
}

/// The result of judging one step.
enum Judged {
    /// The exits agree, and the next step follows.
    GoesOn,
    /// The operation ended with this step, with or without a verdict.
    Ended(Option<Verdict>),
}

fn pair(candidate: Option<&StepResult>, reference: Option<&StepResult>) -> Judged {
    if let Some(verdict) = candidate.and_then(died) {
        return Judged::Ended(Some(both_ran_out(candidate, reference).unwrap_or(verdict)));
    }
    if let Some(verdict) = reference.and_then(|step_result| reference_failed(&step_result.answer)) {
        return Judged::Ended(Some(verdict));
    }
    // The verdict is one on the whole operation: see
    // [`SideRun::untested`](crate::oracle::observations::SideRun::untested).
    if candidate.is_some_and(lacks_a_feature) {
        return Judged::Ended(None);
    }
    match (candidate, reference) {
        (Some(candidate), Some(reference)) => agree(candidate, reference),
        // The candidate did not run the step, because the reference times out at a later one.
        (None, Some(reference))
            if reference.answer.succeeded() || !reference.step.expected_exit.ends() =>
        {
            Judged::GoesOn
        }
        _ => Judged::Ended(None),
    }
}

fn lacks_a_feature(step_result: &StepResult) -> bool {
    matches!(step_result.answer.exit, Exit::Unsupported(_))
}

/// A crash is a divergence even if the reference timed out. Two timeouts are not, nor is the same resource limit on
/// both sides.
fn both_ran_out(candidate: Option<&StepResult>, reference: Option<&StepResult>) -> Option<Verdict> {
    let candidate = candidate.filter(|step_result| step_result.by == Side::Candidate)?;
    let kind = match (&candidate.answer.exit, &reference?.answer.exit) {
        (Exit::TimedOut(_), Exit::TimedOut(_)) => InconclusiveKind::BothTimeout,
        (Exit::HitLimit(ours), Exit::HitLimit(theirs)) if ours == theirs => {
            InconclusiveKind::BothLimit
        }
        _ => return None,
    };
    let reason = format!("both: {}", candidate.answer.exit.describe());
    Some(Verdict::inconclusive(kind, reason))
}

fn agree(candidate: &StepResult, reference: &StepResult) -> Judged {
    if candidate.step.expected_exit == ExitExpectation::Free {
        return Judged::GoesOn;
    }
    let request = candidate.step.task.kind();
    let difference = |subject: Subject| {
        Difference::new(
            subject,
            candidate.answer.describe(),
            reference.answer.describe(),
        )
    };
    let exit = || difference(Subject::Exit { request });
    match (candidate.answer.succeeded(), reference.answer.succeeded()) {
        (true, true) if candidate.step.expected_exit == ExitExpectation::Refuse => {
            let difference = exit().with_expected("a refusal");
            let finding = Finding::of_difference(DivergenceKind::RecipeExit, difference);
            Judged::Ended(Some(finding.blamed(Blame::Both).into()))
        }
        (true, true) => Judged::GoesOn,
        (false, false) => {
            let [ours, theirs] = [candidate, reference]
                .map(|step_result| RefusalClass::from_answer(&step_result.answer));
            if ours.contradicts(theirs) {
                let subject = Subject::RefusalReason {
                    request,
                    candidate: ours,
                    reference: theirs,
                };
                let finding =
                    Finding::of_difference(DivergenceKind::RefusalClass, difference(subject));
                return Judged::Ended(Some(Verdict::Divergence(finding)));
            }
            match candidate.step.expected_exit {
                ExitExpectation::Agree => Judged::Ended(fixture_refused(candidate)),
                ExitExpectation::Succeed => {
                    let difference = exit().with_expected("exit 0");
                    let finding = Finding::of_difference(DivergenceKind::RecipeExit, difference);
                    Judged::Ended(Some(finding.blamed(Blame::Both).into()))
                }
                ExitExpectation::GoOn | ExitExpectation::Refuse | ExitExpectation::Free => {
                    Judged::GoesOn
                }
            }
        }
        _ => {
            let finding = Finding::of_difference(candidate.step.kind, exit());
            let is_ours = candidate.answer.succeeded();
            let finding = match candidate.step.expected_exit {
                ExitExpectation::Succeed if is_ours => finding.blamed(Blame::Reference),
                ExitExpectation::Succeed => finding.blamed(Blame::Candidate),
                ExitExpectation::Refuse if is_ours => finding.blamed(Blame::Candidate),
                ExitExpectation::Refuse => finding.blamed(Blame::Reference),
                ExitExpectation::Agree | ExitExpectation::GoOn | ExitExpectation::Free => finding,
            };
            Judged::Ended(Some(Verdict::Divergence(finding)))
        }
    }
}

/// If the reference refuses to create a fixture on either side, nothing was tested, and the verdict says so.
fn fixture_refused(step_result: &StepResult) -> Option<Verdict> {
    (step_result.by == Side::Reference).then(|| Verdict::Unsupported {
        reason: format!(
            "the reference cannot make the fixture: {}",
            without_name(step_result)
        ),
    })
}

/// Returns the message without the file's name, which differs between operations, so that equal reasons are counted
/// together.
fn without_name(step_result: &StepResult) -> String {
    let line = step_result.answer.transcript.stderr.first_line();
    line.replace(&format!("{}: ", step_result.step.task.file().path), "")
}

/// Judges a crash or timeout on the candidate's side: of the candidate, or of the reference on the candidate's image.
fn died(step_result: &StepResult) -> Option<Verdict> {
    match step_result.by {
        Side::Reference => reference_failed(&step_result.answer),
        Side::Candidate => {
            let request = step_result.step.task.kind();
            candidate_died(
                Subject::Exit { request },
                &step_result.answer,
                "not asked or done",
            )
        }
    }
}

/// Judges a step that only the candidate ran.
fn alone(step_result: &StepResult) -> Judged {
    if let Some(verdict) = died(step_result) {
        return Judged::Ended(Some(verdict));
    }
    if step_result.answer.succeeded() || !step_result.step.expected_exit.ends() {
        return Judged::GoesOn;
    }
    let reason = format!(
        "the candidate refuses {}: {}",
        step_result.step.task.name(),
        step_result.answer.describe()
    );
    Judged::Ended(Some(Verdict::Unsupported { reason }))
}

#[cfg(test)]
mod tests;
