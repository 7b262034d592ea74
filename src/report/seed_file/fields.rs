//! The fields that a seed file must have, so that one message names all that a hand-written file lacks.

use serde_json::Value;

/// The fields that every seed file has, with what a hand-written one says there.
pub(super) const REQUIRED: [(&str, &str); 3] = [
    ("format_version", "the number 5"),
    ("why", "why the case is kept"),
    ("expected", "the expected verdict, usually \"match\""),
];

/// Names all fields that a seed file lacks, each with what belongs there; `None` for a bare case and for other JSON.
pub(super) fn missing(parsed: &Value) -> Option<String> {
    let fields = parsed.as_object()?;
    if fields.contains_key("ops") && !fields.contains_key("format_version") {
        return None;
    }
    let required = REQUIRED.into_iter();
    let mut missing: Vec<String> = required
        .filter(|(name, _)| !fields.contains_key(*name))
        .map(|(name, meaning)| format!("\"{name}\" ({meaning})"))
        .collect();
    if !fields.contains_key("id") && !fields.contains_key("case") {
        missing
            .push("\"case\" (the case, as `imgduel show` prints it) or \"id\" (its id)".to_owned());
    }
    (!missing.is_empty()).then(|| missing.join(", "))
}
