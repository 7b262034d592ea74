//! Issues in the form that the scripts of shakenfist/instar read: the title names type, seed and iteration; the label and the command of the Python
//! harness in the text are what its jobs look for.
//!
//! Pure; `fuzz --create-issues --issue-format instar` files them. One issue stands for a group: a mark in the text tells it again.

use std::fmt::Write;

use serde_json::json;

use super::digest::Found;
use super::github;
use crate::base::prose::printable;
use crate::case::Case;
use crate::case::generation::Generation;
use crate::oracle::signature::Group;
use crate::run::record::Record;

/// The label by which the jobs there find an issue.
pub const LABEL: &str = "security-audit";

/// The words before the mark of a group.
const MARK: &str = "imgduel group: ";

/// The title of a group's issue: that of its first case.
pub fn title(record: &Record) -> String {
    let kind = record.kind.as_deref().unwrap_or("unknown");
    let origin = match (record.seed, record.iteration) {
        (Some(seed), Some(iteration)) => format!("seed {seed}, iter {iteration}"),
        _ => format!("iter_seed {}", record.iter_seed),
    };
    format!("Differential fuzz: {kind} ({origin})")
}

/// The line in the text that is the same for all cases of a group.
pub fn mark(group: &Group) -> String {
    format!("{MARK}{}", github::title(group))
}

/// The text of a group's issue, or of a comment on it.
pub fn body(group: &Group, found: &Found, workflow_url: Option<&str>) -> String {
    let record = &found.example;
    let mut text = String::from("## Differential fuzzing divergence\n\n");
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let rows = [
        ("Type", group.kind.clone()),
        ("Seed", number(record.seed)),
        ("Iteration", number(record.iteration)),
        ("Iteration seed", record.iter_seed.to_string()),
        ("Generation", record.generation.clone()),
        ("Operation", group.operation.clone()),
        ("Cases of this run", found.count.to_string()),
    ];
    for (name, value) in rows {
        let _ = writeln!(text, "**{name}:** `{value}`");
    }
    if let Some(url) = workflow_url {
        let _ = writeln!(text, "**Workflow run:** {url}");
    }
    if let Some(case) = &record.case {
        let _ = writeln!(text, "\n### Image attributes\n\n{}", attributes(case));
    }
    text.push_str("\n### Reproduction\n\n```bash\n");
    let line = record.case.as_ref().and_then(python_line);
    for line in line.into_iter().chain([record.reproduce.clone()]) {
        let _ = writeln!(text, "{}", printable(&line));
    }
    text.push_str("```\n\n### Divergence details\n\n");
    text.push_str(&github::evidence(found));
    let _ = writeln!(text, "\n{}", mark(group));
    text
}

fn attributes(case: &Case) -> String {
    let operations: Vec<&str> = case.ops.iter().map(|operation| operation.name()).collect();
    let attributes = json!({"image": case.image, "operations": operations});
    let text = serde_json::to_string_pretty(&attributes).unwrap_or_default();
    format!("```json\n{text}\n```")
}

/// The command that runs the case in the Python harness; `None` if that draws no such cases, or cannot begin at this one.
fn python_line(case: &Case) -> Option<String> {
    let is_its = Generation::named(&case.generation).is_ok_and(Generation::is_of_python_harness);
    let (seed, iteration) = case.id().campaign().filter(|_| is_its)?;
    let selected = case.ops_filter.as_ref();
    let selected = selected.map(|names| format!(" --ops {}", names.join(",")));
    Some(format!(
        "python3 scripts/differential-fuzz.py --instar src/target/release/instar --iterations {} --seed {seed} --fail-fast{}",
        iteration + 1,
        selected.unwrap_or_default()
    ))
}
