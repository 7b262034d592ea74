//! The evidence of a divergence as text: the values that differ, the calls with their results, and the diffs of the outputs.

use std::fmt::Write as _;

use crate::oracle::verdict::Difference;
use crate::report::against_recipe;
use crate::run::evidence::{Call, Evidence, shell_line};

pub(super) fn add_difference(block: &mut String, kind: Option<&str>, difference: &Difference) {
    let difference = against_recipe::shown(kind, difference);
    let _ = writeln!(block, "  {}", difference.subject);
    let _ = writeln!(block, "    candidate: {}", difference.candidate);
    let _ = writeln!(block, "    reference: {}", difference.reference);
    if let Some(expected) = &difference.expected {
        let _ = writeln!(block, "    expected:  {expected}");
    }
}

pub(super) fn add_evidence(block: &mut String, kind: Option<&str>, evidence: &Evidence) {
    for difference in &evidence.differences {
        add_difference(block, kind, difference);
    }
    for call in &evidence.calls {
        add_call(block, call);
    }
    for diff in &evidence.diffs {
        let _ = writeln!(
            block,
            "  diff of the outputs of {} (- candidate, + reference)",
            diff.request
        );
        for line in diff.text.lines() {
            let _ = writeln!(block, "    {line}");
        }
    }
    if let Some(again) = &evidence.again {
        let _ = writeln!(block, "  the second time: {}", again.summary);
        add_evidence(block, None, again);
    }
}

pub(super) fn add_call(block: &mut String, call: &Call) {
    let side = call.side.name();
    let by = if call.by == call.side {
        String::new()
    } else {
        format!(", by the {}", call.by.name())
    };
    let command = shell_line(&call.command);
    let _ = writeln!(block, "  in {side}/{by}: {command}");
    let size = call
        .file_bytes
        .map(|bytes| format!("; {} has {bytes} bytes", call.file))
        .unwrap_or_default();
    let _ = writeln!(
        block,
        "    {} after {:.1} ms ({:.1} ms CPU){size}",
        call.exit, call.duration_ms, call.cpu_ms
    );
    for (name, text) in [("out", &call.stdout), ("err", &call.stderr)] {
        for line in text.lines() {
            let _ = writeln!(block, "    {name}: {line}");
        }
    }
}
