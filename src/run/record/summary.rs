//! A campaign's figures, counted from its records.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::matrix::Matrix;
use super::{Class, ElsewhereCount, FORMAT_VERSION, Record, Tally, ToolName};
use crate::oracle::signature::Group;
use crate::oracle::verdict::VerdictName;

/// The figures of a campaign. `matches`, `divergences_found`, `known_elsewhere_count`, `known_count`, `flaky_count`,
/// `inconclusive_count` and `unsupported_count` add up to `iterations_completed`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The generation, if all cases have the same.
    pub generation: Option<String>,
    /// The seed, if all cases have the same.
    pub seed: Option<u64>,
    /// Number of requested cases.
    pub iterations: u64,
    /// Number of completed cases.
    pub iterations_completed: u64,
    /// Wall time of the campaign.
    pub elapsed_seconds: f64,
    /// Completed cases per second.
    pub iterations_per_second: f64,
    /// Cases in which everything that both sides support agreed.
    pub matches: u64,
    /// Cases with a divergence that is not in the catalogue.
    pub divergences_found: u64,
    /// The iterations of those cases.
    pub divergence_iterations: Vec<u64>,
    /// Cases with a divergence that did not recur in the confirmation run.
    pub flaky_count: u64,
    /// The iterations of those cases.
    pub flaky_iterations: Vec<u64>,
    /// Cases in which a check could not be made and nothing diverged.
    pub inconclusive_count: u64,
    /// The iterations of those cases.
    pub inconclusive_iterations: Vec<u64>,
    /// Cases of any verdict in which the reference timed out at least once.
    pub inconclusive_qemu_timeout: u64,
    /// Cases in which no operation is supported by both sides.
    pub unsupported_count: u64,
    /// Cases with a divergence that the catalogue explains for other versions only.
    pub known_elsewhere_count: u64,
    /// Cases whose divergences are all in the catalogue.
    pub known_count: u64,
    /// Cases by kind, known divergences included.
    pub by_kind: BTreeMap<String, u64>,
    /// The divergences that are not in the catalogue, by group, in the order of their first cases.
    pub groups: Vec<GroupCount>,
    /// Cases by the catalogue's entry that explains them.
    pub by_known: BTreeMap<String, u64>,
    /// Cases that an entry of the catalogue would explain if it covered the tested version, by entry and version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_elsewhere: Vec<ElsewhereCount>,
    /// Cases that an entry of the catalogue could have explained, by entry, whether it matched or not.
    pub known_reached: BTreeMap<String, u64>,
    /// Of those, the entries that matched in no case.
    pub known_silent: BTreeMap<String, u64>,
    /// The witness tools with their versions; null if not installed.
    pub witnesses: BTreeMap<&'static str, Option<String>>,
    /// Skipped operations, by the reason: a side does not support them.
    pub unsupported_operations: BTreeMap<String, u64>,
    /// Whether the campaign was guided: mutated cases that showed new behaviours.
    pub guided: bool,
    /// Number of distinct observed behaviours.
    pub behaviours: u64,
    /// Number of checks of each kind.
    pub checks: BTreeMap<String, u64>,
    #[serde(skip)]
    seen: BTreeSet<u32>,
    /// Cases by class, each counted once for all candidates.
    #[serde(skip)]
    cases: Tally,
    /// Number of tool calls.
    pub tool_calls: u64,
    /// CPU time of the tools.
    pub tool_cpu_seconds: f64,
    /// Why too little was compared for the campaign to prove anything, if so.
    pub vacuous: Option<String>,
    /// CPU time of the harness itself.
    pub harness_cpu_seconds: f64,
    /// How many of the completed cases come from a resumed run.
    #[serde(skip)]
    resumed: u64,
    /// The tool under test, if there is only one.
    pub candidate: Option<ToolName>,
    /// Cases of each tool under test, by name and version, if there are several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_candidate: BTreeMap<String, Tally>,
    /// Each tool's outcome in each group of divergences, if there are several under test.
    #[serde(skip_serializing_if = "Matrix::is_empty")]
    pub matrix: Matrix,
    /// The reference.
    pub reference: Option<ToolName>,
    /// The references by name and version; several only after a merge of records.
    #[serde(skip)]
    pub references: BTreeSet<String>,
    /// Cases of each candidate, by name and version.
    #[serde(skip)]
    candidates: BTreeMap<String, Tally>,
}

/// A group of divergences with its number of cases.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupCount {
    /// The group: signature, kind and operation.
    #[serde(flatten)]
    pub group: Group,
    /// Number of cases.
    pub count: u64,
    /// The id of the case with the lowest iteration.
    pub first_id: String,
    #[serde(skip)]
    first_iteration: Option<u64>,
}

/// The classes of cases in which nothing was compared to the end; the last shows least.
const COMPARED_NOTHING: [Class; 3] = [Class::Flaky, Class::Inconclusive, Class::Unsupported];

impl Summary {
    /// Returns the summary of a campaign of `iterations` cases before its first case.
    pub fn new(generation: Option<String>, seed: Option<u64>, iterations: u64) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            generation,
            seed,
            iterations,
            ..Self::default()
        }
    }

    /// Counts a case that several candidates ran, once for each of them.
    pub fn add_case(&mut self, records: &[Record]) {
        records.iter().for_each(|record| self.add(record));
        // The case compared something if it did so with any of the candidates.
        let rank = |class: &Class| COMPARED_NOTHING.iter().position(|found| found == class);
        let classes = records.iter().map(Record::class);
        if let Some(class) = classes.min_by_key(rank) {
            self.cases.add(class);
        }
        if records.len() > 1 {
            for record in records {
                let name = record.candidate.to_string();
                self.by_candidate
                    .entry(name)
                    .or_default()
                    .add(record.class());
            }
            self.matrix.add(records);
            self.candidate = None;
        }
    }

    /// Cases by class, each counted once: in the class with the candidate that compared most.
    pub fn cases(&self) -> &Tally {
        &self.cases
    }

    /// Counts the record of a case with one candidate.
    pub fn add(&mut self, record: &Record) {
        self.iterations_completed += 1;
        self.count_class(record);
        self.inconclusive_qemu_timeout += u64::from(record.has_qemu_timeout());
        self.count_known(record);
        if let Some(kind) = &record.kind {
            *self.by_kind.entry(kind.clone()).or_default() += 1;
        }
        for operation in record
            .operations
            .iter()
            .filter(|operation| operation.verdict == VerdictName::Unsupported)
        {
            let reason = operation.reason.clone().unwrap_or_default();
            *self.unsupported_operations.entry(reason).or_default() += 1;
        }
        self.seen.extend(&record.behaviours);
        self.behaviours = self.seen.len() as u64;
        for (check, count) in &record.checks {
            let counted = self.checks.entry(check.clone()).or_default();
            *counted = counted.saturating_add(*count);
        }
        self.tool_calls = self.tool_calls.saturating_add(record.tool_calls);
        self.tool_cpu_seconds += record.tool_cpu_ms / 1e3;
        let candidate = record.candidate.to_string();
        self.candidates
            .entry(candidate)
            .or_default()
            .add(record.class());
        self.references.insert(record.reference.to_string());
        self.candidate = Some(record.candidate.clone());
        self.reference = Some(record.reference.clone());
    }

    fn count_class(&mut self, record: &Record) {
        match record.class() {
            Class::Match => self.matches += 1,
            Class::Known => self.known_count += 1,
            Class::KnownElsewhere => {
                self.known_elsewhere_count += 1;
                insert_sorted(&mut self.divergence_iterations, record.iteration);
            }
            Class::Unsupported => self.unsupported_count += 1,
            Class::Divergence => {
                self.divergences_found += 1;
                insert_sorted(&mut self.divergence_iterations, record.iteration);
                self.count_group(record);
            }
            Class::Flaky => {
                self.flaky_count += 1;
                insert_sorted(&mut self.flaky_iterations, record.iteration);
            }
            Class::Inconclusive => {
                self.inconclusive_count += 1;
                insert_sorted(&mut self.inconclusive_iterations, record.iteration);
            }
        }
    }

    /// Counts the catalogue's entries that explain a case or could have.
    fn count_known(&mut self, record: &Record) {
        if let Some(known) = &record.known {
            *self.by_known.entry(known.clone()).or_default() += 1;
        }
        if let Some(elsewhere) = &record.known_elsewhere {
            let mut counted = self.known_elsewhere.iter_mut();
            match counted.find(|counted| counted.elsewhere == *elsewhere) {
                Some(counted) => counted.count += 1,
                None => self.known_elsewhere.push(ElsewhereCount {
                    elsewhere: elsewhere.clone(),
                    count: 1,
                }),
            }
            self.known_elsewhere
                .sort_by(|one, other| one.elsewhere.cmp(&other.elsewhere));
        }
        for id in &record.known_reached {
            *self.known_reached.entry(id.clone()).or_default() += 1;
        }
        let silent = self.known_reached.iter();
        let silent = silent.filter(|(id, _)| !self.by_known.contains_key(*id));
        self.known_silent = silent.map(|(id, cases)| (id.clone(), *cases)).collect();
    }

    fn count_group(&mut self, record: &Record) {
        let Some(group) = record.group() else {
            return;
        };
        let counted = self
            .groups
            .iter_mut()
            .find(|counted| counted.group == group);
        match counted {
            Some(counted) => {
                counted.count += 1;
                if record.iteration < counted.first_iteration {
                    counted.first_iteration = record.iteration;
                    counted.first_id = record.id.clone();
                }
            }
            None => self.groups.push(GroupCount {
                group,
                count: 1,
                first_id: record.id.clone(),
                first_iteration: record.iteration,
            }),
        }
        self.groups.sort_by_key(|counted| counted.first_iteration);
    }

    /// The ids of the catalogue's entries that never matched, although they could have in at least `cases_min(id)`
    /// cases.
    pub fn stale_known(&self, cases_min: impl Fn(&str) -> u64) -> Vec<&str> {
        let silent = self.known_silent.iter();
        let stale = silent.filter(|(id, cases)| **cases >= cases_min(id));
        stale.map(|(id, _)| id.as_str()).collect()
    }

    /// Number of divergences that the catalogue does not explain for the tested versions.
    pub fn open_count(&self) -> u64 {
        self.divergences_found + self.known_elsewhere_count
    }

    /// Counts a case of the run that is resumed.
    pub fn add_resumed(&mut self, records: &[Record]) {
        self.add_case(records);
        self.resumed += records.len() as u64;
    }

    /// After a merge: if there are several candidates or references, lists them all instead of the last one.
    pub fn list_all_candidates(&mut self) {
        if self.candidates.len() > 1 {
            self.by_candidate = self.candidates.clone();
            self.candidate = None;
        }
        if self.references.len() > 1 {
            self.reference = None;
        }
    }

    /// Completes the summary with the elapsed wall time and the CPU time of the harness.
    pub fn finish(&mut self, elapsed: Duration, harness_cpu: Duration) {
        let thousandths = |value: f64| (value * 1e3).round() / 1e3;
        self.elapsed_seconds = thousandths(elapsed.as_secs_f64());
        let done = self.iterations_completed - self.resumed;
        let per_second = done as f64 / elapsed.as_secs_f64().max(1e-9);
        self.iterations_per_second = thousandths(per_second);
        self.tool_cpu_seconds = thousandths(self.tool_cpu_seconds);
        self.harness_cpu_seconds = thousandths(harness_cpu.as_secs_f64());
    }
}

/// Inserts an iteration in ascending order; a case without one is left out.
fn insert_sorted(list: &mut Vec<u64>, value: Option<u64>) {
    let Some(value) = value else { return };
    let place = list.partition_point(|other| *other < value);
    list.insert(place, value);
}
