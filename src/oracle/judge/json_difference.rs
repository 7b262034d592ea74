//! Finds the differences of two JSON values.

use serde_json::Value;

use crate::oracle::verdict::{Difference, JsonPath, Subject};

/// Returns the leaves at which two JSON values differ. With `partial`, keys that the candidate omits are not compared.
pub fn json_differences(candidate: &Value, reference: &Value, partial: bool) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare_json(
        &JsonPath::default(),
        Some(candidate),
        Some(reference),
        partial,
        &mut differences,
    );
    differences
}

fn compare_json(
    path: &JsonPath,
    candidate: Option<&Value>,
    reference: Option<&Value>,
    partial: bool,
    differences: &mut Vec<Difference>,
) {
    match (candidate, reference) {
        (None, Some(_)) if partial => {}
        (Some(Value::Object(candidate)), Some(Value::Object(reference))) => {
            let mut keys: Vec<&String> = candidate.keys().chain(reference.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                compare_json(
                    &path.below(key),
                    candidate.get(key),
                    reference.get(key),
                    partial,
                    differences,
                );
            }
        }
        (Some(Value::Array(candidate)), Some(Value::Array(reference))) => {
            for index in 0..candidate.len().max(reference.len()) {
                compare_json(
                    &path.at(index),
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
            let path = path.clone();
            let subject = Subject::JsonValue { path };
            differences.push(Difference::new(subject, show(candidate), show(reference)));
        }
    }
}

#[cfg(test)]
mod tests {
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
}
