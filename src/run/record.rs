//! A case's record, and a campaign's summary: what is written to files and what all reports are made of.
//!
//! Pure. The field names are a contract; a change bumps `FORMAT_VERSION`.

mod class;
mod explained;
mod matrix;
mod summary;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

pub use class::Class;
pub use explained::{Elsewhere, ElsewhereCount, Explained};
pub use matrix::{Cell, Matrix, Row, Stand};
pub use summary::Summary;
pub use tally::Tally;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::error::{Error, Result};
use crate::case::generation::lineage;
use crate::case::known::Sighting;
use crate::case::shrink::Symptom;
use crate::case::{Case, CaseId};
use crate::image::validity::{self, Validity};
use crate::oracle::behaviour::Observed;
use crate::oracle::signature::{Cause, Group};
use crate::oracle::verdict::{Blame, InconclusiveKind, Layer, Verdict, VerdictName};
use crate::run::duel::Outcome;
use crate::run::evidence::{Evidence, milliseconds};

/// The version of the record's and the summary's format. 2 added `started`, `reproduce`, `trial`, `seed_file`, `case`, and
/// `fixture` and `picture` to the evidence; the summary got its groups; what version 1 wrote can still be read.
/// 3 added `parent`, `behaviours`, `checks` and the operations' `blame`, and to the summary `guided`, `behaviours` and `checks`; the
/// verdict `flaky`, `again` to the evidence, and `flaky_count`, `flaky_iterations` and `vacuous` to the summary.
/// 4 added the stand `accepts` to the summary's matrix.
/// 5 added `build` to a tool that is embedded, `at` and `known_elsewhere` to the record, and `known_elsewhere_count` and `known_elsewhere` to the
/// summary.
pub const FORMAT_VERSION: u32 = 5;

/// A tool, as records name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ToolName {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How it was built, for an embedded library: whether arithmetic that overflows is a panic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
}

impl fmt::Display for ToolName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.name, self.version)
    }
}

/// One case, one line. What is read is valid, or is refused: what is wrong with it, and where.
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
    /// Its campaign's seed, where it has one.
    pub seed: Option<u64>,
    /// Its iteration in that campaign.
    pub iteration: Option<u64>,
    /// Its own seed.
    pub iter_seed: u64,
    /// What is said of it.
    pub verdict: VerdictName,
    /// The kind of divergence, or why it is inconclusive.
    pub kind: Option<String>,
    /// Who is alone against the other two of candidate, reference and recipe, for a divergence.
    #[serde(default)]
    pub blame: Option<Blame>,
    /// The first layer of the image that differs, for a divergence.
    #[serde(default)]
    pub layer: Option<Layer>,
    /// The operation that decided the verdict.
    pub operation: Option<String>,
    /// Its place in the case, from 0.
    pub operation_index: Option<usize>,
    /// Why, in a line.
    pub reason: Option<String>,
    /// The id of the catalogue's entry, for a known divergence.
    pub known: Option<String>,
    /// The catalogue's entry that would explain it if it were about the versions at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_elsewhere: Option<Elsewhere>,
    /// What is true of the step or file that differs, as the catalogue's conditions name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// The tool under test.
    pub candidate: ToolName,
    /// qemu-img.
    pub reference: ToolName,
    /// Every operation.
    pub operations: Vec<OperationRecord>,
    /// What happened in the operation that decided the verdict.
    pub evidence: Option<Evidence>,
    /// Wall time of the case.
    pub duration_ms: f64,
    /// How many times a tool was called.
    pub tool_calls: u64,
    /// CPU time of the tools.
    pub tool_cpu_ms: f64,
    /// Where the scratch directory lies, when it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// When the case began, RFC 3339 in UTC.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// The command line that runs the case again on the same terms.
    #[serde(default)]
    pub reproduce: String,
    /// The trial's name, when it was run by the test door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<String>,
    /// The seed file, when it came from one: its path in the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_file: Option<String>,
    /// Whether it is the record of an earlier run, put here because this run skips what was inconclusive then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub carried_over: bool,
    /// The id of the case that it was made of, when it was not drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Fingerprints of what the tools were seen to do.
    #[serde(default)]
    pub behaviours: BTreeSet<u32>,
    /// How many checks of each kind were made.
    #[serde(default)]
    pub checks: BTreeMap<String, u64>,
    /// What was done, when it did not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Case>,
    /// The entries of the catalogue that could have fired, for the summary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_reached: Vec<String>,
}

/// One operation of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OperationRecord {
    /// Its name.
    pub op: String,
    /// What is said of it.
    pub verdict: VerdictName,
    /// The kind of divergence, or why it is inconclusive.
    pub kind: Option<String>,
    /// Who is alone, for a divergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
    /// Why, in a line.
    pub reason: Option<String>,
    /// The id of the catalogue's entry, for a known divergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// The catalogue's entry that would explain it if it were about the versions at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_elsewhere: Option<Elsewhere>,
    /// Wall time.
    pub duration_ms: f64,
    /// What its divergence comes from: for the shrinker, which tries its cases itself.
    #[serde(skip)]
    pub cause: Option<Cause>,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The derived one, which `remote` makes an own method.
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
    /// What is wrong with it, if it came out of a file: names that become those of files, places in lists.
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

    /// The record of a case. `explained` tells for each operation what the catalogue says of its divergence.
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
        let parent = lineage::parted(&id.generation).map(|(generation, _)| CaseId {
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
            iter_seed: case.iter_seed,
            verdict,
            kind: decided.and_then(|operation| operation.kind.clone()),
            blame: said.and_then(Verdict::blame),
            layer: said.and_then(Verdict::layer),
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

    /// Notes that the case came out of a seed file, which may hold what no id decodes to: from then on the file reproduces it.
    pub fn came_from_file(&mut self, path: String) {
        self.reproduce = self.reproduce.replacen(&self.id, &path, 1);
        self.seed_file = Some(path);
    }

    /// How long the case took.
    pub fn duration(&self) -> Duration {
        Duration::try_from_secs_f64(self.duration_ms / 1e3).unwrap_or_default()
    }

    /// What was done, of a case that did not match. A record out of a file may lack it.
    pub fn case_shown(&self) -> Result<&Case> {
        self.case.as_ref().ok_or_else(|| {
            Error::usage(format!(
                "the record of {} does not hold its case: try it again with imgduel replay {}",
                self.id, self.id
            ))
        })
    }

    /// What the case counts as.
    pub fn class(&self) -> Class {
        let elsewhere = self.known_elsewhere.is_some();
        Class::of(self.verdict, self.known.is_some(), elsewhere)
    }

    /// The group of its divergence, explained or not.
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

    /// The same without what was run, which is most of it.
    pub fn without_calls(&self) -> Self {
        let mut record = self.clone();
        if let Some(evidence) = &mut record.evidence {
            evidence.calls.clear();
            evidence.picture = None;
            evidence.again = None;
        }
        record
    }

    /// Its divergence, as the catalogue looks at it; nothing where there is none.
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

    /// What it shows: the class of every operation's divergence, of those that the catalogue explains only if asked.
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

    /// What the divergence of its group comes from.
    pub fn cause(&self) -> Option<Cause> {
        Cause::of(&self.evidence.as_ref()?.differences)
    }

    /// Whether the reference ran out of time in any of its operations.
    fn has_qemu_timeout(&self) -> bool {
        let name = InconclusiveKind::QemuTimeout.name();
        self.operations
            .iter()
            .any(|operation| operation.kind.as_deref() == Some(name))
    }
}

/// A record of a later format may mean something else by the same words.
fn readable_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(deserializer)?;
    if version > FORMAT_VERSION {
        return Err(D::Error::custom(format!(
            "format version {version} is newer than this program's, {FORMAT_VERSION}"
        )));
    }
    Ok(version)
}

/// What came of each operation of a case.
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
            cause: Cause::of(outcome.verdict.differences()),
        })
        .collect()
}

/// The place of the operation whose verdict is the case's: the first of those that weigh most.
fn deciding(outcome: &Outcome, explained: &[Explained]) -> Option<usize> {
    let ranks = outcome
        .operations
        .iter()
        .zip(explained)
        .map(|(operation, explained)| rank(&operation.verdict, explained));
    // `min_by_key` keeps the first of equals.
    let first = ranks.enumerate().min_by_key(|(_, rank)| *rank);
    first.map(|(index, _)| index)
}

impl OperationRecord {
    /// What the operation counts as.
    pub fn class(&self) -> Class {
        let elsewhere = self.known_elsewhere.is_some();
        Class::of(self.verdict, self.known.is_some(), elsewhere)
    }
}

/// The order in which an operation decides its case's verdict.
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
