//! A check in a shell: the lines that exit 0 if the divergence shows, and the functions that they call.
//!
//! The neighbouring files make them, one file for each group of subjects. The check stands at the end of a script,
//! after all steps, in the directory that has both sides' directories.

/// A check in a shell.
#[derive(Default)]
pub(super) struct Check {
    /// The functions that it calls.
    pub(super) functions: &'static str,
    /// The lines.
    pub(super) text: String,
    /// Whether the candidate must read every output before it.
    pub(super) reads_by_candidate: bool,
}

impl Check {
    /// Returns a check that calls these functions.
    pub(super) fn new(functions: &'static str, text: impl Into<String>) -> Self {
        Self {
            functions,
            text: text.into(),
            reads_by_candidate: false,
        }
    }
}

/// The maximum number of differing values that are compared; one is enough to show the divergence.
pub(super) const VALUES_MAX: usize = 3;

/// Metadata on disk cannot be seen in the tools' outputs.
pub(super) const NEEDS_IMGDUEL: &str = r#"
command -v imgduel >/dev/null || { echo "cannot be shown without imgduel" >&2; exit 2; }
"#;

pub(super) const VALUE: &str = r#"
# value KEY FILE: what stands behind every "KEY" of a JSON file.
value() {
  tr ',{}' '\n\n\n' <"$2" | sed -n "s/^[[:space:]]*\"$1\"[[:space:]]*:[[:space:]]*//p" | sed "s,$PWD/candidate/,@DIRECTORY@/,; s,$PWD/reference/,@DIRECTORY@/,; s/[[:space:]]*$//"
}
"#;

/// Whether the check in the step NAME of a side found nothing.
pub(super) const CLEAN: &str = r#"# clean SIDE NAME: whether a check found nothing.
clean() {
  grep -q '"check-errors"' "$1/$2.out" || return
  for key in corruptions leaks check-errors; do
    [ "$(value $key "$1/$2.out" | grep -v '^0$')" ] && return 1
  done
  return 0
}
"#;

/// Returns the lines that compare the values of these keys in a step's outputs.
pub(super) fn values_differ(names: &[&str], step: usize) -> String {
    let compare = names.iter().map(|name| {
        let name = crate::run::evidence::quoted(name);
        format!(
            "[ \"$(value {name} candidate/{step}.out)\" != \"$(value {name} reference/{step}.out)\" ] && exit 0\n"
        )
    });
    compare.collect()
}
