//! Many tools, one table: for every group of divergences, where each tool stands and who is the odd one out.
//!
//! Counted from the records of one case at a time, one for each candidate; shown by the reports. Pure. It trusts the verdicts: who is
//! right by a specification is for the catalogue to say.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Record;
use crate::oracle::signature::Group;
use crate::oracle::verdict::{Blame, DivergenceKind, OutputAspect, VerdictName};

mod apart;

/// Where a tool stands in a group's cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    /// It dies: of a signal, a panic.
    Crashes,
    /// It runs out of time.
    Hangs,
    /// It says no to what the others do.
    Refuses,
    /// It says yes to what the others refuse.
    Accepts,
    /// It gives another value than the model, or than the others where the model says nothing.
    Differs,
    /// As the model says, or as most do where the model says nothing.
    Agrees,
    /// It stands in another group with this case: what it does here is not known.
    Elsewhere,
    /// Nothing can be said: the check could not be made.
    Inconclusive,
    /// It cannot be asked this.
    NotAsked,
}

impl Stand {
    /// In a word or two.
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

/// A tool's place in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Where it stood in the row's first case.
    pub stand: Stand,
    /// What it gave there, when it was not what the others gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// In how many of the row's cases it stood against others.
    pub count: u64,
}

/// One group of divergences.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// The case that is told of: the one with the lowest iteration.
    pub first_id: String,
    /// In how many cases it was seen.
    pub cases: u64,
    /// The entry of the catalogue that explains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// Every tool, the reference among them, by name and version.
    pub cells: BTreeMap<String, Cell>,
    /// Who is the odd one out.
    pub verdict: String,
    #[serde(skip)]
    first_iteration: Option<u64>,
}

/// Every group of divergences, and where each tool stands in it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Matrix {
    rows: Vec<Row>,
}

impl Matrix {
    /// The rows, the one that was drawn first at the beginning.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether no tool stood against another.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Counts one case: the records of all candidates.
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
        let verdict = apart::who(&cells, &record.reference.to_string());
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

/// How a difference between exits tells of success ([`Answer::describe`](crate::tool::request::Answer::describe)).
const SUCCESS: &str = "exit 0";

/// Behind the name of a candidate that is the reference's own release.
const AS_CANDIDATE: &str = " (candidate)";

/// Where every tool stands in one operation of a case.
fn cells(records: &[Record], operation: usize, group: &Group) -> BTreeMap<String, Cell> {
    let mut cells = BTreeMap::new();
    // Where the reference stands, when it is wrong.
    let mut reference = None;
    for record in records {
        let deciding = record.operation_index == Some(operation);
        let is_of_group = record.group().as_ref() == Some(group);
        let (stand, value) = match record.verdict {
            VerdictName::Divergence if !is_of_group => (Stand::Elsewhere, None),
            _ => stand(record, operation),
        };
        let is_wrong = matches!(record.blame, Some(Blame::Reference) | Some(Blame::Both));
        if deciding && is_of_group && is_wrong {
            let kind = record.kind.as_deref().and_then(DivergenceKind::named);
            reference = Some(match kind {
                Some(DivergenceKind::CandidateCrash | DivergenceKind::ReferenceCrash) => {
                    Stand::Crashes
                }
                _ => Stand::Differs,
            });
        }
        let count = u64::from(stand.is_wrong());
        // The reference's own program may be a candidate too.
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
            stand: reference.unwrap_or(Stand::Agrees),
            value: None,
            count: u64::from(reference.is_some()),
        };
        cells.insert(record.reference.to_string(), reference);
    }
    cells
}

fn stand(record: &Record, operation: usize) -> (Stand, Option<String>) {
    let Some(done) = record.operations.get(operation) else {
        return (Stand::NotAsked, None);
    };
    match done.verdict {
        VerdictName::Match => return (Stand::Agrees, None),
        VerdictName::Unsupported => return (Stand::NotAsked, None),
        VerdictName::Inconclusive => return (Stand::Inconclusive, None),
        VerdictName::Divergence | VerdictName::Flaky => {}
    }
    let deciding = record.operation_index == Some(operation);
    if deciding && record.blame == Some(Blame::Reference) {
        return (Stand::Agrees, None);
    }
    let evidence = record.evidence.as_ref().filter(|_| deciding);
    let difference = evidence.and_then(|evidence| evidence.differences.first());
    let value = difference.map(|difference| difference.candidate.clone());
    let exits = difference.is_some_and(|difference| difference.what.starts_with("exit of "));
    let stand = match done.kind.as_deref().and_then(DivergenceKind::named) {
        Some(DivergenceKind::CandidateCrash) => Stand::Crashes,
        Some(DivergenceKind::CandidateTimeout) => Stand::Hangs,
        // An answer's own words for success.
        _ if exits
            && value
                .as_deref()
                .is_some_and(|value| value.starts_with(SUCCESS)) =>
        {
            Stand::Accepts
        }
        Some(DivergenceKind::Output(_, OutputAspect::ReadingRefused)) => Stand::Refuses,
        _ if exits => Stand::Refuses,
        _ => Stand::Differs,
    };
    (stand, value)
}
