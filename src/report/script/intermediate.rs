//! Checks of steps that read in the middle of a chain: both sides are compared with each other and with the expected
//! value.

use super::ScriptInput;
use super::shell::{CLEAN, Check, VALUE};
use crate::operation::Operation;
use crate::operation::chain::{ChainState, ChainStep};
use crate::oracle::verdict::{Blame, DivergenceKind, OutputAspect, Subject};
use crate::run::evidence::quoted;
use crate::tool::FLAT_SUFFIX;

pub(super) const EXTENTS: &str = r#"
# extents FILE: start, length and zero of every extent of a map.
extents() {
  tr -d ' \n' <"$1" | tr '}' '\n' | awk '
    function of(key) { return match($0, "\"" key "\":[0-9a-z]+") ? substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) : "" }
    /"start"/ { print of("start"), of("length"), of("zero") }'
}
# lies MAP SIZE CONTENTS: the wrong statements of a map.
lies() {
  extents "$1" | awk -v size="$2" '{ if ($1 + 0 != reached + 0) print "gap"; reached = $1 + $2 } END { if (reached + 0 != size + 0) print "end" }'
  extents "$1" | while read -r start length zero; do
    [ "$zero" != true ] || cmp -s -n "$length" -i "$start:0" "$3" /dev/zero || echo "$start"
  done
}
"#;

/// Returns the check for a step that only reads; `None` if the divergence is not at one.
pub(super) fn of_steps(input: &ScriptInput<'_>) -> Option<Check> {
    let Operation::Chain(chain) = input.operation else {
        return None;
    };
    let subject = input.subject()?;
    let mut functions = VALUE;
    let mut text = shows(input.blame);
    for (index, step, chain_state) in chain.followed(input.context, input.observations) {
        let (prepared, test) = match step {
            ChainStep::Read if matches!(subject, Subject::IntermediateContents { .. }) => {
                match read(input, index, &chain_state, &mut text)? {
                    Some(found) => found,
                    None => continue,
                }
            }
            ChainStep::Compare { with } if matches!(subject, Subject::Compare { .. }) => {
                let Some((_, view)) = chain_state.counterpart(with) else {
                    continue;
                };
                let is_same = chain_state.model.top.shows_the_same(view);
                (String::new(), compared(index, is_same))
            }
            ChainStep::SnapshotList if is_list(subject) => {
                (String::new(), listed(index, &chain_state))
            }
            ChainStep::Info if matches!(subject, Subject::IntermediateVirtualSize { .. }) => {
                (String::new(), size_reported(index, &chain_state))
            }
            ChainStep::Info if matches!(subject, Subject::IntermediateBitmaps { .. }) => {
                (String::new(), bitmaps_reported(index, &chain_state))
            }
            ChainStep::Map { window }
                if window.ends() == 0 && matches!(subject, Subject::IntermediateMap { .. }) =>
            {
                functions = EXTENTS;
                let name = format!("expected-{index}.raw");
                let expected = input.expected(&name, &chain_state.model.contents())?;
                let size = chain_state.model.top.size;
                (
                    expected,
                    format!("[ ! \"$(lies \"$1/{index}.out\" {size} {name})\" ]"),
                )
            }
            ChainStep::Check if matches!(subject, Subject::IntermediateCheck {}) => {
                (CLEAN.to_owned(), format!("clean \"$1\" {index}"))
            }
            ChainStep::Measure { snapshot, .. }
                if matches!(subject, Subject::IntermediateRequired {}) =>
            {
                let enough = measures_enough(index, &chain_state, snapshot.as_deref());
                (String::new(), enough)
            }
            ChainStep::Measure { .. } if matches!(subject, Subject::IntermediateMeasure {}) => {
                text.push_str(&measures_differently(index));
                continue;
            }
            _ => continue,
        };
        text.push_str(&prepared);
        text.push_str(&format!(
            "as_expected() {{ {test} && echo yes || echo no; }}\n\
             shows \"$(as_expected candidate)\" \"$(as_expected reference)\" && exit 0\n"
        ));
    }
    Some(Check {
        functions,
        text,
        reads_by_candidate: false,
    })
}

/// Returns how what a step reads is checked against what a guest must see: the lines that make that, and the test. What a guest sees in an image from outside is
/// not written out: then the line that compares the sides with each other goes to `text`, and there is no such check.
fn read(
    input: &ScriptInput<'_>,
    step: usize,
    chain_state: &ChainState,
    text: &mut String,
) -> Option<Option<(String, String)>> {
    let name = format!("expected-{step}.raw");
    if let Some(expected) = input.expected(&name, &chain_state.model.contents()) {
        let test = format!("cmp -s \"$1/{step}{FLAT_SUFFIX}\" {name}");
        return Some(Some((expected, test)));
    }
    let is_apart = matches!(input.kind, DivergenceKind::Output(_, OutputAspect::Content));
    if !is_apart {
        return None;
    }
    let [ours, theirs] =
        ["candidate", "reference"].map(|side| format!("{side}/{step}{FLAT_SUFFIX}"));
    text.push_str(&format!(
        "[ -f {ours} ] && [ -f {theirs} ] && ! cmp -s {ours} {theirs} && exit 0\n"
    ));
    Some(None)
}

/// Returns a test whether a comparison found what there is.
fn compared(index: usize, is_same: bool) -> String {
    let exit = u8::from(!is_same);
    let line = index + 1;
    format!("[ \"$(sed -n {line}p \"$1/exits\")\" = {exit} ]")
}

fn is_list(subject: &Subject) -> bool {
    matches!(subject, Subject::IntermediateSnapshotsListed { .. })
}

/// Returns a test whether a measurement has room for the data. Whether it is the snapshot that was measured shows in what the reference measures.
fn measures_enough(index: usize, chain_state: &ChainState, snapshot: Option<&str>) -> String {
    let least = chain_state.measured_bytes(snapshot);
    let value = |side: &str| format!("$(value required \"{side}/{index}.out\")");
    let enough = format!("[ \"{}\" -ge {least} ]", value("$1"));
    match snapshot {
        Some(_) => format!(
            "{enough} && [ \"{}\" = \"{}\" ]",
            value("$1"),
            value("reference")
        ),
        None => enough,
    }
}

/// Returns a line that ends the script if the two sides measure a fully allocated image differently.
fn measures_differently(index: usize) -> String {
    let value = |side: &str| format!("$(value fully-allocated {side}/{index}.out)");
    let (ours, theirs) = (value("candidate"), value("reference"));
    format!("[ \"{ours}\" != \"{theirs}\" ] && exit 0\n")
}

/// Returns a function that compares with the result at the time of the finding.
pub(super) fn shows(blame: Option<Blame>) -> String {
    let pair = match blame {
        Some(Blame::Candidate) => "= \"no yes\"",
        Some(Blame::Reference) => "= \"yes no\"",
        Some(Blame::Both) => "= \"no no\"",
        Some(Blame::Unclear) | None => "!= \"yes yes\"",
    };
    format!(
        "# shows CANDIDATE REFERENCE: whether each is as expected, as it was when this was found.\n\
         shows() {{ [ \"$1 $2\" {pair} ]; }}\n"
    )
}

/// Tests the ids and names of snapshots: the first two columns of a list.
fn listed(step: usize, chain_state: &ChainState) -> String {
    let mut expected: Vec<_> = chain_state.model.snapshots.iter().collect();
    expected.sort_by_key(|(_, snapshot)| snapshot.id);
    let lines = expected
        .iter()
        .map(|(name, snapshot)| format!("{} {name}", snapshot.id));
    let lines = quoted(&lines.collect::<Vec<_>>().join("\n"));
    format!(
        "[ \"$(awk '$1 ~ /^[0-9]+$/ && NF > 1 {{ print $1, $2 }}' \"$1/{step}.out\")\" = {lines} ]"
    )
}

fn size_reported(step: usize, chain_state: &ChainState) -> String {
    let size = chain_state.model.top.size;
    format!(
        "[ \"$(sed -n 's/^\\( \\{{4\\}}\\)\\{{0,1\\}}\"virtual-size\": *\\([0-9]*\\).*/\\2/p' \"$1/{step}.out\")\" = {size} ]"
    )
}

fn bitmaps_reported(step: usize, chain_state: &ChainState) -> String {
    let expected = chain_state.model.bitmaps.iter().map(|(name, bitmap)| {
        let automatic = if bitmap.enabled { "\"auto\"" } else { "" };
        let granularity = bitmap.granularity;
        format!("\"flags\":[{automatic}],\"name\":\"{name}\",\"granularity\":{granularity}")
    });
    let expected = expected.collect::<Vec<_>>().join("\n");
    format!(
        "[ \"$(tr -d ' \\n' <\"$1/{step}.out\" | grep -o '\"flags\":[^]]*],\"name\":\"[^\"]*\",\"granularity\":[0-9]*' | sort)\" = '{expected}' ]"
    )
}
