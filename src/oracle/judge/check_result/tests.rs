//! Unit tests of `check_result.rs`.

use super::*;
use crate::oracle::observations::sample::{checked, refused};
use serde_json::json;

fn counts(json: serde_json::Value) -> CheckResult {
    CheckResult::from_answer(&checked(&json))
}

fn none() -> CheckResult {
    CheckResult::from_answer(&refused("no"))
}

#[test]
fn an_omitted_count_is_zero() {
    assert!(counts(json!({})).is_clean());
    assert!(counts(json!({"leaks": 0, "allocated-clusters": 9})).is_clean());
    for found in ["corruptions", "leaks", "check-errors"] {
        assert!(!counts(json!({found: 1})).is_clean());
    }
}

#[test]
fn a_check_without_output_is_not_clean() {
    assert!(none().is_unparseable() && !none().is_clean());
    assert!(!counts(json!({"leaks": 3})).is_unparseable());
    assert_ne!(none(), counts(json!({})));
}

#[test]
fn a_higher_counter_or_an_incomplete_check_is_worse() {
    let before = counts(json!({"corruptions": 2, "leaks": 2}));
    let worse = [
        json!({"corruptions": 3}),
        json!({"leaks": 3}),
        json!({"check-errors": 1}),
        json!({"corruptions": 3, "leaks": 0}),
    ];
    for found in worse {
        assert!(counts(found.clone()).is_worse_than(&before), "{found}");
    }
    let no_worse = [
        json!({}),
        json!({"corruptions": 2, "leaks": 2}),
        json!({"corruptions": 1, "leaks": 2}),
    ];
    for found in no_worse {
        assert!(!counts(found.clone()).is_worse_than(&before), "{found}");
    }
    assert!(none().is_worse_than(&before));
    // A check with check-errors is worse, whatever the counts before.
    let with_errors = counts(json!({"check-errors": 1}));
    assert!(with_errors.is_worse_than(&with_errors));
}

#[test]
fn the_counts_are_described_in_words() {
    assert_eq!(counts(json!({})).to_string(), "clean");
    assert_eq!(
        counts(json!({"corruptions": 2, "check-errors": 1})).to_string(),
        "2 corruptions, 1 check-errors"
    );
    assert_eq!(none().to_string(), "no result (exit 1: no)");
}
