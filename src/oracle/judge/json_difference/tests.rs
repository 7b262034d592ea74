//! Unit tests of `json_difference.rs`.

use super::*;
use serde_json::json;

fn differ(candidate: Value, reference: Value, partial: bool) -> Vec<(String, String, String)> {
    let found = json_differences(&candidate, &reference, partial).into_iter();
    found
        .map(|found| (found.subject.to_string(), found.candidate, found.reference))
        .collect()
}

fn one(what: &str, candidate: &str, reference: &str) -> (String, String, String) {
    (what.to_owned(), candidate.to_owned(), reference.to_owned())
}

#[test]
fn equal_values_have_no_differences() {
    let value = json!({"a": [1, {"b": null}], "c": "x"});
    assert_eq!(differ(value.clone(), value, false), []);
}

#[test]
fn every_differing_leaf_is_named_by_its_path_in_the_order_of_the_keys() {
    let candidate = json!({"z": 1, "a": {"list": [1, 2, 3]}});
    let reference = json!({"z": "1", "a": {"list": [1, 4]}});
    assert_eq!(
        differ(candidate, reference, false),
        [
            one("a.list[1]", "2", "4"),
            one("a.list[2]", "3", "absent"),
            one("z", "1", "\"1\""),
        ]
    );
}

#[test]
fn an_omitted_value_differs_unless_the_answer_is_partial() {
    let (few, many) = (
        json!({"a": 1, "l": []}),
        json!({"a": 1, "b": {"c": 2}, "l": [7]}),
    );
    assert_eq!(
        differ(few.clone(), many.clone(), false),
        [one("b", "absent", "{\"c\":2}"), one("l[0]", "absent", "7")]
    );
    assert_eq!(differ(few.clone(), many.clone(), true), []);
    // Its other keys are compared all the same.
    assert_eq!(
        differ(many, few, true),
        [one("b", "{\"c\":2}", "absent"), one("l[0]", "7", "absent")]
    );
}

#[test]
fn values_of_different_types_differ_as_a_whole() {
    assert_eq!(
        differ(json!({"a": [1]}), json!({"a": {"b": 1}}), false),
        [one("a", "[1]", "{\"b\":1}")]
    );
    assert_eq!(differ(json!(1), json!(2), true), [one("", "1", "2")]);
}
