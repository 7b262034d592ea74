//! The parts of a program that shows a finding, put together in a shell's language or in Rust's.

use super::shell::Check;

/// The parts, beside the candidate's calls.
pub(super) struct Program {
    /// The description of the divergence.
    pub(super) head: String,
    /// The lines that make the source image.
    pub(super) image: String,
    /// The function of the reference's calls; empty where the reference does nothing.
    pub(super) reference_side: String,
    /// The functions that some calls go through.
    pub(super) around: String,
    /// The comparison.
    pub(super) compared: Check,
    /// The shell commands that limit a tool's resources.
    pub(super) resources: Option<String>,
}

/// Functions of every reproducer.
const FUNCTIONS: &str = r#"
# run NAME COMMAND...: leaves its exit code in the file `exits`, its output in NAME.out and NAME.err.
run() {
  name=$1; shift
  "$@" >"$name.out" 2>"$name.err"
  code=$?
  echo "$code" | tee -a exits >"$name.code"
  # The exit codes of a shell for a program that it cannot start.
  case $code in 126 | 127) echo "cannot start $*" >&2; : >../not_started; exit 2 ;; esac
  return "$code"
}
# can_go_on: ends the script when a program could not be started.
can_go_on() { [ ! -e not_started ] || exit 2; }
"#;

/// A function that finds a tool's program.
const PROGRAM: &str = r#"
# program NAME: its path, wherever it is called from.
program() {
  found=$(command -v "$1") && [ -x "$found" ] || { echo "cannot start $1: set CANDIDATE or REFERENCE to its path" >&2; return 2; }
  case $found in /*) echo "$found" ;; *) echo "$PWD/$found" ;; esac
}
"#;

/// Prints the outputs of both sides before the comparison.
const OUTPUTS: &str = r#"
# The output of each side.
for output in candidate/*.out candidate/*.err reference/*.out reference/*.err; do
  [ -s "$output" ] && { echo "--- $output"; head -c 2000 "$output" | cat -v; }
done
"#;

const SCRATCH: &str = r#"
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" && mkdir candidate reference || exit 2
"#;

impl Program {
    fn run_reference(&self) -> &'static str {
        match self.reference_side.is_empty() {
            true => "",
            false => "(cd reference && reference_side); can_go_on\n",
        }
    }

    /// Returns the part after both sides' calls.
    fn compare(&self) -> String {
        let text = &self.compared.text;
        format!("{OUTPUTS}\n{text}\n# It does not show.\nexit 1\n")
    }

    /// Returns a shell script.
    pub(super) fn in_shell(&self, variables: &str, calls: &str) -> String {
        let Self {
            image,
            reference_side,
            around,
            ..
        } = self;
        let (head, functions) = (commented(&self.head, "# "), self.compared.functions);
        let (run_reference, compare) = (self.run_reference(), self.compare());
        format!(
            "#!/bin/sh\n{head}\n# What the candidate does.\ncandidate_side() {{\n{calls}  :\n}}\n{reference_side}\n# All below prepares and compares.\n\
             {PROGRAM}{variables}{FUNCTIONS}{functions}{SCRATCH}{around}{image}\n{run_reference}(cd candidate && candidate_side); can_go_on\n\n{compare}",
        )
    }

    /// Returns a Rust program, from a template.
    pub(super) fn in_rust(&self, template: &str, variables: &str, calls: &str) -> String {
        let Self {
            image,
            reference_side,
            around,
            ..
        } = self;
        let head = commented(&self.head, "// ")
            + "//\n// Cargo.toml, with this file as src/main.rs beside it (needs qemu-img):";
        let run_reference = self.run_reference();
        let prepare = format!(
            "{reference_side}\n{PROGRAM}{variables}{FUNCTIONS}{around}\nmkdir candidate reference || exit 2\n{image}{run_reference}exit 0\n"
        );
        let (functions, compare) = (self.compared.functions, self.compare());
        let compare = format!("{PROGRAM}{variables}{functions}\n{compare}");
        template
            .replace("@HEAD@", &head)
            .replace("@PREPARE@", &prepare)
            .replace("@COMPARE@", &compare)
            .replace("@LIMIT@", self.resources.as_deref().unwrap_or_default())
            .replace("@CALLS@", calls)
    }
}

fn commented(text: &str, mark: &str) -> String {
    let lines = text.lines().map(|line| format!("{mark}{line}"));
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}
