//! The verdict on an operation or a case: match, divergence, flaky, inconclusive, unsupported.
//!
//! Plain data, made by the judges and read by reports, shrinking and grouping. `DivergenceKind` identifies a kind:
//! small, `Copy`, `Eq`, `Hash`. `Finding` has the details for a person; no code matches on its text.

use serde::{Deserialize, Serialize};

use crate::tool::request::RequestKind;

pub use aspect::Aspect;
pub use blame::Blame;
pub use inconclusive::InconclusiveKind;
pub use kind::{DivergenceKind, OutputAspect, OutputRole};
pub use name::VerdictName;
pub use place::Place;
#[cfg(test)]
pub use subject::samples;
pub use subject::{JsonPath, SnapshotStep, Subject, SubjectKind};

mod aspect;
mod blame;
mod inconclusive;
mod kind;
mod name;
mod place;
mod subject;

/// A value that differs between the sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What differs: a path in the tools' JSON, a guest offset, an exit.
    #[serde(rename = "what")]
    pub subject: Subject,
    /// The candidate's value.
    pub candidate: String,
    /// The reference's value.
    pub reference: String,
    /// The value that the recipe of the case requires, if it determines one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

impl Difference {
    /// Returns a difference without a required value.
    pub fn new(
        subject: Subject,
        candidate: impl Into<String>,
        reference: impl Into<String>,
    ) -> Self {
        Self {
            subject,
            candidate: candidate.into(),
            reference: reference.into(),
            expected: None,
        }
    }

    /// Returns a difference whose subject is given as in records.
    #[cfg(test)]
    pub fn written(what: &str, candidate: &str, reference: &str) -> Self {
        Self::new(Subject::parse(what), candidate, reference)
    }

    /// Returns the difference of two outputs that should be JSON and of which at least one is not: each one's error, or
    /// "JSON".
    pub fn of_parsing<T>(
        request: RequestKind,
        candidate: &Result<T, &str>,
        reference: &Result<T, &str>,
    ) -> Self {
        let said =
            |json: &Result<T, &str>| json.as_ref().err().map_or("JSON", |why| *why).to_owned();
        let subject = Subject::OutputAsJson { request };
        Self::new(subject, said(candidate), said(reference))
    }

    /// Returns a line with the subject and all values.
    pub fn summary(&self) -> String {
        let Self {
            subject,
            candidate,
            reference,
            expected,
        } = self;
        let expected = expected
            .as_ref()
            .map(|expected| format!(", expected {expected}"))
            .unwrap_or_default();
        format!("{subject}: candidate {candidate}, reference {reference}{expected}")
    }

    /// Returns the difference with the value that the recipe requires.
    pub fn with_expected(self, expected: impl Into<String>) -> Self {
        Self {
            expected: Some(expected.into()),
            ..self
        }
    }
}

/// A divergence, with details for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kind.
    pub kind: DivergenceKind,
    /// The side that is alone.
    pub blame: Blame,
    /// One line that describes the difference.
    pub summary: String,
    /// The values that differ.
    pub differences: Vec<Difference>,
    /// The step or the final image at which it lies.
    pub place: Place,
    /// Facts about that step and that file; see [`facts`](crate::operation::facts).
    pub at: Vec<String>,
}

impl Finding {
    /// Returns a finding with one difference, which is also its summary.
    pub fn of_difference(kind: DivergenceKind, difference: Difference) -> Self {
        Self {
            kind,
            blame: kind.usual_blame(),
            summary: difference.summary(),
            differences: vec![difference],
            place: Place::default(),
            at: Vec::new(),
        }
    }

    /// Sets the place, unless the finding has one already.
    pub fn placed(mut self, place: Place) -> Self {
        if self.place == Place::default() {
            self.place = place;
        }
        self
    }

    /// Sets the blame.
    pub fn blamed(self, blame: Blame) -> Self {
        Self { blame, ..self }
    }

    /// Returns a finding with several differences; `None` if there are none.
    pub fn of_differences(kind: DivergenceKind, differences: Vec<Difference>) -> Option<Self> {
        let first = differences.first()?.clone();
        let more = match differences.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let mut finding = Self::of_difference(kind, first);
        finding.summary.push_str(&more);
        finding.differences = differences;
        Some(finding)
    }
}

impl From<Finding> for Verdict {
    fn from(finding: Finding) -> Self {
        Self::Divergence(finding)
    }
}

/// The verdict on one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was compared agrees.
    Match,
    /// Something differs.
    Divergence(Finding),
    /// Something differed, but not when the case ran again.
    Flaky(Finding),
    /// A check could not be made.
    Inconclusive {
        /// The reason, as a kind.
        kind: InconclusiveKind,
        /// The reason, in one line.
        reason: String,
    },
    /// A side does not support the operation; nothing was run.
    Unsupported {
        /// Which side does not support what.
        reason: String,
    },
}

impl Verdict {
    /// Returns an inconclusive verdict.
    pub fn inconclusive(kind: InconclusiveKind, reason: impl Into<String>) -> Self {
        Self::Inconclusive {
            kind,
            reason: reason.into(),
        }
    }

    /// Sets the place of a divergence, unless it has one already.
    pub fn placed(self, place: Place) -> Self {
        match self {
            Self::Divergence(finding) => Self::Divergence(finding.placed(place)),
            other => other,
        }
    }

    /// Returns its name in records.
    pub fn name(&self) -> VerdictName {
        match self {
            Self::Match => VerdictName::Match,
            Self::Divergence(_) => VerdictName::Divergence,
            Self::Flaky(_) => VerdictName::Flaky,
            Self::Inconclusive { .. } => VerdictName::Inconclusive,
            Self::Unsupported { .. } => VerdictName::Unsupported,
        }
    }

    /// Returns the name of its kind in records, if it has one.
    pub fn kind_name(&self) -> Option<String> {
        match self {
            Self::Divergence(finding) | Self::Flaky(finding) => Some(finding.kind.to_string()),
            Self::Inconclusive { kind, .. } => Some(kind.name().to_owned()),
            Self::Match | Self::Unsupported { .. } => None,
        }
    }

    /// Returns the differences of a divergence.
    pub fn differences(&self) -> &[Difference] {
        match self {
            Self::Divergence(finding) | Self::Flaky(finding) => &finding.differences,
            _ => &[],
        }
    }

    /// Returns the blame of a divergence.
    pub fn blame(&self) -> Option<Blame> {
        match self {
            Self::Divergence(finding) | Self::Flaky(finding) => Some(finding.blame),
            _ => None,
        }
    }

    /// Returns the aspect of a divergence.
    pub fn aspect(&self) -> Option<Aspect> {
        match self {
            Self::Divergence(finding) | Self::Flaky(finding) => Some(finding.kind.aspect()),
            _ => None,
        }
    }

    /// Returns the reason in one line; `None` for a match.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Match => None,
            Self::Divergence(finding) | Self::Flaky(finding) => Some(&finding.summary),
            Self::Inconclusive { reason, .. } | Self::Unsupported { reason } => Some(reason),
        }
    }

    /// Returns the verdict that decides among those of several checks: the first divergence, otherwise the first flaky
    /// one, otherwise the first inconclusive one, otherwise a match; unsupported only where nothing else is.
    pub fn deciding(verdicts: Vec<Self>) -> Self {
        let rank = |verdict: &Self| match verdict {
            Self::Divergence(_) => 0,
            Self::Flaky(_) => 1,
            Self::Inconclusive { .. } => 2,
            Self::Match => 3,
            Self::Unsupported { .. } => 4,
        };
        // `min_by_key` keeps the first of equals.
        verdicts.into_iter().min_by_key(rank).unwrap_or(Self::Match)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(key: &str) -> Finding {
        Finding::of_difference(
            DivergenceKind::CandidateCrash,
            Difference::new(Subject::json_key(key), "a", "b"),
        )
    }

    fn every() -> [Verdict; 5] {
        [
            Verdict::Match,
            finding("x").into(),
            Verdict::Flaky(finding("y")),
            Verdict::inconclusive(InconclusiveKind::BothLimit, "z"),
            Verdict::Unsupported {
                reason: "u".to_owned(),
            },
        ]
    }

    #[test]
    fn a_verdict_tells_its_name_its_kind_its_blame_its_aspect_and_why() {
        let crash = Some("candidate_crash".to_owned());
        let limit = Some("inconclusive_both_limit".to_owned());
        let blame = Some(Blame::Candidate);
        let aspect = Some(Aspect::Exit);
        let told = every().map(|verdict| {
            let reason = verdict.reason().map(str::to_owned);
            let (name, kind) = (verdict.name(), verdict.kind_name());
            let differences = verdict.differences().len();
            (
                name,
                kind,
                verdict.blame(),
                verdict.aspect(),
                differences,
                reason,
            )
        });
        let reason = |text: &str| Some(text.to_owned());
        let x = reason("x: candidate a, reference b");
        let y = reason("y: candidate a, reference b");
        let expected = [
            (VerdictName::Match, None, None, None, 0, None),
            (VerdictName::Divergence, crash.clone(), blame, aspect, 1, x),
            (VerdictName::Flaky, crash, blame, aspect, 1, y),
            (VerdictName::Inconclusive, limit, None, None, 0, reason("z")),
            (VerdictName::Unsupported, None, None, None, 0, reason("u")),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_worst_verdict_counts_and_of_equals_the_first() {
        let [agreed, diverged, flaky, unsure, unsupported] = every();
        let worst = |of: [&Verdict; 2]| Verdict::deciding(of.map(Clone::clone).to_vec());
        let order = [&diverged, &flaky, &unsure, &agreed, &unsupported];
        for pair in order.windows(2) {
            assert_eq!(worst([pair[0], pair[1]]), *pair[0]);
            assert_eq!(worst([pair[1], pair[0]]), *pair[0]);
        }
        let later: Verdict = finding("later").into();
        assert_eq!(worst([&diverged, &later]), diverged);
        assert_eq!(Verdict::deciding(Vec::new()), Verdict::Match);
    }

    #[test]
    fn a_finding_of_several_differences_is_summed_up_by_the_first() {
        let kind = DivergenceKind::InfoOutput;
        let difference =
            |key: &str| Difference::new(Subject::json_key(key), "1", "2").with_expected("3");
        let several = Finding::of_differences(kind, vec![difference("a"), difference("b")]);
        let several = several.unwrap();
        assert_eq!(
            several.summary,
            "a: candidate 1, reference 2, expected 3 (and 1 more)"
        );
        assert_eq!(several.differences.len(), 2);
        assert_eq!(several.blame, Blame::Unclear);
        let one = Finding::of_differences(kind, vec![difference("a")]).unwrap();
        assert_eq!(one.summary, "a: candidate 1, reference 2, expected 3");
        assert_eq!(one.clone().blamed(Blame::Both).blame, Blame::Both);
        assert_eq!(Finding::of_differences(kind, Vec::new()), None);
    }

    #[test]
    fn what_is_no_json_is_told_for_each_side() {
        let (json, error): (Result<u8, &str>, _) = (Ok(1), Err("at line 1"));
        let request = RequestKind::Map;
        let subject = || Subject::OutputAsJson { request };
        assert_eq!(subject().to_string(), "map as JSON");
        assert_eq!(
            Difference::of_parsing(request, &error, &json),
            Difference::new(subject(), "at line 1", "JSON")
        );
        assert_eq!(
            Difference::of_parsing(request, &json, &error),
            Difference::new(subject(), "JSON", "at line 1")
        );
    }

    #[test]
    fn every_aspect_and_blame_is_named_as_it_is_written() {
        let written = |value: serde_json::Value| value.as_str().unwrap().to_owned();
        let aspects = [
            Aspect::Exit,
            Aspect::Contents,
            Aspect::Facts,
            Aspect::Allocation,
            Aspect::Metadata,
            Aspect::Host,
            Aspect::CrossReading,
            Aspect::Saying,
        ];
        for aspect in aspects {
            let json = serde_json::to_value(aspect).unwrap();
            assert_eq!(written(json), aspect.name());
        }
        let blames = [
            Blame::Candidate,
            Blame::Reference,
            Blame::Both,
            Blame::Unclear,
        ];
        for blame in blames {
            let json = serde_json::to_value(blame).unwrap();
            assert_eq!(written(json), blame.name());
        }
    }
}
