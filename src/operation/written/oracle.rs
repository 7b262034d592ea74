//! Judges what tools say about a written image, step by step: the candidate's answers by the recipe, and the reference's only to tell who is
//! to blame.

use super::Written;
use super::expectation::{Expectation, Wrong};
use crate::oracle::observations::{HarnessAction, Observations, Side, StepResult, Task};
use crate::oracle::verdict::{
    Blame, Difference, DivergenceKind, Finding, InconclusiveKind, Place, Subject, Verdict,
};
use crate::tool::request::{Exit, Request};

/// Returns the first wrong answer of the candidate; `None` if it gave none.
pub(super) fn judge(written: &Written, observations: &Observations) -> Option<Verdict> {
    let candidate = &observations.candidate.step_results;
    let first = candidate.first()?;
    if let Exit::Unsupported(reason) = &first.answer.exit {
        let reason = reason.clone();
        return Some(Verdict::Unsupported { reason });
    }
    if !first.answer.succeeded() {
        let reason = format!("the image cannot be written: {}", first.answer.describe());
        let kind = InconclusiveKind::ReferenceUnsound;
        return Some(Verdict::inconclusive(kind, reason));
    }
    let (Task::Harness(HarnessAction::WriteImage { files, .. })
    | Task::Harness(HarnessAction::WriteByTool { files, .. })) = &first.step.task
    else {
        return None;
    };
    let expectation = Expectation::new(written, files.clone());
    let reference = observations.reference.as_ref();
    let reference = reference.map_or(&[][..], |side_run| &side_run.step_results);
    for (index, result) in candidate.iter().enumerate() {
        if !is_own(candidate, index) {
            continue;
        }
        let theirs = reference.get(index).filter(|_| is_own_of(reference, index));
        let finding = match expectation.wrong(result) {
            Some(wrong) => Some(finding(&wrong, result, theirs, &expectation)),
            None => theirs.and_then(|theirs| measured(result, theirs)),
        };
        if let Some(finding) = finding {
            return Some(finding.placed(Place::step(index)).into());
        }
    }
    None
}

/// Whether the candidate answers for a step: its own tool performed it, or made the copy that is read there, or may have changed the files.
fn is_own(results: &[StepResult], index: usize) -> bool {
    let result = &results[index];
    match &result.step.task {
        Task::Harness(_) => true,
        Task::Tool(Request::Contents { .. }) if is_copy(results, index) => {
            let copy = &results[index - 1];
            copy.by == Side::Candidate && copy.answer.succeeded()
        }
        Task::Tool(_) => result.by == Side::Candidate,
    }
}

fn is_own_of(reference: &[StepResult], index: usize) -> bool {
    !is_copy(reference, index) || reference[index - 1].answer.succeeded()
}

/// Whether a step reads what the step before it made.
fn is_copy(results: &[StepResult], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|before| results.get(before));
    before.is_some_and(|before| matches!(before.step.task, Task::Tool(Request::Convert { .. })))
}

fn finding(
    wrong: &Wrong,
    result: &StepResult,
    theirs: Option<&StepResult>,
    expectation: &Expectation<'_>,
) -> Finding {
    let their_wrong = theirs.and_then(|theirs| expectation.wrong(theirs));
    let is_shared = their_wrong.as_ref().is_some_and(|other| {
        // Messages of tools differ; what they show does not.
        let is_refusal = |wrong: &Wrong| wrong.kind == DivergenceKind::WrittenRefused;
        other == wrong || (is_refusal(other) && is_refusal(wrong))
    });
    let told = match (&their_wrong, theirs) {
        (Some(other), Some(theirs)) if other.subject != wrong.subject => {
            elsewhere(wrong, other, theirs)
        }
        (Some(other), _) => other.told.clone(),
        (None, Some(theirs)) => match theirs.answer.exit {
            Exit::Success => wrong.expected.clone(),
            Exit::Unsupported(_) => theirs.answer.exit.describe(),
            _ => theirs.answer.describe(),
        },
        (None, None) => "not asked".to_owned(),
    };
    let difference = Difference::new(wrong.subject.clone(), wrong.told.clone(), told);
    let difference = difference.with_expected(wrong.expected.clone());
    let blame = match (is_shared, result.by) {
        (true, _) => Blame::Both,
        (false, _) => Blame::Candidate,
    };
    Finding::of_difference(wrong.kind, difference).blamed(blame)
}

/// What the reference says where the candidate is wrong, if it is wrong itself in something else.
fn elsewhere(wrong: &Wrong, other: &Wrong, theirs: &StepResult) -> String {
    match (
        wrong.subject.content_place(),
        theirs.answer.report.contents(),
    ) {
        (Some(place), Some(contents)) => contents.shown_at(place),
        _ if other.subject.is_exit() => other.told.clone(),
        _ => format!("{}: {}", other.subject, other.told),
    }
}

/// Compares predictions of both tools: the recipe does not determine them.
fn measured(ours: &StepResult, theirs: &StepResult) -> Option<Finding> {
    let Task::Tool(Request::Measure { .. }) = ours.step.task else {
        return None;
    };
    let key = "fully-allocated";
    let value = |result: &StepResult| Some(result.answer.report.tree().ok()?[key].to_string());
    let (ours, theirs) = (value(ours)?, value(theirs)?);
    let difference = Difference::new(Subject::IntermediateMeasure {}, ours, theirs);
    (difference.candidate != difference.reference)
        .then(|| Finding::of_difference(DivergenceKind::WrittenMeasure, difference))
}
