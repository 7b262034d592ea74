//! What is said of the images that both sides left, from what was read of them.

use serde_json::{Value, json};

use super::outputs;
use crate::image::content::Contents;
use crate::oracle::observations::sample::{
    Look, by_reference, contents, crashed, done, file, looked, output, read, refused, said,
    timed_out, told, unsupported,
};
use crate::oracle::observations::{Inventory, Output, Side};
use crate::oracle::verdict::{
    Blame, Difference, DivergenceKind, InconclusiveKind, OutputAspect, OutputRole, Verdict,
};
use crate::tool::request::{Answer, Request};

fn info() -> Request {
    Request::Info { file: file() }
}

fn check() -> Request {
    Request::Check { file: file() }
}

fn contents_of() -> Request {
    Request::Contents { file: file() }
}

fn judged(looks: Vec<Look>) -> Vec<Verdict> {
    outputs(&looked(looks), &[output()])
}

/// What the reference said of both copies.
fn both(request: Request, candidate: Answer, reference: Answer) -> Vec<Verdict> {
    judged(by_reference(request, candidate, reference))
}

/// What the reference said where there is the candidate's copy alone.
fn alone(request: Request, candidate: Answer) -> Vec<Verdict> {
    let mut observations = looked(vec![(Side::Candidate, Side::Reference, request, candidate)]);
    observations.reference = None;
    outputs(&observations, &[output()])
}

/// The aspect, the blame and the first difference of the only divergence.
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
fn nothing_is_said_where_nothing_was_looked_at_and_of_what_agrees() {
    assert_eq!(judged(Vec::new()), []);
    let image = json!({"virtual-size": 1 << 20, "format": "qcow2"});
    assert_eq!(both(info(), told(&image), told(&image)), []);
    assert_eq!(both(check(), told(&json!({})), told(&json!({}))), []);
    let sound = read(&contents(1));
    assert_eq!(both(contents_of(), sound.clone(), sound), []);
}

#[test]
fn a_reader_that_dies_is_judged_by_who_it_was() {
    let look = |by, answer| judged(vec![(Side::Reference, by, info(), answer)]);
    let [Verdict::Divergence(found)] = &look(Side::Candidate, crashed())[..] else {
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
    let [Verdict::Inconclusive { kind, .. }] = &look(Side::Reference, timed_out())[..] else {
        panic!();
    };
    assert_eq!(*kind, InconclusiveKind::QemuTimeout);
    // It says nothing of the image besides.
    let sound = told(&json!({"virtual-size": 1}));
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
fn readings_of_another_output_are_not_of_this_one() {
    let mut looks = looked(by_reference(info(), crashed(), done()));
    looks.candidate.readings[0].output = 1;
    assert_eq!(outputs(&looks, &[output()]), []);
    assert_eq!(outputs(&looks, &[output(), output()]).len(), 1);
}

#[test]
fn descriptions_that_differ_tell_where() {
    let ours = told(&json!({"virtual-size": 1 << 20, "cluster-size": 512}));
    let theirs = told(&json!({"virtual-size": 1 << 20, "cluster-size": 65536}));
    let verdicts = both(info(), ours, theirs);
    let expected = difference("cluster-size", "512", "65536");
    assert_eq!(
        finding(&verdicts),
        (OutputAspect::Info, Blame::Unclear, &expected)
    );
}

#[test]
fn whose_size_is_not_the_recipe_s_is_to_blame() {
    let size = |bytes: u64| told(&json!({"virtual-size": bytes}));
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
fn whose_list_is_not_the_recipe_s_is_to_blame() {
    let list = |names: &[&str]| {
        let bitmaps: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        told(&json!({"virtual-size": 1, "format-specific": {"data": {"bitmaps": bitmaps}}}))
    };
    let with = |inventory: Option<Inventory>, ours: &[&str], theirs: &[&str]| {
        let output = Output {
            inventory,
            ..output()
        };
        let looks = looked(by_reference(info(), list(ours), list(theirs)));
        let verdicts = outputs(&looks, &[output]);
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
    // The lists agree: what differs is something else.
    let ours = told(&json!({"virtual-size": 1, "cluster-size": 512}));
    let output = Output {
        inventory: inventory(),
        ..output()
    };
    let theirs = told(&json!({"virtual-size": 1}));
    let verdicts = outputs(&looked(by_reference(info(), ours, theirs)), &[output]);
    assert_eq!(finding(&verdicts).1, Blame::Unclear);
}

#[test]
fn a_description_that_the_reference_refuses_is_the_candidate_s_where_it_reads_its_own() {
    let sound = told(&json!({"virtual-size": 1}));
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
fn a_description_that_is_no_json_is_told() {
    let sound = told(&json!({"virtual-size": 1}));
    let verdicts = both(info(), said("{"), sound);
    let (aspect, _, found) = finding(&verdicts);
    assert_eq!(aspect, OutputAspect::InfoJson);
    assert_eq!(
        (&*found.subject.to_string(), &*found.reference),
        ("info as JSON", "JSON")
    );
}

#[test]
fn a_check_that_finds_something_is_the_candidate_s_unless_the_reference_s_own_finds_something_too()
{
    let found = |json: Value| told(&json);
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
fn a_check_that_cannot_be_made_is_told_apart() {
    let verdicts = both(check(), refused("broken"), told(&json!({})));
    assert_eq!(finding(&verdicts).0, OutputAspect::CheckUnparseable,);
}

#[test]
fn contents_that_differ_blame_whom_the_recipe_contradicts() {
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
fn contents_that_are_called_otherwise_keep_their_name() {
    let output = Output {
        content_aspect: OutputAspect::Compare,
        ..output()
    };
    let looks = by_reference(contents_of(), read(&contents(2)), read(&contents(1)));
    let verdicts = outputs(&looked(looks), &[output]);
    assert_eq!(finding(&verdicts).0, OutputAspect::Compare);
}

#[test]
fn both_tools_against_the_recipe_are_told_apart() {
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
fn contents_that_the_reference_refuses_are_the_candidate_s_where_it_reads_its_own() {
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

/// What the candidate reads of `owner`'s copy, where the reference sees `truth` in both.
fn read_by_candidate(owner: Side, answer: Answer, truth: &Contents) -> Vec<Verdict> {
    let mut looks = by_reference(contents_of(), read(truth), read(truth));
    looks.push((owner, Side::Candidate, contents_of(), answer));
    judged(looks)
}

#[test]
fn what_the_candidate_reads_otherwise_is_told_for_either_copy() {
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
fn an_image_that_the_candidate_refuses_to_read_is_its_fault_where_the_image_is_right() {
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
    // One that was done and gave nothing is no refusal.
    assert_eq!(read_by_candidate(Side::Reference, done(), &contents(1)), []);
}
