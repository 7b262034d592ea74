//! A divergence as a bug report in Markdown: the differing values, the versions, a reproducer, the output of both
//! sides, and who is right if the catalogue knows it.
//!
//! Made from a record; runs nothing. The command calls it.

use std::fmt::Write;

use crate::base::prose::printable;
use crate::case::known::Entry;
use crate::oracle::observations::Side;
use crate::report::against_recipe;
use crate::report::side_names::{side_name, side_name_and_version};
use crate::run::evidence::{Call, Evidence, shell_line};
use crate::run::record::Record;

/// Returns the report. `script` is the reproducer, or why there is none.
pub fn bug_report(
    record: &Record,
    script: Result<String, String>,
    entry: Option<&Entry>,
) -> String {
    let operation = record.operation.as_deref().unwrap_or_default();
    let reason = against_recipe::reason(record);
    let reason = printable(&reason);
    let mut text = format!("# {}: {operation}: {reason}\n\n", record.candidate.name);
    let evidence = record.evidence.as_ref();
    what_differs(&mut text, record, evidence);
    let _ = write!(
        text,
        "## Versions\n\n* {}\n* {}\n\n",
        side_name_and_version(record, Side::Candidate),
        side_name_and_version(record, Side::Reference)
    );
    text.push_str("## How to see it\n\n");
    match script {
        Ok(script) => block(
            &mut text,
            if script.starts_with("#!") {
                "sh"
            } else {
                "rust"
            },
            &script,
        ),
        Err(why) => {
            let _ = writeln!(text, "{}\n", printable(&why));
        }
    }
    for side in [Side::Candidate, Side::Reference] {
        let name = side_name(record, side);
        let calls = evidence.into_iter().flat_map(|evidence| &evidence.calls);
        let calls: Vec<&Call> = calls.filter(|call| call.side == side).collect();
        if !calls.is_empty() {
            let _ = write!(text, "## What {name} does\n\n");
            let transcript: String = calls.into_iter().map(transcript).collect();
            block(&mut text, "text", &transcript);
        }
    }
    who_is_right(&mut text, record, entry);
    text
}

fn what_differs(text: &mut String, record: &Record, evidence: Option<&Evidence>) {
    text.push_str("## What differs\n\n");
    let _ = writeln!(
        text,
        "| | {} | {} | expected |\n|---|---|---|---|",
        side_name(record, Side::Candidate),
        side_name(record, Side::Reference)
    );
    let cell = |text: &str| printable(text).replace('|', "\\|").replace('\n', " ");
    for found in evidence
        .into_iter()
        .flat_map(|evidence| &evidence.differences)
    {
        let found = against_recipe::shown(record.kind.as_deref(), found);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            cell(&found.subject.to_string()),
            cell(&found.candidate),
            cell(&found.reference),
            cell(found.expected.as_deref().unwrap_or_default())
        );
    }
    text.push('\n');
}

/// Returns a call as a person would type it, with its output.
fn transcript(call: &Call) -> String {
    let mut text = format!("$ {}\n", printable(&shell_line(&call.command)));
    for output in [&call.stdout, &call.stderr] {
        let output = printable(output);
        let line_end = if output.is_empty() || output.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        text.push_str(&output);
        text.push_str(line_end);
    }
    let _ = writeln!(text, "({})", call.exit);
    text
}

fn who_is_right(text: &mut String, record: &Record, entry: Option<&Entry>) {
    text.push_str("## Who is right\n\n");
    let Some(entry) = entry else {
        let blame = record
            .blame
            .map_or("nobody is known to be", |blame| blame.name());
        let _ = writeln!(
            text,
            "No entry of the catalogue explains it. Alone against the others: {blame}."
        );
        return;
    };
    let _ = write!(
        text,
        "{}, by {}.\n\n* {}: {}\n* {}: {}\n\n{}\n",
        entry.right.name(),
        entry.specification,
        side_name(record, Side::Candidate),
        entry.candidate,
        side_name(record, Side::Reference),
        entry.reference,
        entry.why
    );
}

/// Returns a block of code whose fence is longer than any fence in it.
fn block(text: &mut String, language: &str, code: &str) {
    let mut fence = "```".to_owned();
    while code.contains(&fence) {
        fence.push('`');
    }
    let _ = write!(text, "{fence}{language}\n{}\n{fence}\n\n", code.trim_end());
}

#[cfg(test)]
mod tests {
    use super::block;

    #[test]
    fn a_block_ends_where_its_fence_does() {
        let mut text = String::new();
        block(&mut text, "sh", "echo '```'\n");
        assert_eq!(text, "````sh\necho '```'\n````\n\n");
    }
}
