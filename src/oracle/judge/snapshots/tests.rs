//! Unit tests of `snapshots.rs`.

use super::*;
use crate::oracle::judge::outputs;
use crate::oracle::observations::Output;
use crate::oracle::observations::sample::{
    SampleInspection, by_reference, contents, done, file, inspected, output, output_text, read,
    refused,
};
use crate::oracle::verdict::{DivergenceKind, OutputAspect};

fn inspection(id: &str) -> Request {
    Request::SnapshotContents {
        file: file(),
        id: id.to_owned(),
    }
}

fn list() -> Request {
    Request::SnapshotList { file: file() }
}

/// Judges an image with the snapshot 7, in which a guest must see `contents(1)`.
fn judged(inspections: Vec<SampleInspection>) -> Vec<Verdict> {
    let snapshot = ExpectedSnapshot {
        id: "7".to_owned(),
        contents: contents(1),
    };
    let output = Output {
        snapshots: Some(vec![snapshot]),
        ..output()
    };
    outputs(&inspected(inspections), &[output])
}

fn both(candidate: Answer, reference: Answer) -> Vec<Verdict> {
    judged(by_reference(inspection("7"), candidate, reference))
}

fn finding(verdicts: &[Verdict]) -> (OutputAspect, Blame, &Difference) {
    let [Verdict::Divergence(finding)] = verdicts else {
        panic!("{verdicts:?}");
    };
    let DivergenceKind::Output(_, aspect) = finding.kind else {
        panic!("{finding:?}");
    };
    (aspect, finding.blame, &finding.differences[0])
}

#[test]
fn correct_and_unread_snapshots_give_no_verdict() {
    assert_eq!(both(read(&contents(1)), read(&contents(1))), []);
    assert_eq!(judged(Vec::new()), []);
    let of_another = by_reference(inspection("8"), read(&contents(2)), read(&contents(3)));
    assert_eq!(judged(of_another), []);
}

#[test]
fn a_differing_snapshot_blames_the_side_that_contradicts_the_recipe() {
    for (ours, theirs, blame) in [
        (2, 1, Blame::Candidate),
        (1, 2, Blame::Reference),
        (2, 3, Blame::Unclear),
    ] {
        let verdicts = both(read(&contents(ours)), read(&contents(theirs)));
        let (aspect, by, found) = finding(&verdicts);
        assert_eq!((aspect, by), (OutputAspect::SnapshotContents, blame));
        assert_eq!(
            found.subject.to_string(),
            "snapshot 7 in 0-convert.qcow2: byte at guest offset 0"
        );
    }
    let wrong = both(read(&contents(2)), read(&contents(2)));
    let (aspect, blame, _) = finding(&wrong);
    assert_eq!((aspect, blame), (OutputAspect::Recipe, Blame::Both));
    let inspection = (
        Side::Candidate,
        Side::Reference,
        inspection("7"),
        read(&contents(2)),
    );
    let alone = judged(vec![inspection]);
    let (aspect, blame, _) = finding(&alone);
    assert_eq!(
        (aspect, blame),
        (OutputAspect::SnapshotContents, Blame::Unclear)
    );
}

#[test]
fn an_unreadable_snapshot_blames_the_candidate_if_the_reference_s_own_is_correct() {
    for (theirs, blame) in [(1, Blame::Candidate), (2, Blame::Unclear)] {
        let verdicts = both(refused("bad"), read(&contents(theirs)));
        let (aspect, by, found) = finding(&verdicts);
        assert_eq!((aspect, by), (OutputAspect::SnapshotContents, blame));
        assert_eq!(
            (&*found.candidate, &*found.reference),
            ("exit 1: bad", "can be read")
        );
    }
    let verdicts = both(read(&contents(1)), refused("own"));
    assert_eq!(
        verdicts,
        [Verdict::inconclusive(
            InconclusiveKind::ReferenceUnsound,
            "snapshot 7 in 0-convert.qcow2, on the reference's side: exit 1: own"
        )]
    );
}

#[test]
fn the_first_line_at_which_two_lists_differ_is_reported() {
    let lists = |owner, ours: Answer, theirs: Answer| {
        judged(vec![
            (owner, Side::Candidate, list(), ours),
            (owner, Side::Reference, list(), theirs),
        ])
    };
    let same = lists(
        Side::Reference,
        output_text("a\nb\n"),
        output_text("a\nb\n"),
    );
    assert_eq!(same, []);
    let verdicts = lists(
        Side::Candidate,
        output_text("a\nb\n"),
        output_text("a\nc\n"),
    );
    let (aspect, blame, found) = finding(&verdicts);
    assert_eq!((aspect, blame), (OutputAspect::List, Blame::Unclear));
    let what = "line 2 of the list of snapshots in the candidate's 0-convert.qcow2";
    assert_eq!(*found, Difference::written(what, "b", "c"));
    let verdicts = lists(Side::Reference, output_text("a\n"), output_text("a\nb\n"));
    let what = "line 2 of the list of snapshots in the reference's 0-convert.qcow2";
    assert_eq!(
        *finding(&verdicts).2,
        Difference::written(what, "the end", "b")
    );
    let verdicts = lists(Side::Reference, refused("no"), done());
    let found = finding(&verdicts).2;
    assert_eq!(
        (&*found.candidate, &*found.reference),
        ("exit 1: no", "the end")
    );
}

#[test]
fn a_list_of_only_one_tool_is_not_compared() {
    for by in [Side::Candidate, Side::Reference] {
        let inspection = (Side::Candidate, by, list(), output_text("a"));
        assert_eq!(judged(vec![inspection]), []);
    }
}
