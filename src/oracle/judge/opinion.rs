//! What a witness says, against what the candidate said.

use serde_json::Value;

use crate::oracle::observations::CrossCheck;
use crate::oracle::verdict::{Difference, DivergenceKind, Finding, JsonPath, Subject};
use crate::tool::request::Answer;

const INFO: DivergenceKind = DivergenceKind::WitnessInfo;
const CHECK: DivergenceKind = DivergenceKind::WitnessCheck;

/// The witness's words for facts, and the key of `info --output=json` each belongs to; all are numbers.
pub const FACTS: [(&str, &str); 3] = [
    ("media size", "virtual-size"),
    ("format version", "format-version"),
    ("cluster block size", "cluster-size"),
];

/// Compares what the candidate says of the image with what the witness says; only what both tell.
pub fn described(candidate: &Value, opinion: &CrossCheck) -> Option<Finding> {
    if !opinion.answer.succeeded() {
        return None;
    }
    let text = opinion.answer.stdout.text();
    let told = facts(&text);
    let differences = FACTS.iter().filter_map(|(words, key)| {
        let (_, witness) = told.iter().find(|(name, _)| name == words)?;
        let ours = candidate.get(key)?.as_u64()?;
        let subject = || Subject::FactByWitness {
            fact: JsonPath::key(key),
            witness: opinion.witness.to_owned(),
        };
        (ours != *witness)
            .then(|| Difference::new(subject(), ours.to_string(), witness.to_string()))
    });
    Finding::of_differences(INFO, differences.collect())
}

/// Compares whether the candidate finds the image sound with whether the witness can read it.
pub fn checked(candidate: &Answer, opinion: &CrossCheck) -> Option<Finding> {
    let witness = opinion.witness.to_owned();
    let difference = Difference::new(
        Subject::ReadableByWitness { witness },
        candidate.describe(),
        opinion.answer.describe(),
    );
    (candidate.succeeded() != opinion.answer.succeeded())
        .then(|| Finding::of_difference(CHECK, difference))
}

/// The numbers in lines of the form `Media size : 4.0 MiB (4194304 bytes)`, by their name in lower case.
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
    use crate::oracle::observations::sample::{done, refused, said};
    use serde_json::json;

    fn opinion(answer: Answer) -> CrossCheck {
        CrossCheck {
            witness: "qcowinfo",
            answer,
        }
    }

    #[test]
    fn a_fact_that_both_tell_and_that_differs_is_told() {
        let text = "\tFormat version\t\t: 3\n\tMedia size\t\t: 1.0 MiB (1048576 bytes)\n";
        let info = |json: Value| described(&json, &opinion(said(text)));
        assert_eq!(
            info(json!({"virtual-size": 1 << 20, "format-version": 3})),
            None
        );
        // What only one of them tells is not compared.
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
                ..said(text)
            },
            ..opinion(done())
        };
        assert_eq!(described(&json!({"virtual-size": 512}), &refuses), None);
    }

    #[test]
    fn who_reads_what_the_other_calls_unsound_is_told() {
        let compared = |ours, theirs| checked(&ours, &opinion(theirs));
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
    fn sizes_are_read_in_bytes_and_words_are_passed_over() {
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
