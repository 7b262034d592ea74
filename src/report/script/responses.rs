//! Checks of the tools' outputs: values in their JSON, counts, first lines, messages.

use super::ScriptInput;
use super::shell::{Check, VALUE, VALUES_MAX, values_differ};
use crate::oracle::observations::{Executor, Step, Task};
use crate::oracle::verdict::{Difference, DivergenceKind, Subject};
use crate::tool::request::Request;

/// Compares values of the tools' JSON.
pub(super) fn values(input: &ScriptInput<'_>) -> Option<Check> {
    let last = input.last()?;
    let is_alone = input.observations.reference.is_none();
    let named = |names: &[&str]| Some(Check::new(VALUE, values_differ(names, last)));
    match input.kind {
        DivergenceKind::MalformedInfo => {
            let is_reported = |step: &Step| {
                matches!(
                    step.task,
                    Task::Tool(Request::Info { .. } | Request::Measure { .. })
                )
            };
            let steps = input.steps.iter().enumerate();
            let reported = steps.filter(|(_, step)| is_reported(step));
            let key = keys(input.differences).into_iter().next()?;
            let compare = reported.map(|(name, _)| values_differ(&[key], name));
            Some(Check::new(VALUE, compare.collect::<String>()))
        }
        DivergenceKind::InfoOutput if has_index(input.differences) => Some(Check::new(
            "",
            format!(
                "# However it is laid out.\n\
                 values() {{ tr ',{{}}[]' '\\n\\n\\n\\n\\n' <\"$1/{last}.out\" | tr -d ' ' | grep -v -e '^$' -e actual-size | sort; }}\n\
                 [ \"$(values candidate)\" != \"$(values reference)\" ] && exit 0"
            ),
        )),
        DivergenceKind::MapHostHoles => named(&["start", "length", "zero"]),
        DivergenceKind::MeasureNumeric if is_alone => Some(Check::new(
            VALUE,
            "[ \"$(value fully-allocated candidate/0.out)\" ] || exit 0\n",
        )),
        DivergenceKind::MeasureNumeric => named(&["required", "fully-allocated"]),
        DivergenceKind::MeasureBitmaps => Some(Check::new(
            "",
            format!(
                "[ \"$(grep -c '\"bitmaps\"' candidate/{last}.out)\" != \"$(grep -c '\"bitmaps\"' reference/{last}.out)\" ] && exit 0"
            ),
        )),
        _ => named(&keys(input.differences)),
    }
}

/// Whether an output is not JSON: JSON begins and ends with brackets.
pub(super) fn is_no_json(input: &ScriptInput<'_>) -> Option<Check> {
    let last = input.last()?;
    let text = match input.observations.reference.is_none() {
        true => "tr -d ' \\n' <candidate/0.out | grep -q '^[[{].*[]}]$' || exit 0\n".to_owned(),
        false => format!(
            "# JSON begins and ends with brackets.\n\
             is_json() {{ tr -d ' \\n' <\"$1\" | grep -q '^[[{{].*[]}}]$'; }}\n\
             is_json reference/{last}.out && ! is_json candidate/{last}.out && exit 0"
        ),
    };
    Some(Check::new("", text))
}

/// Compares the counts of a check; an omitted count is 0.
pub(super) fn counts_differ(input: &ScriptInput<'_>) -> Option<Check> {
    let last = input.last()?;
    Some(Check::new(
        VALUE,
        format!(
            "# An omitted count is 0.\n\
             counts() {{ for key in corruptions leaks check-errors; do echo \"$key $(value $key \"$1/{last}.out\")\"; done | sed 's/ 0$/ /'; }}\n\
             [ \"$(counts candidate)\" != \"$(counts reference)\" ] && exit 0"
        ),
    ))
}

/// Whether maps are lists.
pub(super) fn shapes_differ(input: &ScriptInput<'_>) -> Option<Check> {
    let last = input.last()?;
    Some(Check::new(
        "",
        format!(
            "shape() {{ tr -d ' \\n' <\"$1/{last}.out\" | cut -c 1; }}\n\
             [ \"$(shape candidate)\" != \"$(shape reference)\" ] && exit 0"
        ),
    ))
}

/// Compares the extents of maps.
pub(super) fn extents_differ(input: &ScriptInput<'_>) -> Option<Check> {
    let names: &[&str] = match input.kind {
        DivergenceKind::MapHostHoles => &["start", "length", "zero"],
        _ => &["start", "length"],
    };
    Some(Check::new(VALUE, values_differ(names, input.last()?)))
}

/// Compares the first lines of the messages of all steps of the operation itself.
pub(super) fn complaints_differ(steps: &[Step]) -> Check {
    Check::new("", differing_streams(steps, "err", " | sed 's/^[^:]*: //'"))
}

/// Compares the first lines of the outputs.
pub(super) fn first_lines_differ(steps: &[Step]) -> Check {
    Check::new("", differing_streams(steps, "out", ""))
}

fn differing_streams(steps: &[Step], stream: &str, filter: &str) -> String {
    let own = steps.iter().enumerate();
    let own = own.filter(|(_, step)| step.executor != Executor::Reference);
    let compare = own.map(|(name, _)| {
        format!(
            "if [ -e candidate/{name}.{stream} ] && [ -e reference/{name}.{stream} ]; then\n  \
             first() {{ head -n 1 \"$1/{name}.{stream}\"{filter}; }}\n  \
             [ \"$(first candidate)\" != \"$(first reference)\" ] && exit 0\nfi\n"
        )
    });
    compare.collect()
}

/// Whether a difference lies within a list.
pub(super) fn has_index(differences: &[Difference]) -> bool {
    differences
        .iter()
        .any(|found| matches!(&found.subject, Subject::JsonValue { path } if path.has_index()))
}

/// Returns the last keys of the paths that differ, without duplicates.
fn keys(differences: &[Difference]) -> Vec<&str> {
    let mut keys: Vec<&str> = Vec::new();
    let paths = differences.iter().filter_map(|found| match &found.subject {
        Subject::JsonValue { path } => path.last_key(),
        _ => None,
    });
    for key in paths {
        if keys.len() < VALUES_MAX && !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}
