//! Unit tests of `cross_check.rs`.

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
