//! The evidence in brief: what differs, the pair of calls that shows it, and the commands that lead there.
//!
//! For shrunken cases at the end of a campaign. The whole evidence is in the records, and `imgduel replay` prints it.

use std::fmt::Write as _;

use super::evidence::{add_call, add_difference};
use crate::oracle::observations::Side;
use crate::oracle::verdict::Difference;
use crate::report::against_recipe;
use crate::run::evidence::{Call, Evidence, shell_line};
use crate::run::record::Record;

/// How many differences are printed.
const DIFFERENCES_MAX: usize = 3;

/// How many commands are printed.
const COMMANDS_MAX: usize = 12;

/// What differs, the differing call on both sides, and the commands of one side up to it.
pub fn evidence(record: &Record) -> String {
    let mut text = String::new();
    if record.reason.is_some() {
        let reason = against_recipe::reason(record);
        let _ = writeln!(text, "  {reason}");
    }
    let Some(evidence) = &record.evidence else {
        return text;
    };
    for difference in evidence.differences.iter().take(DIFFERENCES_MAX) {
        add_difference(&mut text, record.kind.as_deref(), difference);
    }
    let left_out = evidence.differences.len().saturating_sub(DIFFERENCES_MAX);
    if left_out > 0 {
        let _ = writeln!(text, "  and {left_out} more");
    }
    let pair = differing(evidence);
    if let Some((ours, theirs)) = pair {
        text.push_str("  where it shows:\n");
        for call in ours.into_iter().chain(theirs) {
            add_call(&mut text, call);
        }
    }
    let last = pair.and_then(|(ours, theirs)| ours.or(theirs));
    add_recipe(&mut text, evidence, last);
    text
}

type Pair<'evidence> = (Option<&'evidence Call>, Option<&'evidence Call>);

/// The pair of calls, one of each side, that most likely shows the difference: their exits or outputs are what
/// differs.
fn differing(evidence: &Evidence) -> Option<Pair<'_>> {
    let of = |side: Side| evidence.calls.iter().filter(move |call| call.side == side);
    let ours: Vec<&Call> = of(Side::Candidate).collect();
    let theirs: Vec<&Call> = of(Side::Reference).collect();
    let pairs = (0..ours.len().max(theirs.len()))
        .map(|place| (ours.get(place).copied(), theirs.get(place).copied()));
    let likely = |pair: &Pair<'_>| {
        let (Some(ours), Some(theirs)) = *pair else {
            return 0;
        };
        let shows = |difference: &Difference| shows(ours, theirs, difference);
        let by_value = evidence.differences.iter().map(shows).max();
        let differs = u32::from(ours.exit != theirs.exit) * 2
            + u32::from(ours.stdout.trim() != theirs.stdout.trim());
        by_value.unwrap_or_default() * 4 + differs
    };
    let mut best: Option<(u32, Pair<'_>)> = None;
    for pair in pairs {
        let weight = likely(&pair);
        // If no pair differs, the last one is best: the final inspections come last.
        if best.is_none_or(|(most, _)| weight > most || (most == 0 && weight == 0)) {
            best = Some((weight, pair));
        }
    }
    best.map(|(_, pair)| pair)
}

/// How surely a pair of calls shows a difference: 0 is not at all.
fn shows(ours: &Call, theirs: &Call, difference: &Difference) -> u32 {
    let is_exit = ours.exit != theirs.exit
        && (difference.candidate.contains(&ours.exit)
            || difference.reference.contains(&theirs.exit));
    if is_exit {
        return 3;
    }
    let prints = |call: &Call, value: &str| {
        let value = value.trim_matches('"');
        !value.is_empty() && (call.stdout.contains(value) || call.stderr.contains(value))
    };
    let differ = ours.stdout != theirs.stdout || ours.stderr != theirs.stderr;
    match differ && prints(ours, &difference.candidate) && prints(theirs, &difference.reference) {
        true => 2,
        false => 0,
    }
}

/// Prints the commands up to a call: those that make the source image, then those of the call's side.
fn add_recipe(text: &mut String, evidence: &Evidence, last: Option<&Call>) {
    let side = last.map_or(Side::Candidate, |call| call.side);
    let of_side = evidence.calls.iter().filter(|call| call.side == side);
    let mut commands: Vec<String> = evidence
        .fixture
        .iter()
        .map(|words| shell_line(words))
        .collect();
    for call in of_side {
        let is_last = last.is_some_and(|last| std::ptr::eq(last, call));
        // The harness's own actions are no commands.
        if !call.command.iter().any(|word| word.starts_with('[')) {
            commands.push(shell_line(&call.command));
        }
        if is_last {
            break;
        }
    }
    if commands.is_empty() {
        return;
    }
    text.push_str("  how it comes to that:\n");
    let left_out = commands.len().saturating_sub(COMMANDS_MAX);
    if left_out > 0 {
        let _ = writeln!(text, "    ({left_out} before)");
    }
    for command in &commands[left_out..] {
        let _ = writeln!(text, "    {command}");
    }
}
