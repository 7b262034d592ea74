//! Many tools, one table: for every group of divergences, where each tool stands and who is the odd one out.
//!
//! Counted from the records of one case at a time, one for each candidate; shown by the reports. Pure. It trusts the verdicts: who is
//! right by a specification is for the catalogue to say.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Record;
use crate::signature::Group;
use crate::verdict::{Blame, DivergenceKind, OutputAspect, VerdictName};

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
            Self::NotAsked => "not asked",
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
    first_iteration: u64,
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
        let verdict = odd_one_out(&cells, &record.reference.to_string());
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

/// How a difference between exits tells of success ([`Answer::describe`](crate::request::Answer::describe)).
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

/// Names who stands alone.
fn odd_one_out(cells: &BTreeMap<String, Cell>, reference: &str) -> String {
    let named = |wanted: fn(&Cell) -> bool| -> Vec<&str> {
        let found = cells.iter().filter(|(_, cell)| wanted(cell));
        found.map(|(tool, _)| tool.as_str()).collect()
    };
    let wrong = named(|cell| cell.stand.is_wrong());
    let right = named(|cell| cell.stand == Stand::Agrees);
    if let Some(release) = first_release(cells) {
        return release;
    }
    match (&*wrong, &*right) {
        ([], _) => "nobody is alone".to_owned(),
        ([alone], _) if *alone == reference => "the reference is alone".to_owned(),
        ([alone], [_]) => format!("{alone} against the reference"),
        ([alone], _) => format!("{alone} is the odd one out"),
        (several, []) => format!("no two agree: {}", several.join(", ")),
        (several, others) => {
            let values: Vec<&Cell> = several.iter().map(|tool| &cells[*tool]).collect();
            let same = values
                .windows(2)
                .all(|two| (two[0].stand, &two[0].value) == (two[1].stand, &two[1].value));
            let several = several.join(", ");
            match (same, others) {
                (true, [only]) if *only == reference => {
                    format!("the reference is alone against {several}")
                }
                (true, _) => format!("two camps: {several} against {}", others.join(", ")),
                (false, _) => {
                    format!(
                        "each in its own way: {several} against {}",
                        others.join(", ")
                    )
                }
            }
        }
    }
}

/// Of several releases of qemu-img, the first that stands elsewhere than the one before it; where other tools stand apart too, or one
/// release against itself, that is not the question.
fn first_release(cells: &BTreeMap<String, Cell>) -> Option<String> {
    let mut releases: BTreeMap<Vec<u64>, (&str, Stand)> = BTreeMap::new();
    for (tool, cell) in cells {
        let is_telling = cell.stand.is_wrong() || cell.stand == Stand::Agrees;
        match tool.strip_prefix("qemu-img ") {
            Some(version) if is_telling => {
                let version = version.strip_suffix(AS_CANDIDATE).unwrap_or(version);
                let numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
                let stand = (version, cell.stand);
                if *releases.entry(numbers.collect()).or_insert(stand) != stand {
                    return None;
                }
            }
            None if cell.stand.is_wrong() => return None,
            _ => {}
        }
    }
    let releases: Vec<(&str, Stand)> = releases.into_values().collect();
    let changed = releases.windows(2).find(|two| two[0].1 != two[1].1)?;
    let [(before, _), (after, _)] = changed else {
        return None;
    };
    Some(format!(
        "qemu-img {after} is the first to behave otherwise than qemu-img {before}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(stands: &[(&str, Stand)]) -> String {
        let cells = stands.iter().map(|(tool, stand)| {
            let cell = Cell {
                stand: *stand,
                value: None,
                count: u64::from(stand.is_wrong()),
            };
            ((*tool).to_owned(), cell)
        });
        odd_one_out(&cells.collect(), "qemu-img 10.0.2")
    }

    #[test]
    fn of_releases_the_first_that_behaves_otherwise_is_named_by_its_number() {
        let stands = [
            ("qemu-img 7.2.22", Stand::Crashes),
            ("qemu-img 9.1.0", Stand::Agrees),
            ("qemu-img 10.0.2", Stand::Agrees),
            ("qemu-img 10.0.2 (candidate)", Stand::Agrees),
        ];
        assert_eq!(
            verdict(&stands),
            "qemu-img 9.1.0 is the first to behave otherwise than qemu-img 7.2.22"
        );
        assert_eq!(
            verdict(&[stands[3], stands[0]]),
            "qemu-img 10.0.2 is the first to behave otherwise than qemu-img 7.2.22"
        );
    }

    #[test]
    fn a_reference_that_nobody_agrees_with_is_alone_when_the_others_are_of_one_mind() {
        let mut stands = vec![
            ("vhd-core 0.1.4", Stand::Accepts),
            ("7zz 25.01", Stand::Accepts),
            ("qemu-img 10.0.2", Stand::Agrees),
        ];
        assert_eq!(
            verdict(&stands),
            "the reference is alone against 7zz 25.01, vhd-core 0.1.4"
        );
        stands.push(("libvhdi 20210425", Stand::Agrees));
        assert_eq!(
            verdict(&stands),
            "two camps: 7zz 25.01, vhd-core 0.1.4 against libvhdi 20210425, qemu-img 10.0.2"
        );
    }

    #[test]
    fn a_release_that_stands_against_itself_is_no_matter_of_releases() {
        let stands = [
            ("qemu-img 7.2.22", Stand::Agrees),
            ("qemu-img 10.0.2", Stand::Agrees),
            ("qemu-img 10.0.2 (candidate)", Stand::Differs),
        ];
        assert_eq!(
            verdict(&stands),
            "qemu-img 10.0.2 (candidate) is the odd one out"
        );
    }

    #[test]
    fn releases_that_crash_alike_are_not_told_apart() {
        let stands = [
            ("qemu-img 7.2.22", Stand::Crashes),
            ("qemu-img 10.0.2", Stand::Crashes),
            ("imago 0.2.6", Stand::Agrees),
        ];
        assert!(!verdict(&stands).contains("first"), "{}", verdict(&stands));
    }
}
