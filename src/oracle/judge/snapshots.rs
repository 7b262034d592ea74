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
mod tests;
