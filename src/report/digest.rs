//! The digest of all records for the page and short reports, in bounded space: each group once, with a count and an
//! example.
//!
//! Pure; the report files feed it record by record.

use std::collections::BTreeMap;

use crate::oracle::signature::Group;
use crate::run::record::{Class, Record, Tally};

/// How many groups keep an example with its evidence; further groups keep it without.
const WHOLE_EXAMPLES_MAX: usize = 200;

/// How many cases of one group are named.
const NAMED_CASES_MAX: usize = 20;

/// How many inconclusive cases are kept with their reason.
const INCONCLUSIVE_MAX: usize = 200;

/// How many flaky cases are kept with the evidence of both runs.
const FLAKY_MAX: usize = 50;

/// The digest of the records so far.
#[derive(Clone, Debug, Default)]
pub struct Digest {
    /// Divergences that the catalogue does not explain, by group.
    pub groups: BTreeMap<Group, Found>,
    /// Divergences that the catalogue explains for other versions only, by group.
    pub elsewhere: BTreeMap<Group, Found>,
    /// Divergences that the catalogue explains, by group.
    pub known: BTreeMap<Group, Found>,
    /// The results of every operation, by its name.
    pub operations: BTreeMap<String, Tally>,
    /// The first cases with a divergence that did not recur.
    pub flaky: Vec<Record>,
    /// The first inconclusive cases, without their evidence.
    pub inconclusive: Vec<Record>,
    /// Number of cases of each pair of tools.
    pub tools: BTreeMap<String, Tally>,
}

/// The divergences of one group.
#[derive(Clone, Debug)]
pub struct Found {
    /// Number of cases.
    pub count: u64,
    /// The names of the first cases.
    pub names: Vec<String>,
    /// The record of the first case.
    pub example: Record,
}

impl Digest {
    /// Adds a record.
    pub fn add(&mut self, record: &Record) {
        let pair = [&record.candidate, &record.reference]
            .map(|tool| format!("{} {}", tool.name, tool.version));
        let tally = self.tools.entry(pair.join(" / ")).or_default();
        tally.add(record.class());
        for operation in &record.operations {
            let class = operation.class();
            self.operations
                .entry(operation.op.clone())
                .or_default()
                .add(class);
        }
        match record.class() {
            Class::Divergence => add_to(&mut self.groups, record),
            Class::KnownElsewhere => add_to(&mut self.elsewhere, record),
            Class::Known => add_to(&mut self.known, record),
            Class::Inconclusive if self.inconclusive.len() < INCONCLUSIVE_MAX => {
                self.inconclusive.push(without_evidence(record));
            }
            Class::Flaky if self.flaky.len() < FLAKY_MAX => self.flaky.push(record.clone()),
            Class::Flaky | Class::Inconclusive | Class::Match | Class::Unsupported => {}
        }
    }
}

fn add_to(groups: &mut BTreeMap<Group, Found>, record: &Record) {
    let Some(group) = record.group() else {
        return;
    };
    let is_whole = groups.len() < WHOLE_EXAMPLES_MAX;
    let found = groups.entry(group).or_insert_with(|| Found {
        count: 0,
        names: Vec::new(),
        example: if is_whole {
            record.clone()
        } else {
            without_evidence(record)
        },
    });
    found.count += 1;
    if found.names.len() < NAMED_CASES_MAX {
        let name = record.trial.as_ref().unwrap_or(&record.id);
        found.names.push(name.clone());
    }
}

fn without_evidence(record: &Record) -> Record {
    Record {
        evidence: None,
        ..record.clone()
    }
}
