//! All texts for people on a terminal or in a failed test.

mod evidence;
pub mod excerpt;
pub mod grid;
mod matrix;
pub mod tools;
pub mod views;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use crate::base::program;
use crate::base::prose::{counted, printable};
use crate::base::variants::CaseSize;
use crate::oracle::signature::Group;
use crate::oracle::verdict::InconclusiveKind;
use crate::process::SandboxLayer;
use crate::report::against_recipe;
use crate::run::evidence::quoted;
use crate::run::record::{Class, ElsewhereCount, Record, Summary, ToolName};

/// One line for a record: id, verdict and reason.
pub fn line(record: &Record) -> String {
    let mut line = format!("{} {}", record.id, record.verdict);
    if let Some(kind) = &record.kind {
        let _ = write!(line, " {kind}");
    }
    if let Some(operation) = &record.operation {
        let index = record.operation_index.unwrap_or_default();
        let _ = write!(line, " in operation {index} ({operation})");
    }
    if let Some(known) = &record.known {
        let _ = write!(line, " [known: {known}]");
    }
    if let Some(elsewhere) = &record.known_elsewhere {
        let _ = write!(line, " [{}]", elsewhere.words());
    }
    if record.reason.is_some() {
        let reason = against_recipe::reason(record);
        let _ = write!(line, ": {reason}");
    }
    line
}

/// Writes bytes to standard output.
pub fn write_bytes(bytes: &[u8]) {
    // A reader that has seen enough closes the pipe; that is no error.
    let _ = std::io::stdout().write_all(bytes);
}

/// Writes a text for people to standard output.
pub fn write_text(text: &str) {
    write_bytes(printable(text).as_bytes());
}

/// The first difference in the form of a failed assertion, which editors open as a diff. The note after it belongs to
/// the form: without it RustRover does not find the end of the right side.
pub fn as_assertion(trial: &str, record: &Record) -> String {
    let difference = record
        .evidence
        .as_ref()
        .and_then(|evidence| evidence.differences.first());
    let Some(difference) = difference else {
        return String::new();
    };
    let place = record.seed_file.as_deref().unwrap_or(&record.id);
    let kind = record.kind.as_deref();
    let shown = against_recipe::shown(kind, difference);
    let (right, note) = match against_recipe::is_against_recipe(kind, difference) {
        true => (
            shown.expected.as_deref().unwrap_or_default(),
            "left is both sides', right the recipe's",
        ),
        false => (
            &*difference.reference,
            "left is the candidate's, right the reference's",
        ),
    };
    format!(
        "thread '{trial}' panicked at {place}:1:1:\nassertion `left == right` failed: {}\n  left: {:?}\n right: {right:?}\nnote: {note}\n",
        shown.subject, shown.candidate
    )
}

/// Why a trial is ignored; `None` for one that ran to its end.
pub fn ignored_reason(record: &Record) -> Option<String> {
    let reason = against_recipe::reason(record);
    let kind = record.kind.as_deref().unwrap_or_default();
    match record.class() {
        Class::Match | Class::Divergence | Class::KnownElsewhere => None,
        Class::Known => Some(format!(
            "known divergence {}: {reason}",
            record.known.as_deref().unwrap_or_default()
        )),
        Class::Flaky => Some(format!("flaky {kind}: {reason}")),
        Class::Inconclusive => Some(format!("{kind}: {reason}")),
        Class::Unsupported => Some(format!("unsupported: {}", unsupported_reasons(record))),
    }
}

fn unsupported_reasons(record: &Record) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for reason in record
        .operations
        .iter()
        .filter_map(|operation| operation.reason.as_deref())
    {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.join("; ")
}

/// The line for a new finding.
pub fn new_finding(path: &Path, group: &Group, count: u64) -> String {
    let path = path.display();
    format!(
        "new finding ({}): {}\n  kept in {path}\n",
        counted(count, "case"),
        against_recipe::title(group)
    )
}

/// The line for a finding that an earlier run kept.
pub fn pending_finding(path: &Path, count: u64) -> String {
    let count = counted(count, "case");
    format!("pending since before ({count}): {}\n", path.display())
}

/// The line for a shrunken case: what became smaller.
pub fn shrunk(before: CaseSize, after: CaseSize, attempts: usize, finished: bool) -> String {
    // Counts that did not change are left out. If none changed, no smaller case was found.
    let counts = [
        ("operation", before.operations, after.operations),
        ("option beyond defaults", before.options, after.options),
        ("write", before.writes, after.writes),
    ];
    let changed = counts
        .into_iter()
        .filter(|(_, before, after)| before != after);
    let words: Vec<String> = changed
        .map(|(noun, before, after)| match noun.split_once(' ') {
            None => format!("{} instead of {before}", counted(after as u64, noun)),
            Some((noun, rest)) => {
                format!("{} {rest} instead of {before}", counted(after as u64, noun))
            }
        })
        .collect();
    let words = match words.is_empty() {
        true => "no smaller case shows it".to_owned(),
        false => words.join(", "),
    };
    let more = match finished {
        true => String::new(),
        false => format!(" (not finished: {} shrink continues)", program::line()),
    };
    format!(
        "  shrunk in {}: {words}{more}\n",
        counted(attempts as u64, "attempt")
    )
}

/// The command that runs a finding again.
pub fn replay_command(path: &Path, candidate: &str) -> String {
    let path = quoted(&path.display().to_string());
    format!(
        "  again: {} replay {path} --candidate {}\n",
        program::line(),
        quoted(candidate)
    )
}

/// The evidence block: what differs, the calls with their results, and how to reproduce it.
pub fn evidence_block(record: &Record) -> String {
    let mut block = line(record);
    block.push('\n');
    let tools = format!(
        "candidate {} {}, reference {} {}",
        record.candidate.name,
        record.candidate.version,
        record.reference.name,
        record.reference.version
    );
    let _ = writeln!(block, "  tools: {tools}");
    for operation in &record.operations {
        let kind = operation.kind.as_deref().unwrap_or_default();
        let reason = operation
            .reason
            .as_deref()
            .map(|reason| against_recipe::shown_reason(Some(kind), reason))
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        let _ = writeln!(
            block,
            "  {} {} {kind}{reason}",
            operation.op, operation.verdict
        );
    }
    if let (Some(blame), Some(aspect)) = (record.blame, record.aspect) {
        let _ = writeln!(
            block,
            "  blame: {}; aspect: {}",
            blame.name(),
            aspect.name()
        );
    }
    if let Some(found) = &record.evidence {
        evidence::add_evidence(&mut block, record.kind.as_deref(), found);
    }
    if let Some(kept) = &record.kept {
        let _ = writeln!(block, "  kept: {kept}");
    }
    let _ = writeln!(block, "  again: {}", record.reproduce);
    block
}

/// The parts of the sandbox, and whether each is available.
pub fn sandbox(layers: &[SandboxLayer]) -> String {
    let line = |layer: &SandboxLayer| {
        let state = layer.missing.as_deref();
        let state = state.map_or("here".to_owned(), |missing| format!("missing: {missing}"));
        format!("sandbox {} ({state})\n", layer.name)
    };
    layers.iter().map(line).collect()
}

/// The witness tools, and whether each is installed.
pub fn witnesses(versions: &BTreeMap<&'static str, Option<String>>) -> String {
    let line = |(name, version): (&&str, &Option<String>)| {
        format!(
            "witness {name} {}\n",
            version.as_deref().unwrap_or("not here")
        )
    };
    versions.iter().map(line).collect()
}

/// The summary at the end of a campaign.
pub fn summary(summary: &Summary) -> String {
    let mut text = tools(summary);
    if let (Some(generation), Some(seed)) = (&summary.generation, summary.seed) {
        let _ = writeln!(text, "generation {generation}, seed {seed}");
    }
    let _ = writeln!(
        text,
        "{} of {} in {:.1} s ({:.1}/s), {}, {:.1} s tool CPU, {:.1} s own CPU",
        summary.iterations_completed,
        counted(summary.iterations, "case"),
        summary.elapsed_seconds,
        summary.iterations_per_second,
        counted(summary.tool_calls, "tool call"),
        summary.tool_cpu_seconds,
        summary.harness_cpu_seconds,
    );
    text.push_str(&counts(summary));
    text.push_str(&groups(summary));
    text.push_str(&matrix::matrix(summary));
    let absent: Vec<&str> = summary
        .witnesses
        .iter()
        .filter(|(_, version)| version.is_none())
        .map(|(name, _)| *name)
        .collect();
    if !absent.is_empty() {
        let _ = writeln!(text, "no cross-check by {}", absent.join(", "));
    }
    if let Some(why) = &summary.vacuous {
        let _ = writeln!(
            text,
            "this campaign proves nothing: {why} (--allow-vacuous lets it pass)"
        );
    }
    if !summary.known_silent.is_empty() {
        let (silent, all) = (summary.known_silent.len(), summary.known_reached.len());
        let _ = writeln!(
            text,
            "entries of the catalogue that could have fired and did not: {silent} of {all} (known_silent in the summary; --strict-known says which are stale)"
        );
    }
    text.push_str(&elsewhere(&summary.known_elsewhere));
    text
}

/// The tools of a campaign, in one line.
fn tools(summary: &Summary) -> String {
    let tool = |tool: &Option<ToolName>| {
        tool.as_ref().map_or_else(
            || "-".to_owned(),
            |tool| format!("{} {}", tool.name, tool.version),
        )
    };
    let candidates = match summary.by_candidate.len() {
        0 => format!("candidate {}", tool(&summary.candidate)),
        _ => {
            let names: Vec<&str> = summary.by_candidate.keys().map(String::as_str).collect();
            format!("candidates {}", names.join(", "))
        }
    };
    let reference = match summary.references.len() {
        0 | 1 => format!("reference {}", tool(&summary.reference)),
        _ => {
            let names: Vec<&str> = summary.references.iter().map(String::as_str).collect();
            format!("references {}", names.join(", "))
        }
    };
    format!("{candidates}, {reference}\n")
}

/// The numbers of cases by result.
fn counts(summary: &Summary) -> String {
    let mut text = String::new();
    let rows = [
        ("matches", summary.matches),
        ("divergences_found", summary.divergences_found),
        ("known_elsewhere_count", summary.known_elsewhere_count),
        ("known_count", summary.known_count),
        ("flaky_count", summary.flaky_count),
        ("inconclusive_count", summary.inconclusive_count),
        (
            InconclusiveKind::QemuTimeout.name(),
            summary.inconclusive_qemu_timeout,
        ),
        ("unsupported_count", summary.unsupported_count),
        ("behaviours", summary.behaviours),
    ];
    for (name, count) in rows {
        let _ = writeln!(text, "{name:>26} {count}");
    }
    let tallies = [
        ("by kind", &summary.by_kind),
        ("known", &summary.by_known),
        ("operations skipped", &summary.unsupported_operations),
        ("checks made", &summary.checks),
    ];
    for (title, counts) in tallies.into_iter().filter(|(_, counts)| !counts.is_empty()) {
        let _ = writeln!(text, "{title}:");
        for (name, count) in counts {
            let _ = writeln!(text, "{count:>8} {name}");
        }
    }
    text
}

/// The groups of divergences, each with its first case.
fn groups(summary: &Summary) -> String {
    let mut text = String::new();
    if !summary.groups.is_empty() {
        let _ = writeln!(text, "groups of divergences:");
    }
    for counted in &summary.groups {
        let title = against_recipe::title(&counted.group);
        let _ = writeln!(
            text,
            "{:>8} {title}, first {}",
            counted.count, counted.first_id
        );
    }
    text
}

/// The divergences that are known for other versions, and the commands that accept them for the tested ones.
fn elsewhere(counts: &[ElsewhereCount]) -> String {
    let mut text = String::new();
    let mut tools: Vec<&ToolName> = Vec::new();
    for ElsewhereCount { elsewhere, count } in counts {
        let _ = writeln!(
            text,
            "{count:>8} {} as {}, which is {}",
            elsewhere.tool.version,
            elsewhere.id,
            elsewhere.words()
        );
        if !tools.contains(&&elsewhere.tool) {
            tools.push(&elsewhere.tool);
        }
    }
    for tool in tools {
        let own = counts.iter().map(|counted| &counted.elsewhere);
        let ids: Vec<&str> = own
            .filter(|elsewhere| elsewhere.tool == *tool)
            .map(|elsewhere| elsewhere.id.as_str())
            .collect();
        let _ = writeln!(
            text,
            "to accept this of {tool} too: {} accept --extend {} {}",
            program::line(),
            ids.join(","),
            quoted(&tool.version)
        );
    }
    if !text.is_empty() {
        text.insert_str(0, "known elsewhere:\n");
    }
    text
}

/// The entries of the catalogue that should have matched and never did.
pub fn stale(entries: &[(String, u64)]) -> String {
    let line = |(id, cases): &(String, u64)| {
        let cases = counted(*cases, "case");
        format!("stale in the catalogue: {id} could have fired in {cases} and never did\n")
    };
    entries.iter().map(line).collect()
}
