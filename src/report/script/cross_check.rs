//! Checks that do not compare the candidate with the reference: with a third tool, or with the candidate's own next
//! step.

use super::ScriptInput;
use super::shell::{Check, VALUE, VALUES_MAX};
use crate::operation::measure::BOUND_SLACK_BYTES;
use crate::oracle::judge::WITNESS_FACTS;
use crate::oracle::observations::Task;
use crate::oracle::verdict::{DivergenceKind, Subject};
use crate::run::evidence::quoted;
use crate::tool::request::Request;

const NUMBER: &str = r#"
# number KEY FILE: the number behind "KEY" at the outermost level of a JSON file.
number() { sed -n "s/^\\( \\{4\\}\\)\\{0,1\\}\"$1\": *\\([0-9]*\\).*/\\2/p" "$2"; }
# fact WORDS: the number that the witness reports, in bytes if it reports both.
fact() { grep -i "$1" candidate/witness.out | sed 's/.*(\([0-9]*\) bytes).*/\1/; s/.*: *//' | tr -d '[:space:]'; }
"#;

/// Whether the witness can read an image that the candidate finds errors in, or the other way round.
pub(super) fn readable(input: &ScriptInput<'_>) -> Option<Check> {
    let witness = witness(input)?;
    Some(Check::new(
        "",
        format!(
            "{witness}sound=$?\n[ \"$sound\" = 0 ] || sound=1\n\
             checked=$(sed 's/^[1-9].*/1/' candidate/exits | tail -n 1)\n\
             [ \"$checked\" != \"$sound\" ] && exit 0\n"
        ),
    ))
}

/// Returns the lines that run the witness on the candidate's copy of the source image.
fn witness(input: &ScriptInput<'_>) -> Option<String> {
    let name = match &input.differences.first()?.subject {
        Subject::FactByWitness { witness, .. } | Subject::ReadableByWitness { witness } => witness,
        _ => return None,
    };
    let image = quoted(&input.source.path);
    let witness = format!(
        "# A cross-check by one of libyal's tools.\nwitness=${{WITNESS:-{name}}}\n\
         command -v \"$witness\" >/dev/null || exit 2\n\
         (cd candidate && \"$witness\" {image}) >candidate/witness.out 2>&1\n"
    );
    Some(witness)
}

/// Compares the witness's facts with those of the candidate's last step.
pub(super) fn described(input: &ScriptInput<'_>) -> Option<Check> {
    // The witness of a chain read the final image.
    if input.kind != DivergenceKind::WitnessInfo {
        return None;
    }
    let last = input.last()?;
    let mut text = witness(input)?;
    for difference in input.differences.iter().take(VALUES_MAX) {
        let Subject::FactByWitness { fact, .. } = &difference.subject else {
            return None;
        };
        let key = fact.last_key()?;
        let (words, _) = WITNESS_FACTS.iter().find(|(_, known)| *known == key)?;
        text.push_str(&format!(
            "[ \"$(number {key} candidate/{last}.out)\" != \"$(fact '{words}')\" ] && exit 0\n"
        ));
    }
    Some(Check::new(NUMBER, text))
}

/// Whether the candidate's own conversion is larger than predicted.
pub(super) fn bound(input: &ScriptInput<'_>) -> Option<Check> {
    let target = input.steps.iter().find_map(|step| match &step.task {
        Task::Tool(Request::Convert { target, .. }) => Some(quoted(&target.path)),
        _ => None,
    })?;
    let text = format!(
        "# The prediction may be wrong by {BOUND_SLACK_BYTES} bytes, or by a sixteenth where that is more.\n\
         foretold=$(value fully-allocated candidate/0.out)\n\
         written=$(wc -c <candidate/{target}) || exit 2\n\
         slack=$((foretold / 16))\n\
         [ \"$slack\" -gt {BOUND_SLACK_BYTES} ] || slack={BOUND_SLACK_BYTES}\n\
         [ \"$written\" -gt $((foretold + slack)) ] && exit 0\n"
    );
    Some(Check::new(VALUE, text))
}
