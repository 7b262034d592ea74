//! The image from outside with which a case begins, in a script: the files themselves are not in it, and the variable FROM says where they are.

use crate::case::Case;
use crate::oracle::observations::{HarnessAction, Task};
use crate::run::evidence::quoted;

/// Returns the definition of the directory with the files; empty for a case that begins with no such image.
pub(super) fn variable(case: &Case) -> String {
    let Some(from) = &case.from else {
        return String::new();
    };
    let name = from.path.file_name().unwrap_or_default().to_string_lossy();
    let plain: String = name
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || "._- ".contains(*letter))
        .collect();
    let digest = from.short();
    format!(
        "from=$(cd \"${{FROM:?set it to the directory of {plain} (digest {digest}), with which this begins}}\" && pwd) || exit 2\n"
    )
}

/// Returns the lines that give each side its copies.
pub(super) fn copies(case: &Case, index: usize) -> String {
    let steps = case.ops[index].perform().steps(&case.context(index));
    let names = steps.iter().filter_map(|step| match &step.task {
        Task::Harness(HarnessAction::Place { names, .. }) => Some(names),
        _ => None,
    });
    let lines = names.flatten().map(|name| {
        let name = quoted(name);
        format!(
            "for side in candidate reference; do cp --sparse=always \"$from\"/{name} $side/{name} && chmod u+w $side/{name} || exit 2; done\n"
        )
    });
    let lines: String = lines.collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\n# The image from outside.\n{lines}"),
    }
}
