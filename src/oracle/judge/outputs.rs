//! Judges every image that either side wrote: the reference's description, check and contents of it, and the
//! candidate's contents.

use super::check_result::CheckResult;
use super::json_difference::json_differences;
use super::{candidate_died, reference_failed};
use crate::image::content::{ContentPlace, Contents};
use crate::oracle::normalize::{Purpose, normalize};
use crate::oracle::observations::{Inventory, Observations, Output, Side, SideRun};
use crate::oracle::verdict::{
    Blame, Difference, DivergenceKind, Finding, InconclusiveKind, OutputAspect, Place, Subject,
    Verdict,
};
use crate::tool::request::{Answer, Exit, Request, RequestKind};

/// Judges all inspections of the operation's outputs: descriptions, checks and contents, by the reference and, if it
/// can read them, by the candidate.
pub fn outputs(observations: &Observations, outputs: &[Output]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let sides = Sides {
            observations,
            output,
            index,
        };
        let found = [
            sides.timeouts_and_crashes(),
            sides.descriptions(),
            sides.checks(),
            sides.contents(),
            sides.snapshots(),
        ];
        let place = Place::file(&output.file.path);
        let found = found.into_iter().flatten();
        verdicts.extend(found.map(|verdict| verdict.placed(place.clone())));
    }
    verdicts
}

/// Both sides' copies of one output.
pub(super) struct Sides<'observations> {
    observations: &'observations Observations,
    pub(super) output: &'observations Output,
    index: usize,
}

impl Sides<'_> {
    pub(super) fn kind(&self, aspect: OutputAspect) -> DivergenceKind {
        DivergenceKind::output(self.output.role, aspect)
    }

    /// Returns the answer of `reader` to this kind of request on the copy of `owner`.
    fn read(&self, owner: Side, reader: Side, kind: RequestKind) -> Option<&Answer> {
        self.inspection(owner, reader, |request| request.kind() == kind)
    }

    /// Returns the answer of `reader` to the request that `is_wanted` selects, on the copy of `owner`.
    pub(super) fn inspection(
        &self,
        owner: Side,
        reader: Side,
        is_wanted: impl Fn(&Request) -> bool,
    ) -> Option<&Answer> {
        let side_run: Option<&SideRun> = match owner {
            Side::Candidate => Some(&self.observations.candidate),
            Side::Reference => self.observations.reference.as_ref(),
        };
        // A crash or timeout is judged on its own, and says nothing about the image.
        let answer = side_run?.inspection(self.index, reader, is_wanted);
        answer.filter(|answer| matches!(answer.exit, Exit::Success | Exit::Refused(_)))
    }

    /// A crash or timeout while reading is judged by which tool was reading.
    fn timeouts_and_crashes(&self) -> Vec<Verdict> {
        let deeds = [
            Some(&self.observations.candidate),
            self.observations.reference.as_ref(),
        ];
        let inspections = deeds
            .into_iter()
            .flatten()
            .flat_map(|side_run| &side_run.inspections);
        let verdicts = inspections
            .filter(|inspection| inspection.output == self.index)
            .filter_map(|inspection| {
                let exit = Subject::ExitOfReading {
                    file: self.output.file.path.clone(),
                    request: inspection.task.kind(),
                };
                match inspection.by {
                    Side::Reference => reference_failed(&inspection.answer),
                    Side::Candidate => candidate_died(exit, &inspection.answer, "done"),
                }
            });
        verdicts.collect()
    }

    /// Compares the reference's descriptions of both copies, after normalization.
    fn descriptions(&self) -> Vec<Verdict> {
        let Some(candidate) = self.read(Side::Candidate, Side::Reference, RequestKind::Info) else {
            return Vec::new();
        };
        let reference = self.read(Side::Reference, Side::Reference, RequestKind::Info);
        if let Some(verdict) = self.refused(
            RequestKind::Info,
            OutputAspect::InfoReadback,
            candidate,
            reference,
        ) {
            return vec![verdict];
        }
        let Some(reference) = reference else {
            return Vec::new();
        };
        match (candidate.report.tree(), reference.report.tree()) {
            (Ok(candidate), Ok(reference)) => {
                // The reference described both copies.
                let [_, reader] = &self.observations.tool_versions;
                let readers = [reader.clone(), reader.clone()];
                let candidate = normalize(candidate.clone(), Purpose::Creation, &readers);
                let reference = normalize(reference.clone(), Purpose::Creation, &readers);
                let found = json_differences(&candidate, &reference, false);
                let sizes = [&candidate, &reference].map(|json| json["virtual-size"].as_u64());
                let lists = [&candidate, &reference].map(Inventory::of_description);
                let blame = match (sizes, lists, &self.output.inventory) {
                    ([ours, theirs], ..) if ours != theirs => {
                        Blame::among(&ours, &theirs, &Some(self.output.expected.size))
                    }
                    (_, [ours, theirs], Some(expected)) if ours != theirs => {
                        Blame::among(&ours, &theirs, expected)
                    }
                    // The recipe does not determine other facts.
                    _ => Blame::Unclear,
                };
                let finding = Finding::of_differences(self.kind(OutputAspect::Info), found);
                let finding = finding.map(|finding| finding.blamed(blame).into());
                finding.into_iter().collect()
            }
            (candidate, reference) => {
                let difference = Difference::of_parsing(RequestKind::Info, &candidate, &reference);
                let kind = self.kind(OutputAspect::InfoJson);
                vec![Verdict::Divergence(Finding::of_difference(
                    kind, difference,
                ))]
            }
        }
    }

    /// Judges the reference's checks of both copies: the candidate's must be clean.
    fn checks(&self) -> Vec<Verdict> {
        let Some(candidate) = self.read(Side::Candidate, Side::Reference, RequestKind::Check)
        else {
            return Vec::new();
        };
        let reference = self.read(Side::Reference, Side::Reference, RequestKind::Check);
        let (found, reference) = (
            CheckResult::from_answer(candidate),
            reference.map(CheckResult::from_answer),
        );
        if found.is_clean() {
            return Vec::new();
        }
        let reference_clean = reference.as_ref().is_none_or(CheckResult::is_clean);
        if !reference_clean && reference.as_ref() == Some(&found) {
            let reason = format!(
                "what either tool made of {} is not clean: {found}",
                self.output.file.path
            );
            return vec![Verdict::inconclusive(
                InconclusiveKind::ReferenceUnsound,
                reason,
            )];
        }
        let reference =
            reference.map_or_else(|| "not made".to_owned(), |counts| counts.to_string());
        let file = self.output.file.path.clone();
        let subject = Subject::FinalCheck { file };
        let difference =
            Difference::new(subject, found.to_string(), reference).with_expected("clean");
        let finding = Finding::of_difference(
            self.kind(if found.is_unparseable() {
                OutputAspect::CheckUnparseable
            } else {
                OutputAspect::Check
            }),
            difference,
        );
        // The image of a recipe has no errors.
        let blame = if reference_clean {
            Blame::Candidate
        } else {
            Blame::Unclear
        };
        vec![finding.blamed(blame).into()]
    }

    /// Compares the guest-visible contents of both copies, as each tool reads them, with each other and with the
    /// recipe.
    fn contents(&self) -> Vec<Verdict> {
        let name = RequestKind::Contents;
        let file = || self.output.file.path.clone();
        let Some(by_reference) = self.read(Side::Candidate, Side::Reference, name) else {
            return Vec::new();
        };
        let own = self.read(Side::Reference, Side::Reference, name);
        if let Some(verdict) = self.refused(name, OutputAspect::ContentReadback, by_reference, own)
        {
            return vec![verdict];
        }
        let expected = &self.output.expected;
        let mut verdicts = Vec::new();
        let candidate_copy = by_reference.report.contents();
        let reference_copy = own.and_then(|answer| answer.report.contents());
        // Both as the reference reads them: the candidate's copy must equal the reference's, or the recipe where there is none.
        let standard = reference_copy.unwrap_or(expected);
        if let Some(candidate_copy) = candidate_copy {
            let subject = |place| Subject::Contents {
                file: file(),
                place,
            };
            let blame = match reference_copy {
                Some(reference_copy) => Blame::among(candidate_copy, reference_copy, expected),
                // Without a copy of the reference there are only two witnesses.
                None => Blame::Unclear,
            };
            let aspect = self.output.content_aspect;
            verdicts.extend(self.differ(aspect, subject, candidate_copy, standard, blame));
        }
        if let Some(reference_copy) = reference_copy.filter(|_| candidate_copy == reference_copy) {
            let subject = |place| Subject::ContentsOnBothSides {
                file: file(),
                place,
            };
            verdicts.extend(self.differ(
                OutputAspect::Recipe,
                subject,
                reference_copy,
                expected,
                Blame::Both,
            ));
        }
        for owner in [Side::Candidate, Side::Reference] {
            verdicts.extend(self.reading_of_candidate(owner, name));
        }
        verdicts
    }

    /// Compares the candidate's reading of a side's copy with the reference's reading of it.
    fn reading_of_candidate(&self, owner: Side, contents: RequestKind) -> Option<Verdict> {
        let expected = &self.output.expected;
        let candidate_reading = self.read(owner, Side::Candidate, contents)?;
        let reference_reading = self.read(owner, Side::Reference, contents)?;
        let reference_reading = reference_reading.report.contents()?;
        let file = || self.output.file.path.clone();
        if let Some(contents) = candidate_reading.report.contents() {
            let subject = |place| Subject::Reading {
                owner,
                file: file(),
                place,
            };
            let blame = Blame::among(contents, reference_reading, expected);
            return self.differ(
                OutputAspect::Reading,
                subject,
                contents,
                reference_reading,
                blame,
            );
        }
        if !matches!(candidate_reading.exit, Exit::Refused(_)) {
            return None;
        }
        let subject = Subject::ReadingRefused {
            owner,
            file: file(),
        };
        let difference = Difference::new(subject, candidate_reading.describe(), "reads it");
        let kind = self.kind(OutputAspect::ReadingRefused);
        let finding = Finding::of_difference(kind, difference);
        let blame = if reference_reading == expected {
            Blame::Candidate
        } else {
            Blame::Unclear
        };
        Some(finding.blamed(blame).into())
    }

    /// Judges a refusal of the reference to read an output.
    fn refused(
        &self,
        request: RequestKind,
        aspect: OutputAspect,
        candidate: &Answer,
        reference: Option<&Answer>,
    ) -> Option<Verdict> {
        let is_refused = |answer: &Answer| matches!(answer.exit, Exit::Refused(_));
        let file = self.output.file.path.clone();
        let subject = Subject::Readback { request, file };
        if let Some(own) = reference.filter(|own| is_refused(own)) {
            let reason = format!("{subject}, on its own output: {}", own.describe());
            return Some(Verdict::inconclusive(
                InconclusiveKind::ReferenceUnsound,
                reason,
            ));
        }
        if !is_refused(candidate) {
            return None;
        }
        let difference = Difference::new(subject, candidate.describe(), "exit 0");
        let finding = Finding::of_difference(self.kind(aspect), difference);
        // The reference can read its own output of the same recipe.
        let blame = if reference.is_some() {
            Blame::Candidate
        } else {
            Blame::Unclear
        };
        Some(finding.blamed(blame).into())
    }

    fn differ(
        &self,
        aspect: OutputAspect,
        subject: impl FnOnce(ContentPlace) -> Subject,
        candidate: &Contents,
        standard: &Contents,
        blame: Blame,
    ) -> Option<Verdict> {
        let found = candidate.difference(standard)?;
        let expected = match self.output.expected.difference(standard) {
            None => found.second.clone(),
            Some(other) if candidate == &self.output.expected => {
                format!("the candidate's ({})", other.place)
            }
            Some(other) => format!("neither ({})", other.place),
        };
        let difference = Difference::new(subject(found.place), found.first, found.second);
        let finding = Finding::of_difference(self.kind(aspect), difference.with_expected(expected));
        Some(finding.blamed(blame).into())
    }
}

#[cfg(test)]
mod tests;
