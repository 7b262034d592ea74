//! One group of divergences on the page: the differing values, both sides' calls side by side, the picture, and how to
//! reproduce it.

use std::collections::HashSet;

use maud::{Markup, html};

use super::super::digest::Found;
use super::picture;
use crate::oracle::observations::Side;
use crate::oracle::signature::Group;
use crate::oracle::verdict::Difference;
use crate::report::against_recipe;
use crate::run::evidence::{Call, Evidence, OutputDiff, has_a_value, shell_line};
use crate::run::record::Record;

/// The maximum number of differences that are shown for one case.
const DIFFERENCES_MAX: usize = 40;

/// Returns a group with its example.
pub(super) fn whole(name: &str, group: &Group, found: &Found, is_open: bool) -> Markup {
    let record = &found.example;
    html! {
        details.finding id=(name) open[is_open] {
            (head(group, found))
            p.reason { (against_recipe::reason(record)) }
            @if let Some(elsewhere) = &record.known_elsewhere { p { "It is " (elsewhere.words()) "." } }
            @if let Some(known) = &record.known { p { "Known as " code { (known) } "." } }
            @match &record.evidence {
                Some(evidence) => { (shown(record, evidence)) }
                None => { p { "The evidence is in the records." } }
            }
            (by_hand(record))
            (cases(found))
        }
    }
}

/// Returns a group without its example, because the page is full.
pub(super) fn short(name: &str, group: &Group, found: &Found) -> Markup {
    html! {
        details.finding id=(name) {
            (head(group, found))
            (cases(found))
        }
    }
}

fn head(group: &Group, found: &Found) -> Markup {
    let times = if found.count == 1 { "case" } else { "cases" };
    html! {
        summary {
            span.count { (found.count) " " (times) }
            " " b { (group.kind) } " in " b { (group.operation) }
            br;
            span.signature { (against_recipe::signature(group)) }
        }
    }
}

fn shown(record: &Record, evidence: &Evidence) -> Markup {
    html! {
        (differences(record.kind.as_deref(), &evidence.differences))
        @if let Some(image) = &evidence.picture { (picture::picture(image)) }
        @for diff in &evidence.diffs { (output_diff(diff)) }
        h4 { "What was run" }
        (calls(record, &evidence.calls, &evidence.differences))
    }
}

/// Returns the outputs of both sides as a diff.
fn output_diff(diff: &OutputDiff) -> Markup {
    html! {
        details.line open {
            summary { "Diff of the outputs of " (diff.request) " (− candidate, + reference)" }
            pre.diff tabindex="0" {
                @for line in diff.text.lines() {
                    @match line.chars().next() {
                        Some('-') => { del { (line) } }
                        Some('+') => { ins { (line) } }
                        _ => { (line) }
                    }
                    "\n"
                }
            }
        }
    }
}

fn differences(kind: Option<&str>, differences: &[Difference]) -> Markup {
    let shown = differences.iter().take(DIFFERENCES_MAX);
    let shown: Vec<_> = shown
        .map(|found| against_recipe::shown(kind, found))
        .collect();
    html! {
        @if !differences.is_empty() {
            div.scroll tabindex="0" role="group" aria-label="What differs" {
                table.differences {
                    thead { tr {
                        th scope="col" { "what" } th scope="col" { "candidate" } th scope="col" { "reference" }
                        @if shown.iter().any(|difference| difference.expected.is_some()) { th scope="col" { "expected" } }
                    } }
                    tbody {
                        @for difference in &shown {
                            @let (candidate, reference) = marked(&difference.candidate, &difference.reference);
                            tr {
                                th scope="row" { (difference.subject) }
                                td data-name="candidate" { (candidate) }
                                td data-name="reference" { (reference) }
                                @if let Some(expected) = &difference.expected { td data-name="expected" { (expected) } }
                            }
                        }
                    }
                }
            }
            @if differences.len() > DIFFERENCES_MAX {
                p { (differences.len() - DIFFERENCES_MAX) " more differences are in the record." }
            }
        }
    }
}

/// Marks the differing part of two values: between their common beginning and their common end.
fn marked(first: &str, second: &str) -> (Markup, Markup) {
    let letters = || std::iter::zip(first.chars(), second.chars());
    let start: usize = letters()
        .take_while(|(first, second)| first == second)
        .map(|(letter, _)| letter.len_utf8())
        .sum();
    let rest = (&first[start..], &second[start..]);
    let end: usize = std::iter::zip(rest.0.chars().rev(), rest.1.chars().rev())
        .take_while(|(first, second)| first == second)
        .map(|(letter, _)| letter.len_utf8())
        .sum();
    let mark = |text: &str| {
        let (beginning, middle, ending) = (
            &text[..start],
            &text[start..text.len() - end],
            &text[text.len() - end..],
        );
        html! { (beginning) @if !middle.is_empty() { mark { (middle) } } (ending) }
    };
    (mark(first), mark(second))
}

/// Returns both sides' calls in order, side by side: both made the same calls, as far as they got.
fn calls(record: &Record, calls: &[Call], differences: &[Difference]) -> Markup {
    let of = |side: Side| calls.iter().filter(move |call| call.side == side);
    let (candidate, reference): (Vec<&Call>, Vec<&Call>) =
        (of(Side::Candidate).collect(), of(Side::Reference).collect());
    let pairs = (0..candidate.len().max(reference.len()))
        .map(|place| [candidate.get(place), reference.get(place)].map(Option::<&&Call>::copied));
    html! {
        div.calls {
            div.sides {
                h5 { "candidate: " (record.candidate.name) " " (record.candidate.version) }
                h5 { "reference: " (record.reference.name) " " (record.reference.version) }
            }
            @for [candidate, reference] in pairs {
                div.pair {
                    (call(candidate, reference, differences))
                    (call(reference, candidate, differences))
                }
            }
        }
    }
}

/// Returns a call in which the differing values are marked: only what was compared and differs.
fn call(call: Option<&Call>, other: Option<&Call>, differences: &[Difference]) -> Markup {
    let Some(call) = call else {
        return html! { div.call.missing { p { "not run" } } };
    };
    let is_found = |text: &str| has_a_value(text, differences);
    let differs = other.is_some_and(|other| other.exit != call.exit) && is_found(&call.exit);
    let size = call.file_bytes.map(|bytes| bytes.to_string());
    let size_differs = other.is_some_and(|other| other.file_bytes != call.file_bytes)
        && size.is_some_and(|size| is_found(&size));
    html! {
        div.call {
            pre tabindex="0" { "$ " (shell_line(&call.command)) }
            p {
                @if call.by != call.side { "by the " (call.by.name()) ": " }
                @if differs { mark { (call.exit) } } @else { (call.exit) }
                ", " (format!("{:.1}", call.duration_ms)) " ms"
                @if let Some(bytes) = call.file_bytes {
                    "; " (call.file) " has "
                    @if size_differs { mark { (bytes) } } @else { (bytes) }
                    " bytes"
                }
            }
            (output(&call.stdout, other.map(|other| other.stdout.as_str()), differences))
            (output(&call.stderr, other.map(|other| other.stderr.as_str()), differences))
        }
    }
}

/// Returns an output in which lines are marked that have a differing value and that the other side's output does not
/// have.
fn output(text: &str, other: Option<&str>, differences: &[Difference]) -> Markup {
    // If the other side's output is empty, marking everything would not help.
    let other = other.filter(|other| !other.is_empty());
    let lines: Option<HashSet<&str>> = other.map(|other| other.lines().map(str::trim).collect());
    let is_own = |line: &str| {
        lines
            .as_ref()
            .is_some_and(|lines| !lines.contains(line.trim()))
            && has_a_value(line.trim(), differences)
    };
    html! {
        @if !text.is_empty() {
            pre.output tabindex="0" {
                @for line in text.lines() {
                    @if is_own(line) { mark { (line) } } @else { (line) }
                    "\n"
                }
            }
        }
    }
}

fn by_hand(record: &Record) -> Markup {
    let evidence = record.evidence.as_ref();
    let fixture = evidence.map_or(&[][..], |evidence| &evidence.fixture);
    let own: Vec<&Call> = evidence
        .iter()
        .flat_map(|evidence| &evidence.calls)
        // What the harness read from a raw file itself is not a command.
        .filter(|call| !call.command.iter().any(|word| word.starts_with('[')))
        .collect();
    html! {
        h4 { "To see it again" }
        pre.again tabindex="0" { (record.reproduce) }
        @if !own.is_empty() {
            details.line {
                summary { "By hand" }
                pre tabindex="0" {
                    @if !fixture.is_empty() { "# the source image, in an empty directory\n" }
                    @for words in fixture { (shell_line(words)) "\n" }
                    @for side in [Side::Candidate, Side::Reference] {
                        "# the " (side.name()) ", in a directory with its own copy\n"
                        @for call in own.iter().filter(|call| call.side == side) { (shell_line(&call.command)) "\n" }
                    }
                }
            }
        }
    }
}

fn cases(found: &Found) -> Markup {
    let left_out = found.count - found.names.len() as u64;
    html! {
        details.line {
            summary { "Cases" }
            p.cases {
                @for name in &found.names { code { (name) } " " }
                @if left_out > 0 { "and " (left_out) " more" }
            }
        }
    }
}

#[cfg(test)]
mod tests;
