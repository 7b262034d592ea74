//! Checks of exits, by the exit codes of the steps.

use super::ScriptInput;
use super::shell::Check;
use crate::oracle::verdict::{Difference, DivergenceKind};

/// 129 and above: ended by a signal.
const SIGNALLED: &str = "grep -qE '^(129|1[3-9][0-9]|2[0-9][0-9])$'";

/// Returns the check of an exit.
pub(super) fn came_out(input: &ScriptInput<'_>) -> Option<Check> {
    let text = match input.kind {
        DivergenceKind::CandidateCrash => format!("{SIGNALLED} candidate/exits && exit 0"),
        DivergenceKind::ReferenceCrash => format!("{SIGNALLED} reference/exits && exit 0"),
        DivergenceKind::CandidateTimeout => {
            "grep -qx 124 candidate/exits && ! grep -qx 124 reference/exits && exit 0".to_owned()
        }
        DivergenceKind::RecipeExit => "# Both refuse what nothing stands against.\n\
             refused() { [ \"$(tail -n 1 \"$1/exits\")\" != 0 ]; }\n\
             refused candidate && refused reference && exit 0"
            .to_owned(),
        _ => "# Success on one side only.\nlasting() { sed 's/^[1-9].*/1/' \"$1/exits\"; }\n\
             [ \"$(lasting candidate)\" != \"$(lasting reference)\" ] && exit 0"
            .to_owned(),
    };
    let may_be_of_a_reading = matches!(
        input.kind,
        DivergenceKind::CandidateCrash
            | DivergenceKind::CandidateTimeout
            | DivergenceKind::CandidateLimit
    );
    Some(Check {
        reads_by_candidate: may_be_of_a_reading && !input.outputs.is_empty(),
        ..Check::new("", text)
    })
}

/// A tool that needs too much memory fails with less of it: it shows in the message or the exit.
pub(super) fn memory(input: &ScriptInput<'_>) -> Check {
    let words = match is_about_a_peak(input.differences) {
        true => "grep -qiE 'memory|allocat' candidate/*.err reference/*.err && exit 0\n",
        false => "",
    };
    let text = format!("{words}cat candidate/exits reference/exits | {SIGNALLED} && exit 0");
    Check::new("", text)
}

/// Whether a tool's peak memory exceeded the maximum and the tool survived.
pub(super) fn is_about_a_peak(differences: &[Difference]) -> bool {
    differences.iter().any(|found| {
        let values = [&found.candidate, &found.reference];
        values.iter().any(|value| value.ends_with(" bytes at once"))
    })
}
