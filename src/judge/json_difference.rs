//! Where two JSON values differ.

use serde_json::Value;

use crate::verdict::Difference;

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
