//! A case's record, and a campaign's summary: what is written to files and what all reports are made of.
//!
//! Pure. The field names are a contract; a change bumps [`FORMAT_VERSION`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::case::Case;
use crate::duel::Outcome;
use crate::evidence::{Evidence, milliseconds};
use crate::verdict::{Blame, InconclusiveKind, Layer, Verdict};

/// The version of the record's and the summary's format.
pub const FORMAT_VERSION: u32 = 1;

/// A tool, as records name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToolName {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One case, one line.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The case's id.
    pub id: String,
    /// Its generation.
    pub generation: String,
    /// Its campaign's seed.
    pub seed: u64,
    /// Its iteration.
    pub iteration: u64,
    /// Its own seed.
    pub iter_seed: u64,
    /// `match`, `divergence`, `inconclusive` or `unsupported`.
    pub verdict: &'static str,
    /// The kind of divergence, or why it is inconclusive.
    pub kind: Option<String>,
    /// Who is alone against the other two of candidate, reference and recipe, for a divergence.
    pub blame: Option<Blame>,
    /// The first layer of the image that differs, for a divergence.
    pub layer: Option<Layer>,
    /// The operation that decided the verdict.
    pub operation: Option<String>,
    /// Its place in the case, from 0.
    pub operation_index: Option<usize>,
    /// Why, in a line.
    pub reason: Option<String>,
    /// The id of the catalogue's entry, for a known divergence.
    pub known: Option<String>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// What was done, for reports.
    #[serde(skip)]
    pub case: Case,
    /// The entries of the catalogue that could have fired, for the summary.
    #[serde(skip)]
    pub known_reached: Vec<String>,
}

/// One operation of a case.
#[derive(Clone, Debug, Serialize)]
pub struct OperationRecord {
    /// Its name.
    pub op: &'static str,
    /// `match`, `divergence`, `inconclusive` or `unsupported`.
    pub verdict: &'static str,
    /// The kind of divergence, or why it is inconclusive.
    pub kind: Option<String>,
    /// Why, in a line.
    pub reason: Option<String>,
    /// The id of the catalogue's entry, for a known divergence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// Wall time.
    pub duration_ms: f64,
}

impl Record {
    /// The record of a case. `known` holds the catalogue's id for each operation that has one.
    pub fn new(
        case: Case,
        outcome: Outcome,
        known: &[Option<String>],
        candidate: ToolName,
        reference: ToolName,
    ) -> Self {
        let id = case.id();
        let operations: Vec<OperationRecord> = std::iter::zip(&case.ops, &outcome.operations)
            .zip(known)
            .map(|((operation, outcome), known)| OperationRecord {
                op: operation.name(),
                verdict: outcome.verdict.name(),
                kind: outcome.verdict.kind_name(),
                reason: outcome.verdict.reason().map(str::to_owned),
                known: known.clone(),
                duration_ms: milliseconds(outcome.duration),
            })
            .collect();
        let verdicts = outcome
            .operations
            .iter()
            .map(|operation| &operation.verdict);
        let ranks = verdicts
            .zip(known)
            .map(|(verdict, known)| rank(verdict, known.is_some()));
        // `min_by_key` keeps the first of equals.
        let deciding = ranks
            .enumerate()
            .min_by_key(|(_, rank)| *rank)
            .map(|(index, _)| index);
        let decided = deciding.map(|index| &operations[index]);
        let verdict = decided.map_or("unsupported", |operation| operation.verdict);
        let decided = decided.filter(|_| verdict != "match");
        let said = deciding.map(|index| &outcome.operations[index].verdict);
        let evidence = deciding.and_then(|index| outcome.operations[index].evidence.clone());
        Self {
            format_version: FORMAT_VERSION,
            id: id.to_string(),
            generation: id.generation,
            seed: id.seed,
            iteration: id.iteration,
            iter_seed: case.iter_seed,
            verdict,
            kind: decided.and_then(|operation| operation.kind.clone()),
            blame: said.and_then(Verdict::blame),
            layer: said.and_then(Verdict::layer),
            operation: decided.map(|operation| operation.op.to_owned()),
            operation_index: deciding.filter(|_| verdict != "match"),
            reason: decided.and_then(|operation| operation.reason.clone()),
            known: decided.and_then(|operation| operation.known.clone()),
            candidate,
            reference,
            evidence,
            operations,
            duration_ms: milliseconds(outcome.duration),
            tool_calls: outcome.tool_calls,
            tool_cpu_ms: milliseconds(outcome.tool_cpu),
            kept: outcome.kept.map(|path| path.display().to_string()),
            case,
            known_reached: Vec::new(),
        }
    }

    /// What the case counts as.
    pub fn class(&self) -> Class {
        match self.verdict {
            "divergence" if self.known.is_some() => Class::Known,
            "divergence" => Class::Divergence,
            "inconclusive" => Class::Inconclusive,
            "unsupported" => Class::Unsupported,
            _ => Class::Match,
        }
    }

    /// Whether the reference ran out of time in any of its operations.
    fn has_qemu_timeout(&self) -> bool {
        let name = InconclusiveKind::QemuTimeout.name();
        self.operations
            .iter()
            .any(|operation| operation.kind.as_deref() == Some(name))
    }
}

/// What a case counts as. Every case is in exactly one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A divergence that nobody has explained.
    Divergence,
    /// A divergence that the catalogue explains.
    Known,
    /// A check could not be made, and nothing diverged.
    Inconclusive,
    /// Everything that both support agrees.
    Match,
    /// The sides have nothing of the case in common.
    Unsupported,
}

/// The order in which an operation decides its case's verdict.
fn rank(verdict: &Verdict, known: bool) -> u8 {
    match verdict {
        Verdict::Divergence(_) if !known => 0,
        Verdict::Divergence(_) => 1,
        Verdict::Inconclusive { .. } => 2,
        Verdict::Match => 3,
        Verdict::Unsupported { .. } => 4,
    }
}

/// A campaign in figures. `matches`, `divergences_found`, `known_count`, `inconclusive_count` and `unsupported_count`
/// add up to `iterations_completed`.
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
    /// Cases in which a check could not be made and nothing diverged.
    pub inconclusive_count: u64,
    /// Their iterations.
    pub inconclusive_iterations: Vec<u64>,
    /// Cases, of any verdict, in which the reference ran out of time at least once.
    pub inconclusive_qemu_timeout: u64,
    /// Cases that have nothing both sides can do.
    pub unsupported_count: u64,
    /// Cases whose divergences are all in the catalogue.
    pub known_count: u64,
    /// Cases by kind, known divergences included.
    pub by_kind: BTreeMap<String, u64>,
    /// Cases by entry of the catalogue.
    pub by_known: BTreeMap<String, u64>,
    /// Cases that had what an entry of the catalogue is about, by entry, whether it fired or not.
    pub known_reached: BTreeMap<String, u64>,
    /// The witnesses, with their versions; null for one that is not installed.
    pub witnesses: BTreeMap<&'static str, Option<String>>,
    /// Operations that were not made because a side cannot do them, by the reason.
    pub unsupported_operations: BTreeMap<String, u64>,
    /// How many times a tool was called.
    pub tool_calls: u64,
    /// CPU time of the tools.
    pub tool_cpu_seconds: f64,
    /// CPU time of the harness itself.
    pub harness_cpu_seconds: f64,
    /// The tool under test.
    pub candidate: Option<ToolName>,
    /// qemu-img.
    pub reference: Option<ToolName>,
}

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

    /// Counts a case.
    pub fn add(&mut self, record: &Record) {
        self.iterations_completed += 1;
        match record.class() {
            Class::Match => self.matches += 1,
            Class::Known => self.known_count += 1,
            Class::Unsupported => self.unsupported_count += 1,
            Class::Divergence => {
                self.divergences_found += 1;
                insert_sorted(&mut self.divergence_iterations, record.iteration);
            }
            Class::Inconclusive => {
                self.inconclusive_count += 1;
                insert_sorted(&mut self.inconclusive_iterations, record.iteration);
            }
        }
        self.inconclusive_qemu_timeout += u64::from(record.has_qemu_timeout());
        if let Some(kind) = &record.kind {
            *self.by_kind.entry(kind.clone()).or_default() += 1;
        }
        if let Some(known) = &record.known {
            *self.by_known.entry(known.clone()).or_default() += 1;
        }
        for id in &record.known_reached {
            *self.known_reached.entry(id.clone()).or_default() += 1;
        }
        for operation in record
            .operations
            .iter()
            .filter(|operation| operation.verdict == "unsupported")
        {
            let reason = operation.reason.clone().unwrap_or_default();
            *self.unsupported_operations.entry(reason).or_default() += 1;
        }
        self.tool_calls += record.tool_calls;
        self.tool_cpu_seconds += record.tool_cpu_ms / 1e3;
        self.candidate = Some(record.candidate.clone());
        self.reference = Some(record.reference.clone());
    }

    /// The entries of the catalogue that could have fired and never did.
    pub fn stale_known(&self) -> Vec<&str> {
        let stale = self
            .known_reached
            .keys()
            .filter(|id| !self.by_known.contains_key(*id));
        stale.map(String::as_str).collect()
    }

    /// Closes it: the time it took, and the CPU time of the harness itself.
    pub fn finish(&mut self, elapsed: Duration, harness_cpu: Duration) {
        let thousandths = |value: f64| (value * 1e3).round() / 1e3;
        self.elapsed_seconds = thousandths(elapsed.as_secs_f64());
        let per_second = self.iterations_completed as f64 / elapsed.as_secs_f64().max(1e-9);
        self.iterations_per_second = thousandths(per_second);
        self.tool_cpu_seconds = thousandths(self.tool_cpu_seconds);
        self.harness_cpu_seconds = thousandths(harness_cpu.as_secs_f64());
    }
}

fn insert_sorted(list: &mut Vec<u64>, value: u64) {
    let place = list.partition_point(|other| *other < value);
    list.insert(place, value);
}
