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
mod tests {
    use super::*;
    use crate::oracle::observations::sample::{done, output_text, refused};
    use serde_json::json;

    fn cross_check(answer: Answer) -> CrossCheck {
        CrossCheck {
            witness: "qcowinfo",
            answer,
        }
    }

    #[test]
    fn a_fact_of_both_that_differs_is_reported() {
        let text = "\tFormat version\t\t: 3\n\tMedia size\t\t: 1.0 MiB (1048576 bytes)\n";
        let info = |json: Value| described(&json, &cross_check(output_text(text)));
        assert_eq!(
            info(json!({"virtual-size": 1 << 20, "format-version": 3})),
            None
        );
        // A fact that only one of them reports is not compared.
        assert_eq!(info(json!({"cluster-size": 512})), None);
        let found = info(json!({"virtual-size": 512, "format-version": 3})).unwrap();
        assert_eq!(found.kind, DivergenceKind::WitnessInfo);
        assert_eq!(
            found.differences,
            [Difference::written(
                "virtual-size by qcowinfo",
                "512",
                "1048576"
            )]
        );
        let refuses = CrossCheck {
            answer: Answer {
                exit: crate::tool::request::Exit::Refused(1),
                ..output_text(text)
            },
            ..cross_check(done())
        };
        assert_eq!(described(&json!({"virtual-size": 512}), &refuses), None);
    }

    #[test]
    fn a_check_that_contradicts_the_witness_is_reported() {
        let compared = |ours, theirs| checked(&ours, &cross_check(theirs));
        assert_eq!(compared(done(), done()), None);
        assert_eq!(compared(refused("a"), refused("b")), None);
        let found = compared(done(), refused("b")).unwrap();
        assert_eq!(found.kind, DivergenceKind::WitnessCheck);
        let what = "whether the image can be read, by qcowinfo";
        assert_eq!(
            found.differences,
            [Difference::written(what, "exit 0", "exit 1: b")]
        );
        assert!(compared(refused("a"), done()).is_some());
    }

    #[test]
    fn sizes_are_parsed_in_bytes_and_text_is_ignored() {
        let text = "qcowinfo 20201213\n\n\tFormat version\t\t: 3\n\tMedia size\t\t: 4.0 MiB (4194304 bytes)\n\tEncryption method\t: None\n";
        assert_eq!(
            facts(text),
            [
                ("format version".to_owned(), 3),
                ("media size".to_owned(), 4_194_304)
            ]
        );
    }
}
