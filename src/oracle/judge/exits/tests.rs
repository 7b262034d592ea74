//! Tests of the verdicts on exits, from answers alone.

use super::*;
use crate::oracle::observations::sample::{
    Limit, answer, crashed, done, observations, refused, step, step_result, timed_out, unsupported,
    used_up,
};
use crate::tool::request::Answer;

/// Returns the verdicts on one step, and whether both sides completed the steps.
fn judged(
    expected_exit: ExitExpectation,
    candidate: impl Into<Option<Answer>>,
    reference: impl Into<Option<Answer>>,
) -> (Vec<Verdict>, bool) {
    let found = exits(&observations(&[(
        step(expected_exit),
        candidate.into(),
        reference.into(),
    )]));
    (found.verdicts, found.completed)
}

/// Returns the kind and the blame of the only divergence.
fn finding((verdicts, completed): (Vec<Verdict>, bool)) -> (DivergenceKind, Blame) {
    assert!(!completed);
    match &verdicts[..] {
        [Verdict::Divergence(finding)] => (finding.kind, finding.blame),
        other => panic!("{other:?}"),
    }
}

fn inconclusive((verdicts, completed): (Vec<Verdict>, bool)) -> (InconclusiveKind, String) {
    assert!(!completed);
    match &verdicts[..] {
        [Verdict::Inconclusive { kind, reason }] => (*kind, reason.clone()),
        other => panic!("{other:?}"),
    }
}

const SILENT: (Vec<Verdict>, bool) = (Vec::new(), true);
const ENDED: (Vec<Verdict>, bool) = (Vec::new(), false);

#[test]
fn equal_exits_give_no_verdict() {
    for expected_exit in [
        ExitExpectation::Agree,
        ExitExpectation::Succeed,
        ExitExpectation::GoOn,
        ExitExpectation::Free,
    ] {
        assert_eq!(judged(expected_exit, done(), done()), SILENT);
    }
}

#[test]
fn success_on_only_one_side_blames_the_side_that_contradicts_the_recipe() {
    let exit = DivergenceKind::ExitCode;
    for (expected_exit, ours, theirs) in [
        (ExitExpectation::Agree, Blame::Unclear, Blame::Unclear),
        (ExitExpectation::GoOn, Blame::Unclear, Blame::Unclear),
        (ExitExpectation::Succeed, Blame::Candidate, Blame::Reference),
        (ExitExpectation::Refuse, Blame::Reference, Blame::Candidate),
    ] {
        let refuses = judged(expected_exit, refused("no"), done());
        assert_eq!(finding(refuses), (exit, ours));
        let accepts = judged(expected_exit, done(), refused("no"));
        assert_eq!(finding(accepts), (exit, theirs));
    }
    assert_eq!(judged(ExitExpectation::Free, refused("no"), done()), SILENT);
    assert_eq!(judged(ExitExpectation::Free, done(), refused("no")), SILENT);
}

#[test]
fn a_difference_of_exits_has_the_request_and_both_answers() {
    let (verdicts, _) = judged(ExitExpectation::Agree, refused("no"), done());
    let Verdict::Divergence(finding) = &verdicts[0] else {
        panic!("{verdicts:?}");
    };
    assert_eq!(
        finding.differences,
        [Difference::written("exit of info", "exit 1: no", "exit 0")]
    );
    let (verdicts, _) = judged(ExitExpectation::Succeed, refused("no"), refused("neither"));
    let Verdict::Divergence(finding) = &verdicts[0] else {
        panic!("{verdicts:?}");
    };
    let difference = Difference::written("exit of info", "exit 1: no", "exit 1: neither");
    assert_eq!(finding.differences, [difference.with_expected("exit 0")]);
}

#[test]
fn two_refusals_contradict_a_recipe_that_requires_success() {
    let both = |expected_exit| judged(expected_exit, refused("no"), refused("no"));
    assert_eq!(both(ExitExpectation::Agree), ENDED);
    assert_eq!(both(ExitExpectation::GoOn), SILENT);
    assert_eq!(both(ExitExpectation::Free), SILENT);
    let recipe = (DivergenceKind::RecipeExit, Blame::Both);
    assert_eq!(finding(both(ExitExpectation::Succeed)), recipe);
}

#[test]
fn refusals_for_contradictory_reasons_are_a_divergence() {
    let (there, space) = ("No such file", "No space left on device");
    for expected_exit in [
        ExitExpectation::Agree,
        ExitExpectation::Succeed,
        ExitExpectation::GoOn,
    ] {
        let found = finding(judged(expected_exit, refused(there), refused(space)));
        assert_eq!(found, (DivergenceKind::RefusalClass, Blame::Unclear));
    }
    let verdicts = judged(ExitExpectation::GoOn, refused(there), refused(space)).0;
    let reason = verdicts[0].reason().unwrap().to_owned();
    assert!(
        reason.starts_with("why info is refused (NotThere or NoSpace): "),
        "{reason}"
    );
    assert_eq!(
        judged(ExitExpectation::GoOn, refused(there), refused("no")),
        SILENT
    );
}

#[test]
fn a_crash_of_the_candidate_blames_it_whatever_the_reference_did() {
    let died = [
        (crashed(), DivergenceKind::CandidateCrash),
        (timed_out(), DivergenceKind::CandidateTimeout),
        (used_up(Limit::Memory), DivergenceKind::CandidateLimit),
    ];
    for (answer, kind) in died {
        for other in [Some(done()), Some(refused("no")), None] {
            for expected_exit in [ExitExpectation::Agree, ExitExpectation::Free] {
                let found = finding(judged(expected_exit, answer.clone(), other.clone()));
                assert_eq!(found, (kind, Blame::Candidate));
            }
        }
    }
    let crash = (DivergenceKind::CandidateCrash, Blame::Candidate);
    assert_eq!(
        finding(judged(ExitExpectation::Agree, crashed(), crashed())),
        crash
    );
    assert_eq!(
        finding(judged(ExitExpectation::Agree, crashed(), timed_out())),
        crash
    );
}

#[test]
fn a_crash_of_the_reference_is_inconclusive() {
    let died = [
        (crashed(), InconclusiveKind::ReferenceCrash),
        (timed_out(), InconclusiveKind::QemuTimeout),
        (used_up(Limit::Memory), InconclusiveKind::ReferenceLimit),
    ];
    for (answer, kind) in died {
        for other in [Some(done()), Some(refused("no")), None] {
            let found = inconclusive(judged(ExitExpectation::Free, other, answer.clone()));
            assert_eq!(found.0, kind);
        }
    }
    let reason = |answer| inconclusive(judged(ExitExpectation::Agree, done(), answer)).1;
    assert_eq!(reason(crashed()), "reference: crashed: SIGSEGV");
    let late = reason(timed_out());
    assert!(late.starts_with("reference stuck"), "{late}");
}

#[test]
fn the_same_exhausted_limit_on_both_sides_blames_nobody() {
    let both = |ours, theirs| judged(ExitExpectation::Agree, ours, theirs);
    let late = inconclusive(both(timed_out(), timed_out()));
    assert_eq!(late.0, InconclusiveKind::BothTimeout);
    assert!(late.1.starts_with("both: stuck"), "{}", late.1);
    let (memory, disk) = (used_up(Limit::Memory), used_up(Limit::DiskQuota));
    let starved = inconclusive(both(memory.clone(), memory.clone()));
    assert_eq!(starved.0, InconclusiveKind::BothLimit);
    let limit = (DivergenceKind::CandidateLimit, Blame::Candidate);
    assert_eq!(finding(both(memory.clone(), disk)), limit);
    assert_eq!(finding(both(memory, timed_out())), limit);
    let late = (DivergenceKind::CandidateTimeout, Blame::Candidate);
    assert_eq!(finding(both(timed_out(), used_up(Limit::Cpu))), late);
}

#[test]
fn a_missing_feature_of_the_candidate_ends_the_operation_without_a_verdict() {
    assert_eq!(
        judged(ExitExpectation::Succeed, unsupported(), done()),
        ENDED
    );
    assert_eq!(
        judged(ExitExpectation::Free, unsupported(), refused("no")),
        ENDED
    );
}

#[test]
fn if_one_side_did_not_run_a_step_the_other_continues_as_far_as_allowed() {
    let steps = |theirs: Answer, expected_exit| {
        exits(&observations(&[
            (step(expected_exit), None, Some(theirs)),
            (step(ExitExpectation::Agree), None, Some(timed_out())),
        ]))
    };
    for (theirs, expected_exit, goes_on) in [
        (done(), ExitExpectation::Agree, true),
        (refused("no"), ExitExpectation::GoOn, true),
        (refused("no"), ExitExpectation::Free, true),
        (refused("no"), ExitExpectation::Agree, false),
        (refused("no"), ExitExpectation::Succeed, false),
    ] {
        let found = steps(theirs, expected_exit);
        assert_eq!(
            found.verdicts.len(),
            usize::from(goes_on),
            "{expected_exit:?}"
        );
        assert!(!found.completed);
    }
    assert_eq!(judged(ExitExpectation::Agree, done(), None), ENDED);
    let unfinished = exits(&observations(&[(
        step(ExitExpectation::Agree),
        None,
        Some(done()),
    )]));
    assert!(!unfinished.completed && unfinished.verdicts.is_empty());
}

#[test]
fn steps_are_judged_in_order_up_to_the_one_that_ends_the_operation() {
    let found = exits(&observations(&[
        (step(ExitExpectation::Agree), Some(done()), Some(done())),
        (
            step(ExitExpectation::Agree),
            Some(refused("a")),
            Some(done()),
        ),
        (step(ExitExpectation::Agree), Some(crashed()), Some(done())),
    ]));
    assert_eq!(
        finding((found.verdicts, found.completed)).0,
        DivergenceKind::ExitCode
    );
}

#[test]
fn a_candidate_without_a_reference_is_judged_alone() {
    let alone = |expected_exit, answer| {
        let mut observations = observations(&[(step(expected_exit), Some(answer), None)]);
        observations.reference = None;
        let found = exits(&observations);
        (found.verdicts, found.completed)
    };
    assert_eq!(alone(ExitExpectation::Agree, done()), SILENT);
    assert_eq!(alone(ExitExpectation::GoOn, refused("no")), SILENT);
    assert_eq!(alone(ExitExpectation::Free, refused("no")), SILENT);
    let crash = (DivergenceKind::CandidateCrash, Blame::Candidate);
    assert_eq!(finding(alone(ExitExpectation::Free, crashed())), crash);
    let (verdicts, completed) = alone(ExitExpectation::Succeed, refused("no"));
    assert!(!completed);
    assert_eq!(
        verdicts,
        [Verdict::Unsupported {
            reason: "the candidate refuses info: exit 1: no".to_owned()
        }]
    );
}

#[test]
fn a_fixture_that_the_reference_refuses_on_both_sides_tests_nothing() {
    let step = step(ExitExpectation::Agree);
    let words = "qemu-img: 0-convert.qcow2: no zstd";
    let mut both = observations(&[(step.clone(), None, None)]);
    let refuses = || step_result(&step, Side::Reference, refused(words));
    both.candidate.step_results = vec![refuses()];
    both.reference.as_mut().unwrap().step_results = vec![refuses()];
    let found = exits(&both);
    assert_eq!(
        found.verdicts,
        [Verdict::Unsupported {
            reason: "the reference cannot make the fixture: qemu-img: no zstd".to_owned()
        }]
    );
    assert!(!found.completed);
}

#[test]
fn a_failure_of_the_reference_on_the_candidate_s_side_is_inconclusive() {
    let step = step(ExitExpectation::Agree);
    for (death, kind) in [
        (crashed(), InconclusiveKind::ReferenceCrash),
        (timed_out(), InconclusiveKind::QemuTimeout),
        (
            answer(used_up(Limit::Memory).exit),
            InconclusiveKind::ReferenceLimit,
        ),
    ] {
        let mut both = observations(&[(step.clone(), None, Some(death.clone()))]);
        both.candidate.step_results = vec![step_result(&step, Side::Reference, death)];
        let found = exits(&both);
        assert_eq!(inconclusive((found.verdicts, found.completed)).0, kind);
    }
}
