//! What a finding is about, compared in a shell: for every kind of divergence the lines that exit 0 when it shows.
//!
//! They stand at the end of a script, in the directory that has both sides' directories, after all steps.

use crate::evidence::quoted;
use crate::exchange::{Output, Step};
use crate::request::{ImageFile, Request};
use crate::tool::FLAT_SUFFIX;
use crate::verdict::Difference;

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
const VALUES_MAX: usize = 3;

const VALUE: &str = r#"
# value KEY FILE: what stands behind every "KEY" of a JSON file.
value() {
  tr ',{}' '\n\n\n' <"$2" | sed -n "s/^[[:space:]]*\"$1\"[[:space:]]*:[[:space:]]*//p" | sed 's/[[:space:]]*$//'
}
"#;

/// The comparison for a kind; `None` when a shell cannot make it.
pub(super) fn comparison(
    kind: &str,
    steps: &[Step],
    outputs: &[Output],
    source: &ImageFile,
    differences: &[Difference],
) -> Option<Comparison> {
    let last = steps.len().checked_sub(1)?;
    let said = said(kind, steps, last, differences);
    if said.is_some() {
        return said;
    }
    let damaged = steps.iter().find_map(|step| match &step.request {
        Request::Damage { file, .. } => Some(file),
        _ => None,
    });
    let text = match kind {
        "candidate_crash" => {
            // 129 and above: ended by a signal.
            "grep -qE '^(129|1[3-9][0-9]|2[0-9][0-9])$' candidate/exits && exit 0".to_owned()
        }
        "reference_crash" => {
            "grep -qE '^(129|1[3-9][0-9]|2[0-9][0-9])$' reference/exits && exit 0".to_owned()
        }
        // Of a process that died of it; what only had more than is good shows in no exit.
        "malformed_memory_blowup" => {
            "cat candidate/exits reference/exits | grep -qE '^(129|1[3-9][0-9]|2[0-9][0-9])$' && exit 0"
                .to_owned()
        }
        "malformed_content_divergence" => {
            let flat = quoted(&format!("{}{FLAT_SUFFIX}", damaged?.path));
            format!("cmp -s candidate/{flat} reference/{flat} || exit 0")
        }
        "malformed_info_divergence" => {
            let is_told = |step: &Step| {
                matches!(
                    step.request,
                    Request::Info { .. } | Request::Measure { .. }
                )
            };
            let told = steps.iter().enumerate().filter(|(_, step)| is_told(step));
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
        "input_changed_divergence" if damaged.is_some() => {
            let name = quoted(&damaged?.path);
            ["candidate", "reference"]
                .map(|side| format!("cmp -s {side}/{name} {side}/{name}.before || exit 0"))
                .join("\n")
        }
        "candidate_timeout" => {
            "grep -qx 124 candidate/exits && ! grep -qx 124 reference/exits && exit 0".to_owned()
        }
        "input_changed_divergence" => {
            let name = quoted(&source.path);
            format!("cmp -s candidate/{name} reference/{name} || exit 0")
        }
        _ if differences
            .iter()
            .any(|found| found.what.starts_with("exit of ")) =>
        {
            "# Success on one side only.\nlasting() { sed 's/^[1-9].*/1/' \"$1/exits\"; }\n\
             [ \"$(lasting candidate)\" != \"$(lasting reference)\" ] && exit 0"
                .to_owned()
        }
        _ => return of_outputs(kind, outputs, differences),
    };
    Some(Comparison {
        text,
        reads_by_candidate: kind.starts_with("candidate_") && !outputs.is_empty(),
        ..Comparison::default()
    })
}

/// Kinds that are about what the tools say.
fn said(kind: &str, steps: &[Step], last: usize, differences: &[Difference]) -> Option<Comparison> {
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
        _ if kind.ends_with("json_parse_failure") || is_about_json(differences) => {
            format!(
                "# JSON begins and ends with brackets.\n\
                 is_json() {{ tr -d ' \\n' <\"$1\" | grep -q '^[[{{].*[]}}]$'; }}\n\
                 is_json reference/{last}.out && ! is_json candidate/{last}.out && exit 0"
            )
        }
        "info_output_divergence" if differences.iter().any(|found| found.what.contains('[')) => {
            format!(
                "told() {{ grep -v actual-size \"$1/{last}.out\"; }}\n\
                 [ \"$(told candidate)\" != \"$(told reference)\" ] && exit 0"
            )
        }
        "info_output_divergence" => values(&keys(differences)),
        "check_output_divergence" => {
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
        "map_json_shape_divergence" => format!(
            "shape() {{ tr -d ' \\n' <\"$1/{last}.out\" | cut -c 1; }}\n\
             [ \"$(shape candidate)\" != \"$(shape reference)\" ] && exit 0"
        ),
        "map_extent_count_divergence" => named(&["start", "length"]),
        "map_host_holes_divergence" => named(&["start", "length", "zero"]),
        "map_field_divergence" => values(&keys(differences)),
        "measure_numeric_divergence" => named(&["required", "fully-allocated"]),
        "measure_bitmaps_presence_divergence" => format!(
            "[ \"$(grep -c '\"bitmaps\"' candidate/{last}.out)\" != \"$(grep -c '\"bitmaps\"' reference/{last}.out)\" ] && exit 0"
        ),
        "refusal_class_divergence" | "bench_validation_divergence" => {
            differing_streams(steps, "err", " | sed 's/^[^:]*: //'")
        }
        "bench_header_divergence" => differing_streams(steps, "out", ""),
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
        let fixture = step.actor == crate::exchange::Actor::Reference;
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

fn is_about_json(differences: &[Difference]) -> bool {
    differences
        .iter()
        .any(|found| found.what.ends_with(" as JSON"))
}

/// The last names of the paths that differ, without repeats.
fn keys(differences: &[Difference]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for difference in differences {
        let key = difference.what.rsplit('.').next().unwrap_or_default();
        if keys.len() < VALUES_MAX && !keys.iter().any(|other| other == key) {
            keys.push(key.to_owned());
        }
    }
    keys
}

/// Kinds that are about the images that both sides left, as the reference sees them, or the candidate.
fn of_outputs(kind: &str, outputs: &[Output], differences: &[Difference]) -> Option<Comparison> {
    let mut text = String::new();
    let mut reads_by_candidate = false;
    for output in outputs {
        let operation = output.subject.split('_').next().unwrap_or_default();
        let aspect =
            |subject: &str| Some(kind.strip_prefix(subject)?.strip_prefix('_')?.to_owned());
        // A failed reading is named after the operation, whatever image it was.
        let failed = aspect(operation).filter(|aspect| aspect.ends_with("readback_failure"));
        let Some(aspect) = aspect(output.subject).or(failed) else {
            continue;
        };
        let name = quoted(&output.file.path);
        let flat = quoted(&format!("{}{FLAT_SUFFIX}", output.file.path));
        let format = output.file.format;
        let flatten = |side: &str| {
            format!(
                "(cd {side} && \"$reference\" convert -f {format} -O raw {name} true.raw) >/dev/null 2>&1"
            )
        };
        let both = format!(
            "{} || exit 2\n{} || exit 2\n",
            flatten("candidate"),
            flatten("reference")
        );
        let info = |side: &str| format!("(cd {side} && \"$reference\" info --output=json {name})");
        let lines = match aspect.as_str() {
            "info_divergence" => described(&info, differences),
            "info_readback_failure" => {
                let quiet = ">/dev/null 2>&1";
                format!(
                    "{} {quiet} && ! {} {quiet} && exit 0\n",
                    info("reference"),
                    info("candidate")
                )
            }
            "content_readback_failure" => {
                format!(
                    "{} && ! {} && exit 0\n",
                    flatten("reference"),
                    flatten("candidate")
                )
            }
            "check_divergence" | "check_unparseable" => {
                let check = |side: &str| {
                    format!("(cd {side} && \"$reference\" check {name}) >/dev/null 2>&1")
                };
                format!(
                    "{} && ! {} && exit 0\n",
                    check("reference"),
                    check("candidate")
                )
            }
            "reading_divergence" | "reading_refused" => {
                reads_by_candidate = true;
                format!(
                    "{} || exit 2\ncmp -s candidate/{flat} candidate/true.raw || exit 0\n",
                    flatten("candidate")
                )
            }
            aspect if aspect == output.content_aspect => {
                format!("{both}cmp -s candidate/true.raw reference/true.raw || exit 0\n")
            }
            _ => return None,
        };
        text.push_str(&lines);
    }
    (!text.is_empty()).then_some(Comparison {
        functions: "",
        text,
        reads_by_candidate,
    })
}

/// Both copies as the reference describes them, in what differs: in its JSON the indentation tells how deep a value lies.
fn described(info: &impl Fn(&str) -> String, differences: &[Difference]) -> String {
    let (candidate, reference) = (info("candidate"), info("reference"));
    let mut lines = format!(
        "{candidate} >candidate/described 2>/dev/null || exit 2\n{reference} >reference/described 2>/dev/null || exit 2\n"
    );
    if differences.iter().any(|found| found.what.contains('[')) {
        lines.push_str(
            "told() { grep -v actual-size \"$1/described\"; }\n[ \"$(told candidate)\" != \"$(told reference)\" ] && exit 0\n",
        );
        return lines;
    }
    for difference in differences.iter().take(VALUES_MAX) {
        let path: Vec<&str> = difference.what.split('.').collect();
        let indentation = " ".repeat(4 * path.len());
        let key = path.last().copied().unwrap_or_default();
        lines.push_str(&format!(
            "line() {{ grep '^{indentation}\"{key}\":' \"$1/described\" | tr -d ,; }}\n\
             [ \"$(line candidate)\" != \"$(line reference)\" ] && exit 0\n"
        ));
    }
    lines
}
