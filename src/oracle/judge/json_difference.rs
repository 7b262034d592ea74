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
mod tests;
