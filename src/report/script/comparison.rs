//! What a finding is about, compared in a shell: for every kind of divergence the lines that exit 0 when it shows.
//!
//! They stand at the end of a script, in the directory that has both sides' directories, after all steps.

use super::outputs::of_outputs;
use super::{About, by_hand, left, midway, witnessed};
use crate::operation::Operation;
use crate::oracle::exchange::Step;
use crate::oracle::verdict::{Difference, DivergenceKind, OutputAspect, Subject};
use crate::run::evidence::quoted;
use crate::tool::FLAT_SUFFIX;
use crate::tool::request::Request;

/// The comparison of one kind.
#[derive(Default)]
pub(super) struct Comparison {
    /// Functions that it calls.
    pub(super) functions: &'static str,
    /// Its lines.
    pub(super) text: String,
    /// Whether the candidate has to read every output before.
    pub(super) reads_by_candidate: bool,
}

/// How many differing values are compared; one is enough to see it.
pub(super) const VALUES_MAX: usize = 3;

pub(super) const VALUE: &str = r#"
# value KEY FILE: what stands behind every "KEY" of a JSON file.
value() {
  tr ',{}' '\n\n\n' <"$2" | sed -n "s/^[[:space:]]*\"$1\"[[:space:]]*:[[:space:]]*//p" | sed 's/[[:space:]]*$//'
}
"#;

/// The comparison for a finding; `None` when a shell cannot make it.
pub(super) fn comparison(about: &About<'_>) -> Option<Comparison> {
    let About {
        kind, differences, ..
    } = *about;
    let last = about.steps.len().checked_sub(1)?;
    let found = witnessed::of_witness(about)
        .or_else(|| midway::of_acts(about))
        .or_else(|| left::of_what_is_left(about))
        .or_else(|| repaired(about))
        .or_else(|| by_hand::of_host_clusters(about))
        .or_else(|| said(kind, about.steps, last, differences));
    if found.is_some() {
        return found;
    }
    let damaged = about.steps.iter().find_map(|step| match &step.request {
        Request::Damage { file, .. } => Some(file),
        _ => None,
    });
    let text = match kind {
        DivergenceKind::CandidateCrash => {
            // 129 and above: ended by a signal.
            "grep -qE '^(129|1[3-9][0-9]|2[0-9][0-9])$' candidate/exits && exit 0".to_owned()
        }
        DivergenceKind::ReferenceCrash => {
            "grep -qE '^(129|1[3-9][0-9]|2[0-9][0-9])$' reference/exits && exit 0".to_owned()
        }
        // One that has more than is good shows where it does not get it: by its words, or by its end.
        DivergenceKind::MalformedMemory if is_about_a_peak(differences) => {
            "grep -qiE 'memory|allocat' candidate/*.err reference/*.err && exit 0\n\
             cat candidate/exits reference/exits | grep -qE '^(129|1[3-9][0-9]|2[0-9][0-9])$' && exit 0"
                .to_owned()
        }
        DivergenceKind::MalformedMemory => {
            "cat candidate/exits reference/exits | grep -qE '^(129|1[3-9][0-9]|2[0-9][0-9])$' && exit 0"
                .to_owned()
        }
        DivergenceKind::MalformedContent => {
            // Each reading is kept under its step's number; one that a side refused is no other content.
            let readings = about.steps.iter().enumerate();
            let readings = readings
                .filter(|(_, step)| matches!(step.request, Request::Contents { .. }))
                .map(|(name, _)| format!("{name}{FLAT_SUFFIX}"));
            let compare = readings.map(|flat| {
                format!(
                    "[ -f candidate/{flat} ] && [ -f reference/{flat} ] && {{ cmp -s candidate/{flat} reference/{flat} || exit 0; }}"
                )
            });
            compare.collect::<Vec<_>>().join("\n")
        }
        DivergenceKind::MalformedInfo => {
            let is_told = |step: &Step| {
                matches!(
                    step.request,
                    Request::Info { .. } | Request::Measure { .. }
                )
            };
            let told = about.steps.iter().enumerate().filter(|(_, step)| is_told(step));
            let key = keys(differences).into_iter().next()?;
            let compare = told.map(|(name, _)| {
                format!(
                    "[ \"$(value {key} candidate/{name}.out)\" != \"$(value {key} reference/{name}.out)\" ] && exit 0\n"
                )
            });
            return Some(Comparison {
                functions: VALUE,
                text: compare.collect(),
                ..Comparison::default()
            });
        }
        DivergenceKind::InputChanged if damaged.is_some() => {
            let name = quoted(&damaged?.path);
            ["candidate", "reference"]
                .map(|side| format!("cmp -s {side}/{name} {side}/{name}.before || exit 0"))
                .join("\n")
        }
        DivergenceKind::CandidateTimeout => {
            "grep -qx 124 candidate/exits && ! grep -qx 124 reference/exits && exit 0".to_owned()
        }
        DivergenceKind::InputChanged => {
            let name = quoted(&about.source.path);
            format!("cmp -s candidate/{name} reference/{name} || exit 0")
        }
        DivergenceKind::RecipeExit => "# Both refuse what nothing stands against.\n\
             refused() { [ \"$(tail -n 1 \"$1/exits\")\" != 0 ]; }\n\
             refused candidate && refused reference && exit 0"
            .to_owned(),
        _ if differences
            .iter()
            .any(|found| found.subject.is_exit()) =>
        {
            "# Success on one side only.\nlasting() { sed 's/^[1-9].*/1/' \"$1/exits\"; }\n\
             [ \"$(lasting candidate)\" != \"$(lasting reference)\" ] && exit 0"
                .to_owned()
        }
        _ => return of_outputs(about),
    };
    let is_of_an_exit = matches!(
        kind,
        DivergenceKind::CandidateCrash
            | DivergenceKind::CandidateTimeout
            | DivergenceKind::CandidateLimit
    );
    Some(Comparison {
        text,
        reads_by_candidate: is_of_an_exit && !about.outputs.is_empty(),
        ..Comparison::default()
    })
}

/// What came of a repair: check, repair, check and reading are the last steps.
fn repaired(about: &About<'_>) -> Option<Comparison> {
    let Operation::Repair(repair) = about.operation else {
        return None;
    };
    let last = about.steps.len().checked_sub(1)?;
    let (before, after) = (last.checked_sub(3)?, last - 1);
    let flat = format!("{last}{FLAT_SUFFIX}");
    let text = match about.kind {
        DivergenceKind::RepairSafety => format!(
            "is_told() {{ grep -q '\"check-errors\"' \"$1\"; }}\n\
             is_told candidate/{before}.out || exit 2\nis_told candidate/{after}.out || exit 0\n\
             count() {{ value \"$1\" \"candidate/$2.out\" | grep . || echo 0; }}\n\
             for key in corruptions leaks check-errors; do\n  \
             [ \"$(count $key {after})\" -gt \"$(count $key {before})\" ] && exit 0\ndone\n"
        ),
        DivergenceKind::RepairCompleteness => format!("{CLEAN}clean candidate {after} || exit 0\n"),
        DivergenceKind::RepairData | DivergenceKind::RepairRecipe => {
            let expected = about.expected("expected.raw", &repair.expected())?;
            format!("{expected}cmp -s candidate/{flat} expected.raw || exit 0\n")
        }
        _ => return None,
    };
    Some(Comparison {
        functions: VALUE,
        text,
        reads_by_candidate: false,
    })
}

/// Whether the check that was a side's step NAME found nothing.
pub(super) const CLEAN: &str = r#"# clean SIDE NAME: whether a check found nothing.
clean() {
  grep -q '"check-errors"' "$1/$2.out" || return
  for key in corruptions leaks check-errors; do
    [ "$(value $key "$1/$2.out" | grep -v '^0$')" ] && return 1
  done
  return 0
}
"#;

/// Kinds that are about what the tools say.
fn said(
    kind: DivergenceKind,
    steps: &[Step],
    last: usize,
    differences: &[Difference],
) -> Option<Comparison> {
    let values = |names: &[String]| {
        let compare = names.iter().map(|name| {
            let name = quoted(name);
            format!(
                "[ \"$(value {name} candidate/{last}.out)\" != \"$(value {name} reference/{last}.out)\" ] && exit 0\n"
            )
        });
        compare.collect::<String>()
    };
    let named = |names: &[&str]| {
        values(
            &names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        )
    };
    let text = match kind {
        _ if differences
            .iter()
            .any(|found| found.reference == "not asked") =>
        {
            return None;
        }
        _ if is_no_json(kind) || is_about_json(differences) => {
            format!(
                "# JSON begins and ends with brackets.\n\
                 is_json() {{ tr -d ' \\n' <\"$1\" | grep -q '^[[{{].*[]}}]$'; }}\n\
                 is_json reference/{last}.out && ! is_json candidate/{last}.out && exit 0"
            )
        }
        DivergenceKind::InfoOutput if has_index(differences) => {
            format!(
                "# However it is laid out.\n\
                 told() {{ tr ',{{}}[]' '\\n\\n\\n\\n\\n' <\"$1/{last}.out\" | tr -d ' ' | grep -v -e '^$' -e actual-size | sort; }}\n\
                 [ \"$(told candidate)\" != \"$(told reference)\" ] && exit 0"
            )
        }
        DivergenceKind::InfoOutput => values(&keys(differences)),
        DivergenceKind::CheckOutput => {
            return Some(Comparison {
                functions: VALUE,
                text: format!(
                    "# What is not told was not found.\n\
                     counts() {{ for key in corruptions leaks check-errors; do echo \"$key $(value $key \"$1/{last}.out\")\"; done | sed 's/ 0$/ /'; }}\n\
                     [ \"$(counts candidate)\" != \"$(counts reference)\" ] && exit 0"
                ),
                ..Comparison::default()
            });
        }
        DivergenceKind::MapShape => format!(
            "shape() {{ tr -d ' \\n' <\"$1/{last}.out\" | cut -c 1; }}\n\
             [ \"$(shape candidate)\" != \"$(shape reference)\" ] && exit 0"
        ),
        DivergenceKind::MapExtentCount => named(&["start", "length"]),
        DivergenceKind::MapHostHoles => named(&["start", "length", "zero"]),
        DivergenceKind::MapField => values(&keys(differences)),
        DivergenceKind::MeasureNumeric => named(&["required", "fully-allocated"]),
        DivergenceKind::MeasureBitmaps => format!(
            "[ \"$(grep -c '\"bitmaps\"' candidate/{last}.out)\" != \"$(grep -c '\"bitmaps\"' reference/{last}.out)\" ] && exit 0"
        ),
        DivergenceKind::RefusalClass | DivergenceKind::BenchValidation => {
            differing_streams(steps, "err", " | sed 's/^[^:]*: //'")
        }
        DivergenceKind::BenchHeader => differing_streams(steps, "out", ""),
        _ => return None,
    };
    Some(Comparison {
        functions: if text.contains("$(value ") { VALUE } else { "" },
        text,
        reads_by_candidate: false,
    })
}

/// The first lines of what was said in any of the operation's own steps.
fn differing_streams(steps: &[Step], stream: &str, filter: &str) -> String {
    let own = steps.iter().enumerate().filter(|(_, step)| {
        let fixture = step.actor == crate::oracle::exchange::Actor::Reference;
        !fixture
    });
    let compare = own.map(|(name, _)| {
        format!(
            "if [ -e candidate/{name}.{stream} ] && [ -e reference/{name}.{stream} ]; then\n  \
             first() {{ head -n 1 \"$1/{name}.{stream}\"{filter}; }}\n  \
             [ \"$(first candidate)\" != \"$(first reference)\" ] && exit 0\nfi\n"
        )
    });
    compare.collect()
}

/// Whether a tool had more memory than any may have, and did not die of it.
pub(super) fn is_about_a_peak(differences: &[Difference]) -> bool {
    differences.iter().any(|found| {
        let values = [&found.candidate, &found.reference];
        values.iter().any(|value| value.ends_with(" bytes at once"))
    })
}

fn is_no_json(kind: DivergenceKind) -> bool {
    matches!(
        kind,
        DivergenceKind::MapJson
            | DivergenceKind::MeasureJson
            | DivergenceKind::Output(_, OutputAspect::InfoJson)
    )
}

fn is_about_json(differences: &[Difference]) -> bool {
    differences
        .iter()
        .any(|found| matches!(found.subject, Subject::OutputAsJson { .. }))
}

/// Whether something differs within a list.
pub(super) fn has_index(differences: &[Difference]) -> bool {
    differences
        .iter()
        .any(|found| matches!(&found.subject, Subject::JsonValue { path } if path.has_index()))
}

/// The last names of the paths that differ, without repeats.
fn keys(differences: &[Difference]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let paths = differences.iter().filter_map(|found| match &found.subject {
        Subject::JsonValue { path } => path.last_key(),
        _ => None,
    });
    for key in paths {
        if keys.len() < VALUES_MAX && !keys.iter().any(|other| other == key) {
            keys.push(key.to_owned());
        }
    }
    keys
}
