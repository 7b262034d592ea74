//! Compares the candidate's answers with a third tool's, the witness.

use serde_json::Value;

use crate::oracle::observations::CrossCheck;
use crate::oracle::verdict::{Difference, DivergenceKind, Finding, JsonPath, Subject};
use crate::tool::request::Answer;

const INFO: DivergenceKind = DivergenceKind::WitnessInfo;
const CHECK: DivergenceKind = DivergenceKind::WitnessCheck;

/// The witness's names of facts, and the key of `info --output=json` for each. All values are numbers.
pub const FACTS: [(&str, &str); 3] = [
    ("media size", "virtual-size"),
    ("format version", "format-version"),
    ("cluster block size", "cluster-size"),
];

/// Compares the candidate's description of the image with the witness's, as far as both have a fact.
pub fn described(candidate: &Value, cross_check: &CrossCheck) -> Option<Finding> {
    if !cross_check.answer.succeeded() {
        return None;
    }
    let text = cross_check.answer.transcript.stdout.text();
    let reported = facts(&text);
    let differences = FACTS.iter().filter_map(|(words, key)| {
        let (_, witness) = reported.iter().find(|(name, _)| name == words)?;
        let ours = candidate.get(key)?.as_u64()?;
        let subject = || Subject::FactByWitness {
            fact: JsonPath::key(key),
            witness: cross_check.witness.to_owned(),
        };
        (ours != *witness)
            .then(|| Difference::new(subject(), ours.to_string(), witness.to_string()))
    });
    Finding::of_differences(INFO, differences.collect())
}

/// Compares whether the candidate finds errors in the image with whether the witness can read it.
pub fn checked(candidate: &Answer, cross_check: &CrossCheck) -> Option<Finding> {
    let witness = cross_check.witness.to_owned();
    let difference = Difference::new(
        Subject::ReadableByWitness { witness },
        candidate.describe(),
        cross_check.answer.describe(),
    );
    (candidate.succeeded() != cross_check.answer.succeeded())
        .then(|| Finding::of_difference(CHECK, difference))
}

/// Returns the numbers in lines of the form `Media size : 4.0 MiB (4194304 bytes)`, by their name in lower case.
fn facts(text: &str) -> Vec<(String, u64)> {
    let lines = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let bytes = value
            .split_once('(')
            .and_then(|(_, rest)| rest.strip_suffix(" bytes)"));
        let number = bytes.unwrap_or(value).trim().parse().ok()?;
        Some((name.trim().to_lowercase(), number))
    });
    lines.collect()
}

#[cfg(test)]
mod tests;
