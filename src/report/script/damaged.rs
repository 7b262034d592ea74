//! Checks of images that were damaged or only read: they are unchanged, have the same contents for both tools, or are
//! repaired.

use super::ScriptInput;
use super::shell::{CLEAN, Check, VALUE};
use crate::operation::Operation;
use crate::oracle::observations::{HarnessAction, Task};
use crate::oracle::verdict::{DivergenceKind, Subject};
use crate::run::evidence::quoted;
use crate::tool::FLAT_SUFFIX;
use crate::tool::request::Request;

/// Whether a tool changed the damaged image.
pub(super) fn input(input: &ScriptInput<'_>) -> Option<Check> {
    let file = input.steps.iter().find_map(|step| match &step.task {
        Task::Harness(HarnessAction::Damage { file, .. }) => Some(file),
        _ => None,
    })?;
    let name = quoted(&file.path);
    let sides = ["candidate", "reference"]
        .map(|side| format!("cmp -s {side}/{name} {side}/{name}.before || exit 0"));
    Some(Check::new("", sides.join("\n")))
}

/// Whether a tool changed the source image.
pub(super) fn source(input: &ScriptInput<'_>) -> Check {
    let name = quoted(&input.source.path);
    Check::new(
        "",
        format!("cmp -s candidate/{name} reference/{name} || exit 0"),
    )
}

/// Compares the contents that each read step left under its number; a refused read is not a different content.
pub(super) fn contents(input: &ScriptInput<'_>) -> Check {
    let readings = input.steps.iter().enumerate();
    let readings = readings
        .filter(|(_, step)| matches!(step.task, Task::Tool(Request::Contents { .. })))
        .map(|(name, _)| format!("{name}{FLAT_SUFFIX}"));
    let compare = readings.map(|flat| {
        format!(
            "[ -f candidate/{flat} ] && [ -f reference/{flat} ] && {{ cmp -s candidate/{flat} reference/{flat} || exit 0; }}"
        )
    });
    Check::new("", compare.collect::<Vec<_>>().join("\n"))
}

/// Judges a repair. The last steps are check, repair, check and read.
pub(super) fn repaired(input: &ScriptInput<'_>) -> Option<Check> {
    let Operation::Repair(repair) = input.operation else {
        return None;
    };
    let last = input.steps.len().checked_sub(1)?;
    let (before, after) = (last.checked_sub(3)?, last - 1);
    let flat = format!("{last}{FLAT_SUFFIX}");
    let text = match (input.subject()?, input.kind) {
        (Subject::CheckAfterRepair { .. }, DivergenceKind::RepairSafety) => format!(
            "is_told() {{ grep -q '\"check-errors\"' \"$1\"; }}\n\
             is_told candidate/{before}.out || exit 2\nis_told candidate/{after}.out || exit 0\n\
             count() {{ value \"$1\" \"candidate/$2.out\" | grep . || echo 0; }}\n\
             for key in corruptions leaks check-errors; do\n  \
             [ \"$(count $key {after})\" -gt \"$(count $key {before})\" ] && exit 0\ndone\n"
        ),
        (Subject::CheckAfterRepair { .. }, _) => {
            format!("{CLEAN}clean candidate {after} || exit 0\n")
        }
        _ => {
            let expected = input.expected("expected.raw", &repair.expected())?;
            format!("{expected}cmp -s candidate/{flat} expected.raw || exit 0\n")
        }
    };
    Some(Check::new(VALUE, text))
}
