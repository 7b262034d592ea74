//! Unified diffs of both sides' outputs for the same request.
//!
//! Made from the whole outputs, for the terminal and the page. Only outputs that contain a differing value are
//! compared, because paths and dates differ in all of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use similar::TextDiff;

use crate::oracle::observations::SideRun;
use crate::oracle::verdict::{Difference, Subject};
use crate::process::Captured;

/// The longest output that is compared, in bytes.
const OUTPUT_BYTES_MAX: usize = 1 << 16;

/// The longest diff that is kept, in bytes.
const DIFF_BYTES_MAX: usize = 4000;

/// Time limit of the search for a short diff. At the limit the diff is still correct, but longer.
const SEARCH: Duration = Duration::from_millis(200);

/// Number of equal lines that are shown around differing ones.
const CONTEXT_LINES: usize = 2;

/// The diff of both sides' outputs for one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDiff {
    /// The name of the request.
    pub request: String,
    /// A unified diff without a header: `-` begins a line of the candidate, `+` one of the reference.
    pub text: String,
}

/// The diffs of the calls that both sides made, in their order.
pub(super) fn diffs(
    candidate: &SideRun,
    reference: &SideRun,
    differences: &[Difference],
) -> Vec<OutputDiff> {
    let step_results =
        std::iter::zip(&candidate.step_results, &reference.step_results).map(|(ours, theirs)| {
            [
                (&ours.step.task, &ours.answer),
                (&theirs.step.task, &theirs.answer),
            ]
        });
    let inspections = std::iter::zip(&candidate.inspections, &reference.inspections)
        .map(|(ours, theirs)| [(&ours.task, &ours.answer), (&theirs.task, &theirs.answer)]);
    let pairs = step_results.chain(inspections);
    let alike = pairs.filter(|[(ours, _), (theirs, _)]| ours.name() == theirs.name());
    let shown = alike.filter_map(|[(task, ours), (_, theirs)]| {
        let text = diff(
            &whole(&ours.transcript.stdout)?,
            &whole(&theirs.transcript.stdout)?,
            differences,
        )?;
        let request = task.name().to_owned();
        Some(OutputDiff { request, text })
    });
    shown.collect()
}

/// The text of an output, if all of it was captured and it is short enough.
fn whole(captured: &Captured) -> Option<String> {
    let is_short = captured.dropped_bytes == 0 && captured.bytes.len() <= OUTPUT_BYTES_MAX;
    is_short.then(|| String::from_utf8_lossy(&captured.bytes).into_owned())
}

/// The diff of two outputs; `None` for outputs of one line, or if no differing line contains a value of `differences`.
fn diff(candidate: &str, reference: &str, differences: &[Difference]) -> Option<String> {
    let is_report = |text: &str| text.lines().nth(1).is_some();
    if candidate == reference || !is_report(candidate) || !is_report(reference) {
        return None;
    }
    // Whether an output ends with a line feed does not matter to a reader.
    let [ours, theirs] = [candidate, reference].map(|text| format!("{}\n", text.trim_end()));
    let diff = TextDiff::configure()
        .timeout(SEARCH)
        .diff_lines(ours.as_str(), theirs.as_str());
    let mut unified = diff.unified_diff();
    let mut text = unified.context_radius(CONTEXT_LINES).to_string();
    let is_change = |line: &&str| line.starts_with(['-', '+']);
    if !text
        .lines()
        .filter(is_change)
        .any(|line| has_a_value(&line[1..], differences))
    {
        return None;
    }
    if text.len() > DIFF_BYTES_MAX {
        let end = text[..text.floor_char_boundary(DIFF_BYTES_MAX)].rfind('\n');
        let left_out = text.lines().count() - text[..end.unwrap_or(0)].lines().count();
        text.truncate(end.unwrap_or(0));
        text.push_str(&format!("\n… ({left_out} more lines)\n"));
    }
    Some(text)
}

/// Whether a text contains, as a whole word, the name or a value of one of the differences.
pub fn has_a_value(text: &str, differences: &[Difference]) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    let holds = |word: &str| {
        let word = word.trim_matches('"');
        !word.is_empty()
            && text.match_indices(word).any(|(start, _)| {
                let before = text[..start].chars().next_back();
                let after = text[start + word.len()..].chars().next();
                !before.is_some_and(is_part) && !after.is_some_and(is_part)
            })
    };
    differences.iter().any(|difference| {
        let key = match &difference.subject {
            Subject::JsonValue { path } => path.last_key(),
            _ => None,
        };
        key.is_some_and(holds)
            || holds(&difference.candidate)
            || holds(&difference.reference)
            // A value may be a longer phrase that begins with the text.
            || (!text.is_empty() && [&difference.candidate, &difference.reference].iter().any(|value| value.starts_with(text)))
    })
}

#[cfg(test)]
mod tests;
