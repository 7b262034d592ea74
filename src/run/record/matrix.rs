//! The matrix of a run with several candidates: for every group of divergences, each tool's outcome and which tool
//! stands alone.
//!
//! Counted case by case from the records of all candidates; shown by the reports. Pure. It takes the verdicts as they
//! are; which behaviour is right by the specification stands in the catalogue.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Record;
use crate::oracle::signature::Group;
use crate::oracle::verdict::{Blame, DivergenceKind, OutputAspect, VerdictName};
use crate::tool::request::{Ended, Exit};

mod outlier;

/// A tool's outcome in the cases of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CellOutcome {
    /// The tool crashes: a signal or a panic.
    Crashes,
    /// The tool times out.
    Hangs,
    /// The tool refuses what the others accept.
    Refuses,
    /// The tool accepts what the others refuse.
    Accepts,
    /// The tool's value differs from the model's, or from the others' where the model has none.
    Differs,
    /// The tool agrees with the model, or with most tools where the model has no value.
    Agrees,
    /// The tool diverges in this case, but in another group; its outcome here is unknown.
    Elsewhere,
    /// A check could not be made, so the outcome is unknown.
    Inconclusive,
    /// The tool does not support the operation, so it was skipped.
    NotAsked,
}

impl CellOutcome {
    /// Describes the outcome in a word or two.
    pub fn words(self) -> &'static str {
        match self {
            Self::Crashes => "crashes",
            Self::Hangs => "hangs",
            Self::Refuses => "refuses",
            Self::Accepts => "accepts",
            Self::Differs => "differs",
            Self::Agrees => "agrees",
            Self::Elsewhere => "diverges elsewhere",
            Self::Inconclusive => "inconclusive",
            Self::NotAsked => "skipped",
        }
    }

    fn is_wrong(self) -> bool {
        self <= Self::Differs
    }
}

/// The outcome of one tool in one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The outcome in the row's first case.
    pub stand: CellOutcome,
    /// The tool's value in that case, if it differed from the others'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Number of the row's cases in which the tool stood against others.
    pub count: u64,
}

/// One group of divergences.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// The id of the case with the lowest iteration.
    pub first_id: String,
    /// Number of cases that showed the divergence.
    pub cases: u64,
    /// The id of the catalogue's entry that explains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// The outcome of every tool, the reference included, by name and version.
    pub cells: BTreeMap<String, Cell>,
    /// Which tool stands alone, in words.
    pub verdict: String,
    #[serde(skip)]
    first_iteration: Option<u64>,
}

/// All groups of divergences, with each tool's outcome.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Matrix {
    rows: Vec<Row>,
}

impl Matrix {
    /// The rows in the order of their first cases.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether there is no divergence at all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Counts one case; `records` has one record for each candidate.
    pub fn add(&mut self, records: &[Record]) {
        let mut seen: Vec<Group> = Vec::new();
        for record in records {
            let (Some(group), Some(operation)) = (record.group(), record.operation_index) else {
                continue;
            };
            if seen.contains(&group) {
                continue;
            }
            let cells = cells(records, operation, &group);
            self.count(record, group.clone(), cells);
            seen.push(group);
        }
        self.rows.sort_by_key(|row| row.first_iteration);
    }

    fn count(&mut self, record: &Record, group: Group, cells: BTreeMap<String, Cell>) {
        let verdict = outlier::who(&cells, &record.reference.to_string());
        let Some(row) = self.rows.iter_mut().find(|row| row.group == group) else {
            self.rows.push(Row {
                group,
                first_id: record.id.clone(),
                cases: 1,
                known: record.known.clone(),
                cells,
                verdict,
                first_iteration: record.iteration,
            });
            return;
        };
        row.cases += 1;
        let is_first = record.iteration < row.first_iteration;
        for (tool, cell) in cells {
            let counted = row.cells.entry(tool).or_insert(Cell {
                count: 0,
                ..cell.clone()
            });
            let count = counted.count + cell.count;
            if is_first {
                *counted = cell;
            }
            counted.count = count;
        }
        if is_first {
            row.first_iteration = record.iteration;
            row.first_id = record.id.clone();
            row.verdict = verdict;
        }
    }
}

/// Marks a candidate that is the same release as the reference.
const AS_CANDIDATE: &str = " (candidate)";

/// The outcomes of all tools in one operation of a case.
fn cells(records: &[Record], operation: usize, group: &Group) -> BTreeMap<String, Cell> {
    let mut cells = BTreeMap::new();
    // The outcome of the reference, if it is wrong.
    let mut reference = None;
    for record in records {
        let deciding = record.operation_index == Some(operation);
        let is_of_group = record.group().as_ref() == Some(group);
        let (stand, value) = match record.verdict {
            VerdictName::Divergence if !is_of_group => (CellOutcome::Elsewhere, None),
            _ => stand(record, operation),
        };
        let is_wrong = matches!(record.blame, Some(Blame::Reference) | Some(Blame::Both));
        if deciding && is_of_group && is_wrong {
            let kind = record.kind.as_deref().and_then(DivergenceKind::named);
            reference = Some(match kind {
                Some(DivergenceKind::CandidateCrash | DivergenceKind::ReferenceCrash) => {
                    CellOutcome::Crashes
                }
                _ => CellOutcome::Differs,
            });
        }
        let count = u64::from(stand.is_wrong());
        // The program of the reference may be a candidate as well.
        let name = match record.candidate == record.reference {
            true => format!("{}{AS_CANDIDATE}", record.candidate),
            false => record.candidate.to_string(),
        };
        cells.insert(
            name,
            Cell {
                stand,
                value,
                count,
            },
        );
    }
    if let Some(record) = records.first() {
        let reference = Cell {
            stand: reference.unwrap_or(CellOutcome::Agrees),
            value: None,
            count: u64::from(reference.is_some()),
        };
        cells.insert(record.reference.to_string(), reference);
    }
    cells
}

/// Whether a value of a difference between exits tells of success.
fn is_success(value: &str) -> bool {
    let ended = Exit::parted(value).map(|(ended, _)| ended);
    ended == Some(Ended::Succeeded)
}

fn stand(record: &Record, operation: usize) -> (CellOutcome, Option<String>) {
    let Some(done) = record.operations.get(operation) else {
        return (CellOutcome::NotAsked, None);
    };
    match done.verdict {
        VerdictName::Match => return (CellOutcome::Agrees, None),
        VerdictName::Unsupported => return (CellOutcome::NotAsked, None),
        VerdictName::Inconclusive => return (CellOutcome::Inconclusive, None),
        VerdictName::Divergence | VerdictName::Flaky => {}
    }
    let deciding = record.operation_index == Some(operation);
    if deciding && record.blame == Some(Blame::Reference) {
        return (CellOutcome::Agrees, None);
    }
    let evidence = record.evidence.as_ref().filter(|_| deciding);
    let difference = evidence.and_then(|evidence| evidence.differences.first());
    let value = difference.map(|difference| difference.candidate.clone());
    let exits = difference.is_some_and(|difference| difference.subject.is_exit());
    let stand = match done.kind.as_deref().and_then(DivergenceKind::named) {
        Some(DivergenceKind::CandidateCrash) => CellOutcome::Crashes,
        Some(DivergenceKind::CandidateTimeout) => CellOutcome::Hangs,
        _ if exits && value.as_deref().is_some_and(is_success) => CellOutcome::Accepts,
        Some(DivergenceKind::Output(_, OutputAspect::ReadingRefused)) => CellOutcome::Refuses,
        _ if exits => CellOutcome::Refuses,
        _ => CellOutcome::Differs,
    };
    (stand, value)
}
