//! A case's record and a campaign's summary: the data that files and all reports are made of.
//!
//! Pure. The field names are a contract; a change raises `FORMAT_VERSION`.

mod class;
mod explanation;
mod matrix;
mod summary;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

pub use class::Class;
pub use explanation::{Elsewhere, ElsewhereCount, Explained};
pub use matrix::{Cell, CellOutcome, Matrix, Row};
pub use summary::Summary;
pub use tally::Tally;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::error::{Error, Result};
use crate::base::program;
use crate::case::generation::ancestry;
use crate::case::known::Sighting;
use crate::case::shrink::Symptom;
use crate::case::{Case, CaseId};
use crate::image::validity::{self, Validity};
use crate::oracle::coverage::Observed;
use crate::oracle::signature::{Cause, Group};
use crate::oracle::verdict::{Aspect, Blame, InconclusiveKind, Verdict, VerdictName};
use crate::run::evidence::{Evidence, milliseconds};
use crate::run::runner::Outcome;

/// The version of the record's and the summary's format. Older versions can still be read.
///
/// * 2 added `started`, `reproduce`, `trial`, `seed_file` and `case` to the record, `fixture` and `picture` to the
///   evidence, and the groups to the summary.
/// * 3 added `parent`, `behaviours`, `checks` and the operations' `blame` to the record, `again` to the evidence, the
///   verdict `flaky`, and `guided`, `behaviours`, `checks`, `flaky_count`, `flaky_iterations` and `vacuous` to the
///   summary.
/// * 4 added the outcome `accepts` to the summary's matrix.
/// * 5 added `build` to embedded tools, `at` and `known_elsewhere` to the record, and `known_elsewhere_count` and
///   `known_elsewhere` to the summary. 6 added `known_silent` to the summary, 7 `candidate_spec` to the record.
pub const FORMAT_VERSION: u32 = 7;

/// A tool's name and version, as records have them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ToolName {
    /// The tool's name.
    pub name: String,
    /// The tool's version.
    pub version: String,
    /// How an embedded library was built: whether arithmetic overflow panics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

impl fmt::Display for ToolName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.version)
    }
}

/// The record of one case, one line of a record file. Reading refuses an invalid record with an error that names the
/// wrong field.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Record {
    /// [`FORMAT_VERSION`].
    #[serde(deserialize_with = "readable_version")]
    pub format_version: u32,
    /// The case's id.
    pub id: String,
    /// Its generation.
    pub generation: String,
    /// The campaign's seed, if the case belongs to a campaign.
    pub seed: Option<u64>,
    /// The iteration in that campaign.
    pub iteration: Option<u64>,
    /// The seed of this case alone; 0 where there is none.
    pub iter_seed: u64,
    /// The verdict.
    pub verdict: VerdictName,
    /// The kind of divergence, or why the case is inconclusive.
    pub kind: Option<String>,
    /// For a divergence: which of candidate, reference and recipe contradicts the other two.
    #[serde(default)]
    pub blame: Option<Blame>,
    /// The first aspect of the image that differs, for a divergence.
    #[serde(default, rename = "layer")]
    pub aspect: Option<Aspect>,
    /// The operation that decided the verdict.
    pub operation: Option<String>,
    /// The index of that operation in the case, from 0.
    pub operation_index: Option<usize>,
    /// The reason for the verdict, in one line.
    pub reason: Option<String>,
    /// For a known divergence: the id of the catalogue's entry.
    pub known: Option<String>,
    /// The catalogue's entry that would explain the divergence if it covered the tested version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_elsewhere: Option<Elsewhere>,
    /// Properties of the step or file that differs, in the terms of the catalogue's conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// The tool under test.
    pub candidate: ToolName,
    /// The reference.
    pub reference: ToolName,
    /// The result of every operation.
    pub operations: Vec<OperationRecord>,
    /// The evidence of the operation that decided the verdict.
    pub evidence: Option<Evidence>,
    /// Wall time of the case.
    pub duration_ms: f64,
    /// Number of tool calls.
    pub tool_calls: u64,
    /// CPU time of the tools.
    pub tool_cpu_ms: f64,
    /// The path of the scratch directory, if it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// When the case began, RFC 3339 in UTC.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// The command line that runs the case again with the same settings.
    #[serde(default)]
    pub reproduce: String,
    /// The candidate as given on the command line, e.g. `qemu-img:/usr/bin/qemu-img`; records of older versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_spec: Option<String>,
    /// The test's name, if the test target ran the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<String>,
    /// The path of the seed file in the package, if the case came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_file: Option<String>,
    /// Whether the record is copied from an earlier run, because this run skips cases that were inconclusive then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub carried_over: bool,
    /// For a mutated case: the id of the case that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Fingerprints of the tools' observed behaviours, for coverage.
    #[serde(default)]
    pub behaviours: BTreeSet<u32>,
    /// Number of checks of each kind.
    #[serde(default)]
    pub checks: BTreeMap<String, u64>,
    /// The case, unless it matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Case>,
    /// The ids of the catalogue's entries that could have matched, for the summary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_reached: Vec<String>,
}

/// The result of one operation of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OperationRecord {
    /// The operation's name.
    pub op: String,
    /// The verdict.
    pub verdict: VerdictName,
    /// The kind of divergence, or why the operation is inconclusive.
    pub kind: Option<String>,
    /// For a divergence: which side contradicts the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
    /// The reason for the verdict, in one line.
    pub reason: Option<String>,
    /// For a known divergence: the id of the catalogue's entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// The catalogue's entry that would explain the divergence if it covered the tested version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_elsewhere: Option<Elsewhere>,
    /// Wall time.
    pub duration_ms: f64,
    /// The cause of its divergence, for the shrinker, which runs its cases itself.
    #[serde(skip)]
    pub cause: Option<Cause>,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The derived implementation, which `remote` makes an inherent method.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let record = Self::deserialize(deserializer)?;
        record.validity().map_err(D::Error::custom)?;
        Ok(record)
    }
}

impl Record {
    /// Checks a record that was read from a file: words that become parts of file names, and indices.
    fn validity(&self) -> Validity {
        let names = [("kind", &self.kind), ("operation", &self.operation)];
        for (name, word) in names {
            validity::identifier(name, word.as_deref().unwrap_or("none"))?;
        }
        match (self.operation_index, &self.case) {
            (Some(index), Some(case)) if index >= case.ops.len() => Err(format!(
                "operation_index is {index}, but the case has {} operations: write the place of one",
                case.ops.len()
            )),
            _ => Ok(()),
        }
    }

    /// Builds the record of a case. `explained` has one item for each operation.
    pub fn new(
        case: Case,
        outcome: Outcome,
        explained: &[Explained],
        candidate: ToolName,
        reference: ToolName,
    ) -> Self {
        let id = case.id();
        let operations = operations(&case, &outcome, explained);
        let deciding = deciding(&outcome, explained);
        let decided = deciding.map(|index| &operations[index]);
        let verdict = decided.map_or(VerdictName::Unsupported, |operation| operation.verdict);
        let decided = decided.filter(|_| verdict != VerdictName::Match);
        let said = deciding.map(|index| &outcome.operations[index].verdict);
        let evidence = deciding.and_then(|index| outcome.operations[index].evidence.clone());
        let mut observed = Observed::default();
        for operation in &outcome.operations {
            observed.add(operation.observed.clone());
        }
        let parent = ancestry::parted(&id.generation).map(|(generation, _)| CaseId {
            generation: generation.to_owned(),
            origin: id.origin,
        });
        let (seed, iteration) = id.campaign().unzip();
        Self {
            format_version: FORMAT_VERSION,
            id: id.to_string(),
            generation: id.generation,
            seed,
            iteration,
            iter_seed: case.iter_seed.unwrap_or_default(),
            verdict,
            kind: decided.and_then(|operation| operation.kind.clone()),
            blame: said.and_then(Verdict::blame),
            aspect: said.and_then(Verdict::aspect),
            operation: decided.map(|operation| operation.op.clone()),
            operation_index: deciding.filter(|_| verdict != VerdictName::Match),
            reason: decided.and_then(|operation| operation.reason.clone()),
            known: decided.and_then(|operation| operation.known.clone()),
            known_elsewhere: decided.and_then(|operation| operation.known_elsewhere.clone()),
            at: match said {
                Some(Verdict::Divergence(finding)) => finding.at.clone(),
                _ => Vec::new(),
            },
            candidate,
            reference,
            evidence,
            operations,
            duration_ms: milliseconds(outcome.duration),
            tool_calls: outcome.tool_calls,
            tool_cpu_ms: milliseconds(outcome.tool_cpu),
            kept: outcome.kept.map(|path| path.display().to_string()),
            started: None,
            reproduce: String::new(),
            candidate_spec: None,
            trial: None,
            seed_file: None,
            carried_over: false,
            parent: parent.map(|parent| parent.to_string()),
            behaviours: observed.behaviours,
            checks: observed.checks,
            case: (verdict != VerdictName::Match).then_some(case),
            known_reached: Vec::new(),
        }
    }

    /// Notes that the case came from a seed file. From then on `reproduce` names the file, because it may hold a case
    /// that no id decodes to.
    pub fn came_from_file(&mut self, path: String) {
        self.reproduce = self.reproduce.replacen(&self.id, &path, 1);
        self.seed_file = Some(path);
    }

    /// Wall time of the case.
    pub fn duration(&self) -> Duration {
        Duration::try_from_secs_f64(self.duration_ms / 1e3).unwrap_or_default()
    }

    /// The case. Fails if the record, read from a file, does not hold it.
    pub fn case_shown(&self) -> Result<&Case> {
        self.case.as_ref().ok_or_else(|| {
            Error::usage(format!(
                "the record of {} does not hold its case: try it again with {} replay {}",
                self.id,
                program::line(),
                self.id
            ))
        })
    }

    /// The class in which the case is counted.
    pub fn class(&self) -> Class {
        let elsewhere = self.known_elsewhere.is_some();
        Class::from_verdict(self.verdict, self.known.is_some(), elsewhere)
    }

    /// The group of its divergence, whether known or not; `None` for any other verdict.
    pub fn group(&self) -> Option<Group> {
        if self.verdict != VerdictName::Divergence {
            return None;
        }
        let differences = self
            .evidence
            .as_ref()
            .map(|evidence| &*evidence.differences);
        Some(Group::new(
            self.kind.as_deref()?,
            self.operation.as_deref()?,
            differences.unwrap_or_default(),
            self.reason.as_deref().unwrap_or_default(),
        ))
    }

    /// Returns the record without calls, pictures and the evidence of the second run, which are most of its size.
    pub fn without_calls(&self) -> Self {
        let mut record = self.clone();
        if let Some(evidence) = &mut record.evidence {
            evidence.calls.clear();
            evidence.picture = None;
            evidence.again = None;
        }
        record
    }

    /// Its divergence in the form that the catalogue matches; `None` if there is none.
    pub fn sighting(&self) -> Option<Sighting<'_>> {
        let (case, index) = (self.case.as_ref()?, self.operation_index?);
        let is_there = self.verdict == VerdictName::Divergence && index < case.ops.len();
        is_there.then_some(Sighting {
            case,
            index,
            kind: self.kind.as_deref()?,
            blame: self.blame,
            differences: &self.evidence.as_ref()?.differences,
            at: &self.at,
        })
    }

    /// What the shrinker preserves: the diverging operations with kind and blame. With `known_too`, known divergences
    /// are included.
    pub fn symptoms(&self, known_too: bool) -> Vec<Symptom> {
        let diverging = self.operations.iter().filter(|operation| {
            operation.verdict == VerdictName::Divergence && (known_too || operation.known.is_none())
        });
        let symptom = |operation: &OperationRecord| Symptom {
            kind: operation.kind.clone().unwrap_or_default(),
            operation: operation.op.to_owned(),
            blame: operation.blame,
            known: operation.known.clone(),
            cause: operation.cause.clone(),
        };
        diverging.map(symptom).collect()
    }

    /// The cause of its divergence.
    pub fn cause(&self) -> Option<Cause> {
        Cause::from_differences(&self.evidence.as_ref()?.differences)
    }

    /// Whether the reference timed out in any of its operations.
    fn has_qemu_timeout(&self) -> bool {
        let name = InconclusiveKind::QemuTimeout.name();
        self.operations
            .iter()
            .any(|operation| operation.kind.as_deref() == Some(name))
    }
}

/// Refuses a record of a newer format, whose keys may mean something else.
fn readable_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(deserializer)?;
    if version > FORMAT_VERSION {
        return Err(D::Error::custom(format!(
            "format version {version} is newer than this program's, {FORMAT_VERSION}"
        )));
    }
    Ok(version)
}

/// The record of each operation of a case.
fn operations(case: &Case, outcome: &Outcome, explained: &[Explained]) -> Vec<OperationRecord> {
    std::iter::zip(&case.ops, &outcome.operations)
        .zip(explained)
        .map(|((operation, outcome), explained)| OperationRecord {
            op: operation.name().to_owned(),
            verdict: outcome.verdict.name(),
            kind: outcome.verdict.kind_name(),
            blame: outcome.verdict.blame(),
            reason: outcome.verdict.reason().map(str::to_owned),
            known: explained.known().cloned(),
            known_elsewhere: explained.elsewhere().cloned(),
            duration_ms: milliseconds(outcome.duration),
            cause: Cause::from_differences(outcome.verdict.differences()),
        })
        .collect()
}

/// The index of the operation that decides the case's verdict: the first with the lowest rank.
fn deciding(outcome: &Outcome, explained: &[Explained]) -> Option<usize> {
    let ranks = outcome
        .operations
        .iter()
        .zip(explained)
        .map(|(operation, explained)| rank(&operation.verdict, explained));
    // `min_by_key` returns the first of several minima.
    let first = ranks.enumerate().min_by_key(|(_, rank)| *rank);
    first.map(|(index, _)| index)
}

impl OperationRecord {
    /// The class in which the operation is counted.
    pub fn class(&self) -> Class {
        let elsewhere = self.known_elsewhere.is_some();
        Class::from_verdict(self.verdict, self.known.is_some(), elsewhere)
    }
}

/// Ranks an operation's verdict: the lowest rank in a case decides the case's verdict.
fn rank(verdict: &Verdict, explained: &Explained) -> u8 {
    match (verdict, explained) {
        (Verdict::Divergence(_), Explained::No) => 0,
        (Verdict::Divergence(_), Explained::Elsewhere(_)) => 1,
        (Verdict::Flaky(_), _) => 2,
        (Verdict::Divergence(_), Explained::Known(_)) => 3,
        (Verdict::Inconclusive { .. }, _) => 4,
        (Verdict::Match, _) => 5,
        (Verdict::Unsupported { .. }, _) => 6,
    }
}
