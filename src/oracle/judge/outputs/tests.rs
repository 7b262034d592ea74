//! Tests of the verdicts on outputs, from inspections alone.

use serde_json::{Value, json};

use super::outputs;
use crate::image::content::Contents;
use crate::oracle::observations::sample::{
    SampleInspection, by_reference, checked, contents, crashed, described, done, file, inspected,
    output, read, refused, reported, timed_out, unsupported,
};
use crate::oracle::observations::{Inventory, Output, Side};
use crate::oracle::verdict::{
    Blame, Difference, DivergenceKind, InconclusiveKind, OutputAspect, OutputRole, Verdict,
};
use crate::tool::request::{Answer, Request, RequestKind};

fn info() -> Request {
    Request::Info { file: file() }
}

fn check() -> Request {
    Request::Check { file: file() }
}

fn contents_of() -> Request {
    Request::Contents { file: file() }
}

fn judged(inspections: Vec<SampleInspection>) -> Vec<Verdict> {
    outputs(&inspected(inspections), &[output()])
}

/// Judges the reference's answers for both copies.
fn both(request: Request, candidate: Answer, reference: Answer) -> Vec<Verdict> {
    judged(by_reference(request, candidate, reference))
}

/// Judges the reference's answer for the candidate's copy alone.
fn alone(request: Request, candidate: Answer) -> Vec<Verdict> {
    let mut observations = inspected(vec![(Side::Candidate, Side::Reference, request, candidate)]);
    observations.reference = None;
    outputs(&observations, &[output()])
}

/// Returns the aspect, the blame and the first difference of the only divergence.
fn finding(verdicts: &[Verdict]) -> (OutputAspect, Blame, &Difference) {
    let [Verdict::Divergence(finding)] = verdicts else {
        panic!("{verdicts:?}");
    };
    let DivergenceKind::Output(OutputRole::Convert, aspect) = finding.kind else {
        panic!("{finding:?}");
    };
    (aspect, finding.blame, &finding.differences[0])
}

fn difference(what: &str, candidate: &str, reference: &str) -> Difference {
    Difference::written(what, candidate, reference)
}

fn unsound(verdicts: &[Verdict], words: &str) {
    let [Verdict::Inconclusive { kind, reason }] = verdicts else {
        panic!("{verdicts:?}");
    };
    assert_eq!(*kind, InconclusiveKind::ReferenceUnsound);
    assert_eq!(reason, words);
}

#[test]
fn missing_and_equal_inspections_give_no_verdict() {
    assert_eq!(judged(Vec::new()), []);
    let image = json!({"virtual-size": 1 << 20, "format": "qcow2"});
    assert_eq!(both(info(), described(&image), described(&image)), []);
    assert_eq!(both(check(), checked(&json!({})), checked(&json!({}))), []);
    let sound = read(&contents(1));
    assert_eq!(both(contents_of(), sound.clone(), sound), []);
}

#[test]
fn a_crash_while_reading_blames_the_reading_tool() {
    let judged_by = |by, answer| judged(vec![(Side::Reference, by, info(), answer)]);
    let [Verdict::Divergence(found)] = &judged_by(Side::Candidate, crashed())[..] else {
        panic!();
    };
    assert_eq!(found.kind, DivergenceKind::CandidateCrash);
    assert_eq!(
        found.differences,
        [difference(
            "exit of reading 0-convert.qcow2 by info",
            "crashed: SIGSEGV",
            "done"
        )]
    );
    let [Verdict::Inconclusive { kind, .. }] = &judged_by(Side::Reference, timed_out())[..] else {
        panic!();
    };
    assert_eq!(*kind, InconclusiveKind::QemuTimeout);
    // No other verdict on the image.
    let sound = described(&json!({"virtual-size": 1}));
    assert_eq!(both(info(), timed_out(), sound).len(), 1);
    assert_eq!(
        judged(vec![(
            Side::Candidate,
            Side::Candidate,
            info(),
            unsupported()
        )]),
        []
    );
}

#[test]
fn inspections_of_other_outputs_are_ignored() {
    let mut inspections = inspected(by_reference(info(), crashed(), done()));
    inspections.candidate.inspections[0].output = 1;
    assert_eq!(outputs(&inspections, &[output()]), []);
    assert_eq!(outputs(&inspections, &[output(), output()]).len(), 1);
}

#[test]
fn differing_descriptions_name_the_differing_keys() {
    let ours = described(&json!({"virtual-size": 1 << 20, "cluster-size": 512}));
    let theirs = described(&json!({"virtual-size": 1 << 20, "cluster-size": 65536}));
    let verdicts = both(info(), ours, theirs);
    let expected = difference("cluster-size", "512", "65536");
    assert_eq!(
        finding(&verdicts),
        (OutputAspect::Info, Blame::Unclear, &expected)
    );
}

#[test]
fn a_size_that_contradicts_the_recipe_blames_its_side() {
    let size = |bytes: u64| described(&json!({"virtual-size": bytes}));
    let right = 1 << 20;
    for (ours, theirs, blame) in [
        (right, 512, Blame::Reference),
        (512, right, Blame::Candidate),
        (512, 1024, Blame::Unclear),
    ] {
        let verdicts = both(info(), size(ours), size(theirs));
        assert_eq!(finding(&verdicts).1, blame);
    }
}

#[test]
fn a_list_that_contradicts_the_recipe_blames_its_side() {
    let list = |names: &[&str]| {
        let bitmaps: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        described(&json!({"virtual-size": 1, "format-specific": {"data": {"bitmaps": bitmaps}}}))
    };
    let with = |inventory: Option<Inventory>, ours: &[&str], theirs: &[&str]| {
        let output = Output {
            inventory,
            ..output()
        };
        let inspections = inspected(by_reference(info(), list(ours), list(theirs)));
        let verdicts = outputs(&inspections, &[output]);
        finding(&verdicts).1
    };
    let inventory = || {
        Some(Inventory {
            bitmaps: vec!["a".to_owned()],
            ..Inventory::default()
        })
    };
    assert_eq!(with(inventory(), &["a"], &[]), Blame::Reference);
    assert_eq!(with(inventory(), &[], &["a"]), Blame::Candidate);
    assert_eq!(with(None, &[], &["a"]), Blame::Unclear);
    // The lists agree; other facts differ.
    let ours = described(&json!({"virtual-size": 1, "cluster-size": 512}));
    let output = Output {
        inventory: inventory(),
        ..output()
    };
    let theirs = described(&json!({"virtual-size": 1}));
    let verdicts = outputs(&inspected(by_reference(info(), ours, theirs)), &[output]);
    assert_eq!(finding(&verdicts).1, Blame::Unclear);
}

#[test]
fn a_refused_description_blames_the_candidate_if_the_reference_reads_its_own_image() {
    let sound = described(&json!({"virtual-size": 1}));
    let verdicts = both(info(), refused("bad"), sound.clone());
    let expected = difference(
        "info of 0-convert.qcow2 by the reference",
        "exit 1: bad",
        "exit 0",
    );
    assert_eq!(
        finding(&verdicts),
        (OutputAspect::InfoReadback, Blame::Candidate, &expected)
    );
    let verdicts = alone(info(), refused("bad"));
    assert_eq!(finding(&verdicts).1, Blame::Unclear);
    unsound(
        &both(info(), sound, refused("own")),
        "info of 0-convert.qcow2 by the reference, on its own output: exit 1: own",
    );
}

#[test]
fn a_description_that_is_not_json_is_reported() {
    let sound = described(&json!({"virtual-size": 1}));
    let verdicts = both(info(), reported(RequestKind::Info, "{"), sound);
    let (aspect, _, found) = finding(&verdicts);
    assert_eq!(aspect, OutputAspect::InfoJson);
    assert_eq!(
        (&*found.subject.to_string(), &*found.reference),
        ("info as JSON", "JSON")
    );
}

#[test]
fn check_errors_blame_the_candidate_unless_the_reference_s_own_image_has_some() {
    let found = |json: Value| checked(&json);
    let verdicts = both(check(), found(json!({"leaks": 2})), found(json!({})));
    let expected =
        difference("check of 0-convert.qcow2", "2 leaks", "clean").with_expected("clean");
    assert_eq!(
        finding(&verdicts),
        (OutputAspect::Check, Blame::Candidate, &expected)
    );
    let verdicts = alone(check(), found(json!({"leaks": 2})));
    let (aspect, blame, difference) = finding(&verdicts);
    assert_eq!((aspect, blame), (OutputAspect::Check, Blame::Candidate));
    assert_eq!(difference.reference, "not made");
    let verdicts = both(
        check(),
        found(json!({"leaks": 2})),
        found(json!({"leaks": 1})),
    );
    assert_eq!(finding(&verdicts).1, Blame::Unclear);
    unsound(
        &both(
            check(),
            found(json!({"leaks": 2})),
            found(json!({"leaks": 2})),
        ),
        "what either tool made of 0-convert.qcow2 is not clean: 2 leaks",
    );
    assert_eq!(
        both(check(), found(json!({})), found(json!({"leaks": 1}))),
        []
    );
}

#[test]
fn a_failed_check_has_its_own_kind() {
    let verdicts = both(check(), refused("broken"), checked(&json!({})));
    assert_eq!(finding(&verdicts).0, OutputAspect::CheckUnparseable,);
}

#[test]
fn differing_contents_blame_the_side_that_contradicts_the_recipe() {
    for (ours, theirs, blame, expected) in [
        (2, 1, Blame::Candidate, "0x01"),
        (
            1,
            2,
            Blame::Reference,
            "the candidate's (byte at guest offset 0)",
        ),
        (2, 3, Blame::Unclear, "neither (byte at guest offset 0)"),
    ] {
        let verdicts = both(
            contents_of(),
            read(&contents(ours)),
            read(&contents(theirs)),
        );
        let (aspect, by, found) = finding(&verdicts);
        assert_eq!((aspect, by), (OutputAspect::Content, blame));
        assert_eq!(
            found.subject.to_string(),
            "contents of 0-convert.qcow2: byte at guest offset 0"
        );
        assert_eq!(found.expected.as_deref(), Some(expected));
    }
}

#[test]
fn contents_with_a_kind_of_their_own_keep_it() {
    let output = Output {
        content_aspect: OutputAspect::Compare,
        ..output()
    };
    let inspections = by_reference(contents_of(), read(&contents(2)), read(&contents(1)));
    let verdicts = outputs(&inspected(inspections), &[output]);
    assert_eq!(finding(&verdicts).0, OutputAspect::Compare);
}

#[test]
fn a_contradiction_of_both_tools_to_the_recipe_has_its_own_kind() {
    let wrong = read(&contents(2));
    let verdicts = both(contents_of(), wrong.clone(), wrong);
    let (aspect, blame, found) = finding(&verdicts);
    assert_eq!((aspect, blame), (OutputAspect::Recipe, Blame::Both));
    assert_eq!(
        found.subject.to_string(),
        "contents of 0-convert.qcow2, on both sides,: byte at guest offset 0"
    );
    let verdicts = alone(contents_of(), read(&contents(2)));
    let (aspect, blame, _) = finding(&verdicts);
    assert_eq!((aspect, blame), (OutputAspect::Content, Blame::Unclear));
}

#[test]
fn refused_contents_blame_the_candidate_if_the_reference_reads_its_own_image() {
    let verdicts = both(contents_of(), refused("bad"), read(&contents(1)));
    let (aspect, blame, _) = finding(&verdicts);
    assert_eq!(
        (aspect, blame),
        (OutputAspect::ContentReadback, Blame::Candidate)
    );
    unsound(
        &both(contents_of(), read(&contents(1)), refused("own")),
        "contents of 0-convert.qcow2 by the reference, on its own output: exit 1: own",
    );
}

/// Judges the candidate's reading of the copy of `owner`; the reference reads `truth` in both copies.
fn read_by_candidate(owner: Side, answer: Answer, truth: &Contents) -> Vec<Verdict> {
    let mut inspections = by_reference(contents_of(), read(truth), read(truth));
    inspections.push((owner, Side::Candidate, contents_of(), answer));
    judged(inspections)
}

#[test]
fn a_different_reading_by_the_candidate_is_reported_for_either_copy() {
    for (owner, whose) in [
        (Side::Candidate, "the candidate's"),
        (Side::Reference, "the reference's"),
    ] {
        let verdicts = read_by_candidate(owner, read(&contents(2)), &contents(1));
        let (aspect, blame, found) = finding(&verdicts);
        assert_eq!((aspect, blame), (OutputAspect::Reading, Blame::Candidate));
        assert_eq!(
            found.subject.to_string(),
            format!("{whose} 0-convert.qcow2, as the candidate reads it: byte at guest offset 0")
        );
        assert_eq!(
            read_by_candidate(owner, read(&contents(1)), &contents(1)),
            []
        );
    }
}

#[test]
fn refusing_to_read_a_correct_image_blames_the_candidate() {
    let verdicts = read_by_candidate(Side::Reference, refused("no"), &contents(1));
    let (aspect, blame, found) = finding(&verdicts);
    assert_eq!(
        (aspect, blame),
        (OutputAspect::ReadingRefused, Blame::Candidate)
    );
    assert_eq!(
        (&*found.candidate, &*found.reference),
        ("exit 1: no", "reads it")
    );
    let verdicts = read_by_candidate(Side::Reference, refused("no"), &contents(2));
    let refusal = verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Divergence(found)
            if found.kind
                == DivergenceKind::output(OutputRole::Convert, OutputAspect::ReadingRefused) =>
        {
            Some(found.blame)
        }
        _ => None,
    });
    assert_eq!(refusal, Some(Blame::Unclear));
    // A success without contents is not a refusal.
    assert_eq!(read_by_candidate(Side::Reference, done(), &contents(1)), []);
}
