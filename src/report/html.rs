//! The page: one HTML file that contains everything and fetches nothing.
//!
//! A pure function of the summary and the digest. maud escapes all text. Its parts: `finding` is one group of divergences, `matrix`
//! many tools in one table, `picture` the image's maps. Called by the sinks. `views` is the page of `imgduel inspect`, `grid` that of `imgduel grid`.

mod finding;
pub mod grid;
mod matrix;
mod picture;
pub mod views;

use std::collections::BTreeMap;
use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::against_recipe;
use super::digest::{Digest, Found};
use crate::base::error::{Error, Result};
use crate::base::prose::{counted, printable};
use crate::oracle::signature::Group;
use crate::report::terminal;
use crate::run::record::{Record, Summary, Tally, ToolName};

/// The maximum size of the findings on the page, in bytes; the rest of the page is small. A line reports those that no
/// longer fit.
const FINDINGS_BYTES_MAX: usize = 4_000_000;

/// The maximum number of findings.
const FINDINGS_MAX: usize = 1000;

/// The number of findings that are unfolded at first.
const UNFOLDED_MAX: usize = 3;

const STYLE: &str = include_str!("html/page.css");

/// Nothing may be fetched, whatever a tool wrote into its output.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Writes the page.
pub fn write(path: &Path, summary: &Summary, digest: &Digest) -> Result<()> {
    let page = page(summary, digest).into_string();
    std::fs::write(path, &*printable(&page))
        .map_err(|error| Error::io("write the page to", path, &error))
}

/// The whole page.
pub fn page(summary: &Summary, digest: &Digest) -> Markup {
    let tool = |tool: &Option<ToolName>| {
        tool.as_ref().map_or_else(
            || "-".to_owned(),
            |tool| format!("{} {}", tool.name, tool.version),
        )
    };
    let (candidate, reference) = (tool(&summary.candidate), tool(&summary.reference));
    let mut budget = FINDINGS_BYTES_MAX;
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(&format!("imgduel: {} divergences in {} cases", summary.divergences_found, summary.iterations_completed)))
            body {
                a.skip href="#divergences" { "Skip to the divergences" }
                header {
                    h1 { "imgduel" }
                    @if digest.tools.len() > 1 {
                        p.tools { b { (digest.tools.len()) } " pairs of tools" }
                    } @else {
                        p.tools { b { (candidate) } " against " b { (reference) } }
                    }
                    p { (run_line(summary)) }
                    nav aria-label="Sections" {
                        a href="#compared" { "Compared" }
                        a href="#divergences" { "Divergences" }
                        a href="#known" { "Known" }
                        a href="#inconclusive" { "Inconclusive" }
                    }
                }
                main {
                    (verdicts(summary))
                    (compared(summary, digest))
                    (matrix::matrix(summary))
                    (findings("divergences", "Divergences", &digest.groups, &mut budget))
                    @if !digest.elsewhere.is_empty() {
                        (findings("elsewhere", "Known divergences of other versions", &digest.elsewhere, &mut budget))
                    }
                    (findings("known", "Known divergences", &digest.known, &mut budget))
                    (flaky(summary, &digest.flaky))
                    (inconclusive(summary, &digest.inconclusive))
                }
            }
        }
    }
}

/// The head of a page: it fetches nothing.
fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta http-equiv="Content-Security-Policy" content=(POLICY);
            title { (title) }
            style { (PreEscaped(STYLE)) }
        }
    }
}

fn run_line(summary: &Summary) -> String {
    let origin = match (&summary.generation, summary.seed) {
        (Some(generation), Some(seed)) => format!("generation {generation}, seed {seed}: "),
        _ => String::new(),
    };
    format!(
        "{origin}{} of {} in {:.1} s ({:.1}/s), {}",
        summary.iterations_completed,
        counted(summary.iterations, "case"),
        summary.elapsed_seconds,
        summary.iterations_per_second,
        counted(summary.tool_calls, "tool call")
    )
}

fn verdicts(summary: &Summary) -> Markup {
    let rows = [
        ("match", "matches", summary.matches),
        ("divergence", "divergences", summary.divergences_found),
        (
            "elsewhere",
            "known of other versions",
            summary.known_elsewhere_count,
        ),
        ("known", "known", summary.known_count),
        ("flaky", "flaky", summary.flaky_count),
        ("inconclusive", "inconclusive", summary.inconclusive_count),
        ("unsupported", "unsupported", summary.unsupported_count),
    ];
    html! {
        section aria-label="Verdicts" {
            ul.verdicts {
                @for (class, name, count) in rows {
                    li class=(class) data-count=(count) { b { (count) } " " span { (name) } }
                }
            }
        }
    }
}

fn compared(summary: &Summary, digest: &Digest) -> Markup {
    let total: u64 = digest.operations.values().map(|tally| tally.total()).sum();
    let done: u64 = digest
        .operations
        .values()
        .map(|tally| tally.compared())
        .sum();
    html! {
        section #compared {
            h2 { "What was compared, and what was not" }
            p { (done) " of " (total) " operations were carried out by both tools and compared to the end." }
            (tallies("by operation", "operation", &digest.operations))
            (tallies("by tool: cases", "candidate / reference", &digest.tools))
            div.columns {
                (counts("Cases by kind", &summary.by_kind))
                (counts("Cases by known divergence", &summary.by_known))
                (counts("Operations that were skipped", &summary.unsupported_operations))
            }
        }
    }
}

fn tallies(title: &str, first: &str, tallies: &BTreeMap<String, Tally>) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(title) {
            table {
                caption { (title) }
                thead { tr {
                    th scope="col" { (first) }
                    @for name in ["compared", "match", "divergence", "known elsewhere", "known", "flaky", "inconclusive", "skipped"] {
                        th.number scope="col" { (name) }
                    }
                    th.share scope="col" aria-hidden="true" {}
                } }
                tbody {
                    @for (name, tally) in tallies {
                        tr {
                            th scope="row" { (name) }
                            @for count in [tally.compared(), tally.matches, tally.divergences, tally.known_elsewhere, tally.known, tally.flaky, tally.inconclusive, tally.unsupported] {
                                td.number { (count) }
                            }
                            td.share aria-hidden="true" { (share(*tally)) }
                        }
                    }
                }
            }
        }
    }
}

/// Returns a bar with the shares of the verdicts.
fn share(tally: Tally) -> Markup {
    let parts = [
        ("match", tally.matches),
        ("divergence", tally.divergences),
        ("elsewhere", tally.known_elsewhere),
        ("known", tally.known),
        ("flaky", tally.flaky),
        ("inconclusive", tally.inconclusive),
        ("unsupported", tally.unsupported),
    ];
    html! {
        span.bar {
            @for (class, count) in parts {
                @if count > 0 { i class=(class) style=(format!("flex-grow:{count}")) {} }
            }
        }
    }
}

fn counts(title: &str, counts: &BTreeMap<String, u64>) -> Markup {
    html! {
        @if !counts.is_empty() {
            div {
                h3 { (title) }
                table {
                    @for (name, count) in counts {
                        tr { td.number { (count) } td { (name) } }
                    }
                }
            }
        }
    }
}

fn findings(id: &str, title: &str, groups: &BTreeMap<Group, Found>, budget: &mut usize) -> Markup {
    let mut ordered: Vec<(&Group, &Found)> = groups.iter().collect();
    ordered.sort_by_key(|(_, found)| std::cmp::Reverse(found.count));
    let told = ordered.len().min(FINDINGS_MAX);
    let cases: u64 = groups.values().map(|found| found.count).sum();
    let mut parts = Vec::new();
    for (place, (group, found)) in ordered.iter().take(told).enumerate() {
        let name = format!("{id}-{}", place + 1);
        let is_open = id == "divergences" && place < UNFOLDED_MAX;
        let mut part = finding::whole(&name, group, found, is_open);
        if part.0.len() > *budget {
            part = finding::short(&name, group, found);
        }
        *budget = budget.saturating_sub(part.0.len());
        parts.push(part);
    }
    html! {
        section id=(id) {
            h2 { (title) " " small { (counted(cases, "case")) " in " (counted(groups.len() as u64, "group")) } }
            @if parts.is_empty() { p.none { "None." } }
            @for part in &parts { (part) }
            @if told < ordered.len() { p { (ordered.len() - told) " more groups are in the records." } }
        }
    }
}

/// Empty if there are none, as in most campaigns.
fn flaky(summary: &Summary, records: &[Record]) -> Markup {
    html! {
        @if summary.flaky_count > 0 {
            section #flaky {
                h2 { "Flaky " small { (counted(summary.flaky_count, "case")) " with a divergence that did not come back" } }
                @for record in records {
                    details.line {
                        summary {
                            code { (record.trial.as_ref().unwrap_or(&record.id)) }
                            " " span.flaky { (record.kind.as_deref().unwrap_or_default()) }
                            " in " (record.operation.as_deref().unwrap_or_default())
                        }
                        pre tabindex="0" { (terminal::evidence_block(record)) }
                    }
                }
            }
        }
    }
}

fn inconclusive(summary: &Summary, records: &[Record]) -> Markup {
    html! {
        section #inconclusive {
            h2 { "Inconclusive " small { (summary.inconclusive_count) " cases; the reference ran out of time in " (summary.inconclusive_qemu_timeout) " of all" } }
            @if records.is_empty() { p.none { "None." } }
            @for record in records {
                details.line {
                    summary {
                        code { (record.trial.as_ref().unwrap_or(&record.id)) }
                        " " span.inconclusive { (record.kind.as_deref().unwrap_or_default()) }
                        " in " (record.operation.as_deref().unwrap_or_default())
                    }
                    p { (against_recipe::reason(record)) }
                    pre tabindex="0" { (record.reproduce) }
                }
            }
            @if (records.len() as u64) < summary.inconclusive_count {
                p { (summary.inconclusive_count - records.len() as u64) " more are in the records." }
            }
        }
    }
}
