//! What GitHub shows of a run: annotations, the job summary, the text of issues. Pure; the entry points decide where
//! the texts go.

use std::fmt::Write;

use super::against_recipe;
use super::digest::{Digest, Found};
use super::terminal;
use crate::base::prose::{counted, printable};
use crate::oracle::signature::Group;
use crate::run::record::Summary;

/// How many annotations of a kind GitHub shows for one step.
const ANNOTATIONS_MAX: usize = 10;

/// How many groups a job summary shows with their evidence.
const SHOWN_GROUPS_MAX: usize = 20;

/// The longest evidence in a job summary or an issue: GitHub limits a summary to 1 MiB and an issue to 65,536
/// characters.
const EVIDENCE_CHARACTERS_MAX: usize = 30_000;

/// The longest title of an issue; GitHub's limit is 256 characters.
const TITLE_CHARACTERS_MAX: usize = 240;

/// Workflow commands, one per line: an error for each group of divergences, and a warning if cases were inconclusive.
pub fn annotations(summary: &Summary, digest: &Digest) -> String {
    let mut text = String::new();
    for (group, found) in digest.groups.iter().take(ANNOTATIONS_MAX) {
        let example = &found.example;
        let file = example.seed_file.as_deref();
        let file = file.map(|file| format!("file={},", property(file)));
        let reason = against_recipe::reason(example);
        let message = format!(
            "{reason}\n{}; see it again: {}",
            counted(found.count, "case"),
            example.reproduce
        );
        let _ = writeln!(
            text,
            "::error {}title={}::{}",
            file.unwrap_or_default(),
            property(&title(group)),
            data(&message)
        );
    }
    for counted in &summary.known_elsewhere {
        let message = format!("{} cases", counted.count);
        let title = property(&counted.elsewhere.words());
        let _ = writeln!(text, "::error title={title}::{}", data(&message));
    }
    if summary.inconclusive_count > 0 {
        let message = format!(
            "{} of {} inconclusive; the reference ran out of time in {}",
            summary.inconclusive_count,
            counted(summary.iterations_completed, "case"),
            summary.inconclusive_qemu_timeout
        );
        let _ = writeln!(text, "::warning title=imgduel::{}", data(&message));
    }
    text
}

/// The job summary, in Markdown.
pub fn job_summary(summary: &Summary, digest: &Digest) -> String {
    let mut text = String::from("## imgduel\n\n| verdict | cases |\n|---|---:|\n");
    let rows = [
        ("match", summary.matches),
        ("divergence", summary.divergences_found),
        (
            "known divergence, of other versions",
            summary.known_elsewhere_count,
        ),
        ("known divergence", summary.known_count),
        ("inconclusive", summary.inconclusive_count),
        ("unsupported", summary.unsupported_count),
    ];
    for (name, count) in rows {
        let _ = writeln!(text, "| {name} | {count} |");
    }
    let _ = writeln!(
        text,
        "\n{} of {} in {:.1} s; the reference ran out of time in {} of them.\n",
        summary.iterations_completed,
        counted(summary.iterations, "case"),
        summary.elapsed_seconds,
        summary.inconclusive_qemu_timeout
    );
    for (group, found) in digest.groups.iter().take(SHOWN_GROUPS_MAX) {
        let _ = writeln!(
            text,
            "<details><summary>{} × {}</summary>\n\n{}\n</details>\n",
            found.count,
            escaped(&title(group)),
            evidence(found)
        );
    }
    let left_out = digest.groups.len().saturating_sub(SHOWN_GROUPS_MAX);
    if left_out > 0 {
        let _ = writeln!(text, "{left_out} more groups are in the records.");
    }
    text
}

/// The title of a group's issue: the same for all cases of the group.
pub fn title(group: &Group) -> String {
    let title = printable(&against_recipe::title(group)).replace('\n', " ");
    if title.chars().count() <= TITLE_CHARACTERS_MAX {
        return title;
    }
    title.chars().take(TITLE_CHARACTERS_MAX).collect()
}

/// The text of a group's issue, or of a comment on it.
pub fn issue_body(group: &Group, found: &Found, workflow_url: Option<&str>) -> String {
    let mut text = format!(
        "Of the cases of this run, {} diverge in this way: `{}` in `{}`.\n\n",
        found.count, group.kind, group.operation
    );
    let names: Vec<String> = found.names.iter().map(|name| format!("`{name}`")).collect();
    let _ = writeln!(text, "Cases: {}\n", names.join(", "));
    let _ = writeln!(
        text,
        "To see it again:\n\n```\n{}\n```\n",
        found.example.reproduce
    );
    text.push_str(&evidence(found));
    if let Some(url) = workflow_url {
        let _ = writeln!(text, "\nFound by {url}");
    }
    text
}

/// The evidence of a group's first case, in Markdown.
pub fn evidence(found: &Found) -> String {
    let block = terminal::evidence_block(&found.example);
    let block: String = printable(&block)
        .chars()
        .take(EVIDENCE_CHARACTERS_MAX)
        .collect();
    // A tool's output cannot close a fence that is longer than any run of backticks in it.
    let longest = block
        .split(|letter| letter != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", block.trim_end())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Escapes the text of a workflow command.
fn data(text: &str) -> String {
    printable(text)
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes the value of a workflow command's property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_cannot_end_early() {
        assert_eq!(property("a: b, c\n%"), "a%3A b%2C c%0A%25");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(property("\x1b[31m\0"), "\\x1b[31m\\x00");
    }
}
