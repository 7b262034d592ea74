//! A check in a shell: the lines that exit 0 when a finding shows, and the functions that they call.
//!
//! Made by the files beside it, one for each sort of thing that differs; put at the end of a script, in the directory that has both sides'
//! directories, after all steps.

/// A check in a shell.
#[derive(Default)]
pub(super) struct Check {
    /// Functions that it calls.
    pub(super) functions: &'static str,
    /// Its lines.
    pub(super) text: String,
    /// Whether the candidate has to read every output before.
    pub(super) reads_by_candidate: bool,
}

impl Check {
    /// One that calls these functions.
    pub(super) fn new(functions: &'static str, text: impl Into<String>) -> Self {
        Self {
            functions,
            text: text.into(),
            reads_by_candidate: false,
        }
    }
}

/// How many differing values are compared; one is enough to see it.
pub(super) const VALUES_MAX: usize = 3;

/// What lies on disk is not shown by what tools say of it.
pub(super) const NEEDS_IMGDUEL: &str = r#"
command -v imgduel >/dev/null || { echo "cannot be shown without imgduel" >&2; exit 2; }
"#;

pub(super) const VALUE: &str = r#"
# value KEY FILE: what stands behind every "KEY" of a JSON file.
value() {
  tr ',{}' '\n\n\n' <"$2" | sed -n "s/^[[:space:]]*\"$1\"[[:space:]]*:[[:space:]]*//p" | sed 's/[[:space:]]*$//'
}
"#;

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

/// Values behind these names, of a step of this number, as each side told them: they differ.
pub(super) fn values_differ(names: &[&str], step: usize) -> String {
    let compare = names.iter().map(|name| {
        let name = crate::run::evidence::quoted(name);
        format!(
            "[ \"$(value {name} candidate/{step}.out)\" != \"$(value {name} reference/{step}.out)\" ] && exit 0\n"
        )
    });
    compare.collect()
}
