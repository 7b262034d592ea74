//! A campaign's figures, counted from its records.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::matrix::Matrix;
use super::{Class, ElsewhereCount, FORMAT_VERSION, Record, Tally, ToolName};
use crate::oracle::signature::Group;
use crate::oracle::verdict::VerdictName;

/// A campaign in figures. `matches`, `divergences_found`, `known_elsewhere_count`, `known_count`, `flaky_count`, `inconclusive_count` and
/// `unsupported_count` add up to `iterations_completed`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The generation, where there was one for all.
    pub generation: Option<String>,
    /// The seed, where there was one for all.
    pub seed: Option<u64>,
    /// How many cases were asked for.
    pub iterations: u64,
    /// How many were done.
    pub iterations_completed: u64,
    /// Wall time.
    pub elapsed_seconds: f64,
    /// Cases a second.
    pub iterations_per_second: f64,
    /// Cases in which everything that both support agreed.
    pub matches: u64,
    /// Cases with a divergence that is not in the catalogue.
    pub divergences_found: u64,
    /// Their iterations.
    pub divergence_iterations: Vec<u64>,
    /// Cases with a divergence that did not come back when they were tried again.
    pub flaky_count: u64,
    /// Their iterations.
    pub flaky_iterations: Vec<u64>,
    /// Cases in which a check could not be made and nothing diverged.
    pub inconclusive_count: u64,
    /// Their iterations.
    pub inconclusive_iterations: Vec<u64>,
    /// Cases, of any verdict, in which the reference ran out of time at least once.
    pub inconclusive_qemu_timeout: u64,
    /// Cases that have nothing both sides can do.
    pub unsupported_count: u64,
    /// Cases with a divergence that the catalogue explains, of other versions than these.
    pub known_elsewhere_count: u64,
    /// Cases whose divergences are all in the catalogue.
    pub known_count: u64,
    /// Cases by kind, known divergences included.
    pub by_kind: BTreeMap<String, u64>,
    /// The divergences that are not in the catalogue, by group; the group that was drawn first at the beginning.
    pub groups: Vec<GroupCount>,
    /// Cases by entry of the catalogue.
    pub by_known: BTreeMap<String, u64>,
    /// Cases that an entry of the catalogue would explain if it were about the versions at hand, by entry and version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_elsewhere: Vec<ElsewhereCount>,
    /// Cases that had what an entry of the catalogue is about, by entry, whether it fired or not.
    pub known_reached: BTreeMap<String, u64>,
    /// The witnesses, with their versions; null for one that is not installed.
    pub witnesses: BTreeMap<&'static str, Option<String>>,
    /// Operations that were not made because a side cannot do them, by the reason.
    pub unsupported_operations: BTreeMap<String, u64>,
    /// Whether cases were made of those that showed something new.
    pub guided: bool,
    /// How many distinct behaviours were seen.
    pub behaviours: u64,
    /// How many checks of each kind were made.
    pub checks: BTreeMap<String, u64>,
    #[serde(skip)]
    seen: BTreeSet<u32>,
    /// Cases by what came of them with any candidate.
    #[serde(skip)]
    cases: Tally,
    /// How many times a tool was called.
    pub tool_calls: u64,
    /// CPU time of the tools.
    pub tool_cpu_seconds: f64,
    /// Why too little was compared to prove anything, if it was.
    pub vacuous: Option<String>,
    /// CPU time of the harness itself.
    pub harness_cpu_seconds: f64,
    /// How many of the cases an earlier run has done.
    #[serde(skip)]
    resumed: u64,
    /// The tool under test, where there is one alone.
    pub candidate: Option<ToolName>,
    /// Every tool under test by name and version, where there are several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_candidate: BTreeMap<String, Tally>,
    /// Where each tool stands in each group of divergences, where there are several under test.
    #[serde(skip_serializing_if = "Matrix::is_empty")]
    pub matrix: Matrix,
    /// qemu-img.
    pub reference: Option<ToolName>,
    /// Every reference by name and version: several only where records were joined.
    #[serde(skip)]
    pub references: BTreeSet<String>,
    /// Every candidate by name and version.
    #[serde(skip)]
    candidates: BTreeMap<String, Tally>,
}

/// How often a group was seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupCount {
    /// The group: signature, kind, operation.
    #[serde(flatten)]
    pub group: Group,
    /// How many cases showed it.
    pub count: u64,
    /// The id of the case with the lowest iteration.
    pub first_id: String,
    #[serde(skip)]
    first_iteration: Option<u64>,
}

/// What a case can count as in which nothing was compared to its end; the last says the least.
const OF_NOTHING: [Class; 3] = [Class::Flaky, Class::Inconclusive, Class::Unsupported];

impl Summary {
    /// Nothing done yet, of `iterations` cases.
    pub fn new(generation: Option<String>, seed: Option<u64>, iterations: u64) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            generation,
            seed,
            iterations,
            ..Self::default()
        }
    }

    /// Counts a case that several candidates tried, each as a case of its own.
    pub fn add_case(&mut self, records: &[Record]) {
        records.iter().for_each(|record| self.add(record));
        // Where one candidate made something of it, it is no case of nothing.
        let of_nothing = |class: &Class| OF_NOTHING.iter().position(|found| found == class);
        let classes = records.iter().map(Record::class);
        if let Some(class) = classes.min_by_key(of_nothing) {
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

    /// Cases by the most that came of them with any candidate.
    pub fn cases(&self) -> &Tally {
        &self.cases
    }

    /// Counts a case.
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

    /// Counts what the catalogue says of a case.
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

    /// The entries of the catalogue that could have fired in so many cases that they would have, and never did; `cases_min` tells in how many an
    /// entry must have been silent.
    pub fn stale_known(&self, cases_min: impl Fn(&str) -> u64) -> Vec<&str> {
        let stale = self
            .known_reached
            .iter()
            .filter(|(id, cases)| !self.by_known.contains_key(*id) && **cases >= cases_min(id));
        stale.map(|(id, _)| id.as_str()).collect()
    }

    /// Divergences that nobody has explained for the versions at hand.
    pub fn open_count(&self) -> u64 {
        self.divergences_found + self.known_elsewhere_count
    }

    /// Counts a case that an earlier run has done.
    pub fn add_resumed(&mut self, records: &[Record]) {
        self.add_case(records);
        self.resumed += records.len() as u64;
    }

    /// Says all candidates of records that were joined, where there are several: none of them stands for all.
    pub fn tell_all_candidates(&mut self) {
        if self.candidates.len() > 1 {
            self.by_candidate = self.candidates.clone();
            self.candidate = None;
        }
        if self.references.len() > 1 {
            self.reference = None;
        }
    }

    /// Closes it: the time it took, and the CPU time of the harness itself.
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

/// A case without an iteration is left out.
fn insert_sorted(list: &mut Vec<u64>, value: Option<u64>) {
    let Some(value) = value else { return };
    let place = list.partition_point(|other| *other < value);
    list.insert(place, value);
}
