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
mod tests;
