//! The internal snapshots of an image that either side wrote: what a guest would see in each, and how both tools list
//! them.
//!
//! Part of the judging of outputs; that the table itself is the same on both sides is a matter of their descriptions.

use super::outputs::Sides;
use crate::content::Contents;
use crate::exchange::{ExpectedSnapshot, Side};
use crate::request::{Answer, Exit, Request};
use crate::verdict::{Blame, Difference, Finding, InconclusiveKind, OutputAspect, Verdict};

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

    /// What a guest would see in a snapshot of either copy, against the recipe.
    fn snapshot_contents(&self, snapshot: &ExpectedSnapshot) -> Option<Verdict> {
        let read = |owner: Side| {
            self.reading(owner, Side::Reference, |request| {
                matches!(request, Request::SnapshotContents { id, .. } if *id == snapshot.id)
            })
        };
        let candidate = read(Side::Candidate)?;
        let reference = read(Side::Reference);
        let ExpectedSnapshot { id, contents } = snapshot;
        let what = format!("snapshot {id} in {}", self.output.file.path);
        if let Some(reference) = reference.filter(|answer| answer.contents.is_none()) {
            let reason = format!("{what}, on the reference's side: {}", reference.describe());
            return Some(Verdict::inconclusive(
                InconclusiveKind::ReferenceUnsound,
                reason,
            ));
        }
        let Some(found) = &candidate.contents else {
            let difference = Difference::new(what, candidate.describe(), "can be read");
            let kind = self.kind(OutputAspect::SnapshotContents);
            let is_right = reference.is_some_and(|own| own.contents.as_ref() == Some(contents));
            let blame = match is_right {
                true => Blame::Candidate,
                false => Blame::Unclear,
            };
            let finding = Finding::of_difference(kind, difference);
            return Some(finding.blamed(blame).into());
        };
        // As with the image itself: the reference's copy, where there is one, is what the candidate's must equal, and
        // both must equal the recipe.
        let standard = reference.and_then(|answer| answer.contents.as_ref());
        let differs = |aspect, standard: &Contents| {
            let other = found.difference(standard)?;
            let what = format!("{what}: {}", other.place);
            let difference = Difference::new(what, other.first, other.second);
            let finding = Finding::of_difference(self.kind(aspect), difference);
            let own = reference.and_then(|answer| answer.contents.as_ref());
            let blame = own.map_or(Blame::Unclear, |own| Blame::among(found, own, contents));
            Some(finding.blamed(blame).into())
        };
        differs(OutputAspect::SnapshotContents, standard.unwrap_or(contents))
            .or_else(|| differs(OutputAspect::Recipe, contents))
    }

    /// What both tools say is in one copy.
    fn snapshot_lists(&self, owner: Side) -> Option<Verdict> {
        let list = |by: Side| {
            self.reading(owner, by, |request| {
                matches!(request, Request::SnapshotList { .. })
            })
        };
        let (candidate, reference) = (list(Side::Candidate)?, list(Side::Reference)?);
        let said = |answer: &Answer| match answer.exit {
            Exit::Success => answer.stdout.text(),
            _ => answer.describe(),
        };
        let (ours, theirs) = (said(candidate), said(reference));
        if ours == theirs {
            return None;
        }
        let [ours, theirs] = [&ours, &theirs].map(|text| text.lines().collect::<Vec<&str>>());
        let differs = |line: &usize| ours.get(*line) != theirs.get(*line);
        let line = (0..ours.len().max(theirs.len())).find(differs).unwrap_or(0);
        let show = |lines: &[&str]| lines.get(line).copied().unwrap_or("the end").to_owned();
        let what = format!(
            "line {} of the list of snapshots in the {}'s {}",
            line + 1,
            owner.name(),
            self.output.file.path
        );
        let difference = Difference::new(what, show(&ours), show(&theirs));
        let finding = Finding::of_difference(self.kind(OutputAspect::List), difference);
        Some(finding.into())
    }
}
