//! What must agree in every operation: exits, and every image that either side wrote.
//!
//! Pure: answers in, verdicts out. What is particular to one operation is judged in that operation's file. Called by
//! the duel.

use serde_json::Value;

use crate::content::Contents;
use crate::exchange::{Deed, Exchange, Output, Side, Turn};
use crate::normalize::{Purpose, normalize};
use crate::request::{Answer, Exit};
use crate::verdict::{Difference, DivergenceKind, Finding, InconclusiveKind, Verdict};

/// How the two sides came out of their steps: the verdicts, and whether both got to the end.
pub struct Exits {
    /// What is to be said; empty when nothing is.
    pub verdicts: Vec<Verdict>,
    /// Whether every step succeeded on each side, so that there is something to examine.
    pub completed: bool,
}

/// Judges the exits of every step, in order, up to the first that did not succeed.
pub fn exits(exchange: &Exchange) -> Exits {
    let ended = |verdict: Option<Verdict>| Exits {
        verdicts: verdict.into_iter().collect(),
        completed: false,
    };
    let reference = exchange.reference.as_ref();
    let steps = exchange
        .candidate
        .turns
        .len()
        .max(reference.map_or(0, |deed| deed.turns.len()));
    for index in 0..steps {
        let candidate = exchange.candidate.turns.get(index);
        let Some(reference) = reference else {
            match candidate.map(|turn| (turn, &turn.answer.exit)) {
                Some((_, Exit::Success)) => continue,
                Some((turn, _)) => return ended(Some(alone(turn))),
                None => return ended(None),
            }
        };
        match pair(candidate, reference.turns.get(index)) {
            Pair::Succeeded => {}
            Pair::Ended(verdict) => return ended(verdict),
        }
    }
    Exits {
        verdicts: Vec::new(),
        completed: true,
    }
}

enum Pair {
    Succeeded,
    Ended(Option<Verdict>),
}

fn pair(candidate: Option<&Turn>, reference: Option<&Turn>) -> Pair {
    if let Some(verdict) = candidate.and_then(died) {
        // A crash is a finding even where the reference ran out of time; two timeouts are not.
        let both_timed_out = matches!(verdict, Verdict::Divergence(ref finding) if finding.kind == DivergenceKind::CANDIDATE_TIMEOUT)
            && reference.is_some_and(|turn| matches!(turn.answer.exit, Exit::TimedOut(_)));
        if !both_timed_out {
            return Pair::Ended(Some(verdict));
        }
        let reason = candidate
            .map(|turn| format!("both: {}", turn.answer.exit.describe()))
            .unwrap_or_default();
        return Pair::Ended(Some(Verdict::inconclusive(
            InconclusiveKind::BothTimeout,
            reason,
        )));
    }
    if let Some(verdict) = reference.and_then(|turn| reference_failed(&turn.answer)) {
        return Pair::Ended(Some(verdict));
    }
    let (Some(candidate), Some(reference)) = (candidate, reference) else {
        return Pair::Ended(None);
    };
    match (candidate.answer.succeeded(), reference.answer.succeeded()) {
        (true, true) => Pair::Succeeded,
        (false, false) => Pair::Ended(None),
        _ => {
            let what = format!("exit of {}", candidate.step.request.name());
            let difference = Difference::new(
                what,
                candidate.answer.describe(),
                reference.answer.describe(),
            );
            Pair::Ended(Some(Verdict::Divergence(Finding::of_difference(
                candidate.step.kind,
                difference,
            ))))
        }
    }
}

/// A step on the candidate's side that ended in a crash or a timeout: the candidate's, or the reference's on its image.
fn died(turn: &Turn) -> Option<Verdict> {
    match turn.by {
        Side::Reference => reference_failed(&turn.answer),
        Side::Candidate => {
            candidate_died(turn.step.request.name(), &turn.answer, "not asked or done")
        }
    }
}

/// A step that only the candidate was asked.
fn alone(turn: &Turn) -> Verdict {
    died(turn).unwrap_or_else(|| Verdict::Unsupported {
        reason: format!(
            "the candidate refuses {}: {}",
            turn.step.request.name(),
            turn.answer.describe()
        ),
    })
}

fn candidate_died(what: &str, answer: &Answer, reference: &str) -> Option<Verdict> {
    let kind = match answer.exit {
        Exit::TimedOut(_) => DivergenceKind::CANDIDATE_TIMEOUT,
        Exit::Crashed(_) => DivergenceKind::CANDIDATE_CRASH,
        Exit::Success | Exit::Refused(_) => return None,
    };
    let difference = Difference::new(format!("exit of {what}"), answer.describe(), reference);
    Some(Verdict::Divergence(Finding::of_difference(
        kind, difference,
    )))
}

fn reference_failed(answer: &Answer) -> Option<Verdict> {
    let kind = match answer.exit {
        Exit::TimedOut(_) => InconclusiveKind::QemuTimeout,
        Exit::Crashed(_) => InconclusiveKind::ReferenceCrash,
        Exit::Success | Exit::Refused(_) => return None,
    };
    Some(Verdict::inconclusive(
        kind,
        format!("reference: {}", answer.exit.describe()),
    ))
}

/// Judges everything that was read of the operation's outputs: descriptions, checks and contents, each as seen by the
/// reference and, where it can read them, by the candidate.
pub fn outputs(exchange: &Exchange, outputs: &[Output]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let sides = Sides {
            exchange,
            output,
            index,
        };
        verdicts.extend(sides.timeouts_and_crashes());
        verdicts.extend(sides.descriptions());
        verdicts.extend(sides.checks());
        verdicts.extend(sides.contents());
    }
    verdicts
}

/// Both sides' copies of one output.
struct Sides<'exchange> {
    exchange: &'exchange Exchange,
    output: &'exchange Output,
    index: usize,
}

impl Sides<'_> {
    fn kind(&self, aspect: &'static str) -> DivergenceKind {
        DivergenceKind::new(self.output.subject, aspect)
    }

    /// What `reader` said of `owner`'s copy.
    fn read(&self, owner: Side, reader: Side, name: &str) -> Option<&Answer> {
        let deed: Option<&Deed> = match owner {
            Side::Candidate => Some(&self.exchange.candidate),
            Side::Reference => self.exchange.reference.as_ref(),
        };
        // One that never came to an end is judged as such, and says nothing about the image.
        let answer = deed?.reading(self.index, reader, name);
        answer.filter(|answer| matches!(answer.exit, Exit::Success | Exit::Refused(_)))
    }

    /// Readings that never came to an end are judged by who was reading.
    fn timeouts_and_crashes(&self) -> Vec<Verdict> {
        let deeds = [
            Some(&self.exchange.candidate),
            self.exchange.reference.as_ref(),
        ];
        let readings = deeds.into_iter().flatten().flat_map(|deed| &deed.readings);
        let verdicts = readings
            .filter(|reading| reading.output == self.index)
            .filter_map(|reading| {
                let what = format!(
                    "reading {} by {}",
                    self.output.file.path,
                    reading.request.name()
                );
                match reading.by {
                    Side::Reference => reference_failed(&reading.answer),
                    Side::Candidate => candidate_died(&what, &reading.answer, "done"),
                }
            });
        verdicts.collect()
    }

    /// `info` of both copies by the reference, equal but for what means nothing.
    fn descriptions(&self) -> Vec<Verdict> {
        let Some(candidate) = self.read(Side::Candidate, Side::Reference, "info") else {
            return Vec::new();
        };
        let reference = self.read(Side::Reference, Side::Reference, "info");
        if let Some(verdict) = self.refused("info", "info_readback_failure", candidate, reference) {
            return vec![verdict];
        }
        let Some(reference) = reference else {
            return Vec::new();
        };
        match (candidate.json(), reference.json()) {
            (Ok(candidate), Ok(reference)) => {
                let candidate = normalize(candidate, Purpose::Creation);
                let reference = normalize(reference, Purpose::Creation);
                let found = json_differences(&candidate, &reference, false);
                let finding = Finding::of_differences(self.kind("info_divergence"), found);
                finding.map(Verdict::Divergence).into_iter().collect()
            }
            (candidate, reference) => {
                let said =
                    |json: Result<Value, String>| json.err().unwrap_or_else(|| "JSON".to_owned());
                let difference = Difference::new("info as JSON", said(candidate), said(reference));
                let kind = self.kind("info_json_parse_failure");
                vec![Verdict::Divergence(Finding::of_difference(
                    kind, difference,
                ))]
            }
        }
    }

    /// `check` of both copies by the reference: the candidate's must be clean.
    fn checks(&self) -> Vec<Verdict> {
        let Some(candidate) = self.read(Side::Candidate, Side::Reference, "check") else {
            return Vec::new();
        };
        let reference = self.read(Side::Reference, Side::Reference, "check");
        let (found, reference) = (CheckCounts::of(candidate), reference.map(CheckCounts::of));
        if found.is_clean() {
            return Vec::new();
        }
        let reference_clean = reference.as_ref().is_none_or(CheckCounts::is_clean);
        if !reference_clean && reference.as_ref() == Some(&found) {
            let reason = format!(
                "what either tool made of {} is not clean: {found}",
                self.output.file.path
            );
            return vec![Verdict::inconclusive(
                InconclusiveKind::ReferenceUnsound,
                reason,
            )];
        }
        let reference =
            reference.map_or_else(|| "not made".to_owned(), |counts| counts.to_string());
        let what = format!("check of {}", self.output.file.path);
        let difference = Difference::new(what, found.to_string(), reference).with_expected("clean");
        vec![Verdict::Divergence(Finding::of_difference(
            self.kind("check_divergence"),
            difference,
        ))]
    }

    /// The guest-visible contents of both copies, as each tool reads them, against each other and the recipe.
    fn contents(&self) -> Vec<Verdict> {
        let name = "contents";
        let Some(by_reference) = self.read(Side::Candidate, Side::Reference, name) else {
            return Vec::new();
        };
        let own = self.read(Side::Reference, Side::Reference, name);
        if let Some(verdict) = self.refused(name, "content_readback_failure", by_reference, own) {
            return vec![verdict];
        }
        let expected = &self.output.expected;
        let mut verdicts = Vec::new();
        let read_of = |answer: Option<&Answer>| answer.and_then(|answer| answer.contents.clone());
        let (candidate, reference) = (read_of(Some(by_reference)), read_of(own));
        // The reference's copy, where there is one, else the recipe, is what the candidate's must equal.
        let standard = reference.as_ref().unwrap_or(expected);
        if let Some(candidate) = &candidate {
            let what = format!("contents of {}", self.output.file.path);
            verdicts.extend(self.differ("content_divergence", &what, candidate, standard));
        }
        if let Some(reference) = reference.as_ref().filter(|_| candidate == reference) {
            let what = format!("contents of {}, on both sides,", self.output.file.path);
            verdicts.extend(self.differ("recipe_divergence", &what, reference, expected));
        }
        for owner in [Side::Candidate, Side::Reference] {
            let (Some(theirs), Some(truth)) = (
                self.read(owner, Side::Candidate, name),
                read_of(self.read(owner, Side::Reference, name)),
            ) else {
                continue;
            };
            let what = format!(
                "the {}'s {}, as the candidate reads it",
                owner.name(),
                self.output.file.path
            );
            match &theirs.contents {
                Some(contents) => {
                    verdicts.extend(self.differ("reading_divergence", &what, contents, &truth))
                }
                None if matches!(theirs.exit, Exit::Refused(_)) => {
                    let difference = Difference::new(what, theirs.describe(), "reads it");
                    let kind = self.kind("reading_refused");
                    verdicts.push(Verdict::Divergence(Finding::of_difference(
                        kind, difference,
                    )));
                }
                None => {}
            }
        }
        verdicts
    }

    /// A read-back by the reference that it refused.
    fn refused(
        &self,
        name: &str,
        aspect: &'static str,
        candidate: &Answer,
        reference: Option<&Answer>,
    ) -> Option<Verdict> {
        let is_refused = |answer: &Answer| matches!(answer.exit, Exit::Refused(_));
        let what = format!("{name} of {} by the reference", self.output.file.path);
        if let Some(own) = reference.filter(|own| is_refused(own)) {
            let reason = format!("{what}, on its own output: {}", own.describe());
            return Some(Verdict::inconclusive(
                InconclusiveKind::ReferenceUnsound,
                reason,
            ));
        }
        if !is_refused(candidate) {
            return None;
        }
        let difference = Difference::new(what, candidate.describe(), "exit 0");
        Some(Verdict::Divergence(Finding::of_difference(
            self.kind(aspect),
            difference,
        )))
    }

    fn differ(
        &self,
        aspect: &'static str,
        what: &str,
        candidate: &Contents,
        standard: &Contents,
    ) -> Option<Verdict> {
        let found = candidate.difference(standard)?;
        let expected = match self.output.expected.difference(standard) {
            None => found.second.clone(),
            Some(other) if candidate == &self.output.expected => {
                format!("the candidate's ({})", other.place)
            }
            Some(other) => format!("neither ({})", other.place),
        };
        let difference = Difference::new(
            format!("{what}: {}", found.place),
            found.first,
            found.second,
        );
        let finding = Finding::of_difference(self.kind(aspect), difference.with_expected(expected));
        Some(Verdict::Divergence(finding))
    }
}

/// What a check counted, from its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckCounts {
    /// The exit, when the check itself could not be made.
    failed: Option<String>,
    counts: [u64; 3],
}

/// The counters of `check --output=json` that must be zero; qemu-img leaves out those that are.
const CHECK_COUNTERS: [&str; 3] = ["corruptions", "leaks", "check-errors"];

impl CheckCounts {
    /// The counters of an answer to a check.
    pub fn of(answer: &Answer) -> Self {
        match answer.json() {
            Ok(json) => {
                let count = |name: &str| json.get(name).and_then(Value::as_u64).unwrap_or(0);
                Self {
                    failed: None,
                    counts: CHECK_COUNTERS.map(count),
                }
            }
            Err(_) => Self {
                failed: Some(answer.describe()),
                counts: [0; 3],
            },
        }
    }

    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.failed.is_none() && self.counts == [0; 3]
    }
}

impl std::fmt::Display for CheckCounts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(failed) = &self.failed {
            return write!(formatter, "no result ({failed})");
        }
        if self.is_clean() {
            return formatter.write_str("clean");
        }
        let counts = CHECK_COUNTERS
            .iter()
            .zip(self.counts)
            .filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        formatter.write_str(&counts.join(", "))
    }
}

/// Where two JSON values differ, leaf by leaf. With `partial`, what the candidate leaves out is not compared.
pub fn json_differences(candidate: &Value, reference: &Value, partial: bool) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare_json(
        "",
        Some(candidate),
        Some(reference),
        partial,
        &mut differences,
    );
    differences
}

fn compare_json(
    path: &str,
    candidate: Option<&Value>,
    reference: Option<&Value>,
    partial: bool,
    differences: &mut Vec<Difference>,
) {
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match (candidate, reference) {
        (None, Some(_)) if partial => {}
        (Some(Value::Object(candidate)), Some(Value::Object(reference))) => {
            let mut keys: Vec<&String> = candidate.keys().chain(reference.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                compare_json(
                    &below(key),
                    candidate.get(key),
                    reference.get(key),
                    partial,
                    differences,
                );
            }
        }
        (Some(Value::Array(candidate)), Some(Value::Array(reference))) => {
            for index in 0..candidate.len().max(reference.len()) {
                let path = format!("{path}[{index}]");
                compare_json(
                    &path,
                    candidate.get(index),
                    reference.get(index),
                    partial,
                    differences,
                );
            }
        }
        (candidate, reference) if candidate == reference => {}
        (candidate, reference) => {
            let show =
                |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
            differences.push(Difference::new(path, show(candidate), show(reference)));
        }
    }
}
