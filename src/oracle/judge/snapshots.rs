//! Judges the internal snapshots of an image that either side wrote: their guest-visible contents, and how both tools
//! list them.
//!
//! Part of judging the outputs. The descriptions compare the snapshot tables themselves.

use super::outputs::Sides;
use crate::image::content::Contents;
use crate::oracle::observations::{ExpectedSnapshot, Side};
use crate::oracle::verdict::{
    Blame, Difference, Finding, InconclusiveKind, OutputAspect, Subject, Verdict,
};
use crate::tool::request::{Answer, Exit, Request};

impl Sides<'_> {
    /// Judges the readings of the snapshots of both copies.
    pub(super) fn snapshots(&self) -> Vec<Verdict> {
        let expected = self.output.snapshots.as_deref().unwrap_or_default();
        let contents = expected
            .iter()
            .filter_map(|snapshot| self.snapshot_contents(snapshot));
        let lists = [Side::Candidate, Side::Reference]
            .into_iter()
            .filter_map(|owner| self.snapshot_lists(owner));
        contents.chain(lists).collect()
    }

    /// Compares the guest-visible contents of a snapshot of either copy with the recipe.
    fn snapshot_contents(&self, snapshot: &ExpectedSnapshot) -> Option<Verdict> {
        let read = |owner: Side| {
            self.inspection(owner, Side::Reference, |request| {
                matches!(request, Request::SnapshotContents { id, .. } if *id == snapshot.id)
            })
        };
        let candidate = read(Side::Candidate)?;
        let reference = read(Side::Reference);
        let ExpectedSnapshot { id, contents } = snapshot;
        let (id, file) = (id.clone(), self.output.file.path.clone());
        let unreadable = Subject::SnapshotUnreadable {
            id: id.clone(),
            file: file.clone(),
        };
        if let Some(reference) = reference.filter(|answer| answer.report.contents().is_none()) {
            let reason = format!(
                "{unreadable}, on the reference's side: {}",
                reference.describe()
            );
            return Some(Verdict::inconclusive(
                InconclusiveKind::ReferenceUnsound,
                reason,
            ));
        }
        let reported = reference.and_then(|answer| answer.report.contents());
        let Some(found) = candidate.report.contents() else {
            let difference = Difference::new(unreadable, candidate.describe(), "can be read");
            let kind = self.kind(self.output.role.snapshot_aspect(false));
            let is_right = reported == Some(contents);
            let blame = match is_right {
                true => Blame::Candidate,
                false => Blame::Unclear,
            };
            let finding = Finding::of_difference(kind, difference);
            return Some(finding.blamed(blame).into());
        };
        // As for the image itself: the candidate's copy must equal the reference's, if there is one, and both must
        // equal the recipe.
        let differs = |aspect, standard: &Contents| {
            let other = found.difference(standard)?;
            let subject = Subject::SnapshotContents {
                id: id.clone(),
                file: file.clone(),
                place: other.place,
            };
            let difference = Difference::new(subject, other.first, other.second);
            let finding = Finding::of_difference(self.kind(aspect), difference);
            let blame = reported.map_or(Blame::Unclear, |own| Blame::among(found, own, contents));
            Some(finding.blamed(blame).into())
        };
        let aspect = self.output.role.snapshot_aspect(true);
        differs(aspect, reported.unwrap_or(contents))
            .or_else(|| differs(OutputAspect::Recipe, contents))
    }

    /// Compares both tools' lists of the snapshots of one copy.
    fn snapshot_lists(&self, owner: Side) -> Option<Verdict> {
        let list = |by: Side| {
            self.inspection(owner, by, |request| {
                matches!(request, Request::SnapshotList { .. })
            })
        };
        let (candidate, reference) = (list(Side::Candidate)?, list(Side::Reference)?);
        let describe = |answer: &Answer| match answer.exit {
            Exit::Success => answer.transcript.stdout.text(),
            _ => answer.describe(),
        };
        let (ours, theirs) = (describe(candidate), describe(reference));
        if ours == theirs {
            return None;
        }
        let [ours, theirs] = [&ours, &theirs].map(|text| text.lines().collect::<Vec<&str>>());
        let differs = |line: &usize| ours.get(*line) != theirs.get(*line);
        let line = (0..ours.len().max(theirs.len())).find(differs).unwrap_or(0);
        let show = |lines: &[&str]| lines.get(line).copied().unwrap_or("the end").to_owned();
        let subject = Subject::SnapshotListLine {
            line: line + 1,
            owner,
            file: self.output.file.path.clone(),
        };
        let difference = Difference::new(subject, show(&ours), show(&theirs));
        let finding = Finding::of_difference(self.kind(OutputAspect::List), difference);
        Some(finding.into())
    }
}

#[cfg(test)]
mod tests {
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
}
