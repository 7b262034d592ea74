//! A finding as a program that shows it: a POSIX shell script of the tools' own command lines, or a small Rust program where
//! the candidate is a library. It exits 0 when the divergence shows, 1 when it does not, 2 when it could not be tried.
//!
//! Made of the diverging operation's steps and of what the finding is about; runs nothing. Whoever gets it needs nothing but
//! the tools: it does not tell where it comes from. Called by the command.

use std::time::Duration;

use crate::case::Case;
use crate::error::{Error, Result};
use crate::evidence::{quoted, shell_line};
use crate::exchange::{Actor, Exchange, Output, Rule, Side, Step};
use crate::record::Record;
use crate::request::{ImageFile, Request};
use crate::tool::{Support, Tool, Wording};
use comparison::comparison;

mod comparison;

/// Beyond its own limit a call is given no time at all by a script about timeouts, in seconds.
const LIMIT_MIN_SECONDS: u64 = 1;

/// What a script is made of.
struct Plot<'tools> {
    case: &'tools Case,
    /// The operation's place in the case.
    index: usize,
    candidate: &'tools dyn Tool,
    reference: &'tools dyn Tool,
    /// The program that is run with a limit, when the finding is about time.
    timeout: Option<String>,
    /// The command line that damages the image, as it was found out when it was done.
    damage: Option<String>,
}

fn damage(record: &Record) -> Option<String> {
    let mut calls = record.evidence.as_ref()?.calls.iter();
    let call = calls.find(|call| call.request == "damage")?;
    Some(shell_line(&call.command))
}

/// The program that shows a record's divergence. `limit` is the time that a tool was given.
pub fn script(
    record: &Record,
    candidate: &dyn Tool,
    reference: &dyn Tool,
    limit: Duration,
) -> Result<String> {
    let none = |why: &str| {
        let what = record.reason.as_deref().unwrap_or(record.verdict);
        Error::usage(format!("{} has no script: {why} ({what})", record.id))
    };
    let (Some(index), Some(kind), "divergence") = (
        record.operation_index,
        record.kind.as_deref(),
        record.verdict,
    ) else {
        return Err(none("it shows no divergence"));
    };
    let seconds = limit.as_secs().max(LIMIT_MIN_SECONDS);
    let plot = Plot {
        case: record.case_shown(),
        index,
        candidate,
        reference,
        timeout: (kind == "candidate_timeout").then(|| format!("timeout {seconds} ")),
        damage: damage(record),
    };
    let ground = record.case_shown().ground(index);
    let operation = record.case_shown().ops[index].perform();
    // What the harness does to an image by itself has no command line; where it only looks, the script does without.
    let mut steps = operation.steps(&ground);
    if kind == "input_changed_divergence" {
        // What changes the image on purpose comes after.
        let is_look = |step: &Step| matches!(step.request, Request::Untouched { .. });
        let end = steps.iter().position(is_look);
        steps.truncate(end.unwrap_or(steps.len()));
    }
    if steps
        .iter()
        .any(|step| matches!(step.request, Request::Corrupt { .. }))
    {
        return Err(none("the image is damaged by hand before"));
    }
    steps.retain(|step| step.actor != Actor::Harness);
    // A look that the finding is not about may be left out where a tool has no words for it.
    steps.retain(|step| {
        let is_worded = |side| {
            let tool = plot.tool(plot.actor(side, step));
            tool.wording(&step.request).is_some()
        };
        step.rule != Rule::Free
            || [Side::Candidate, Side::Reference]
                .into_iter()
                .all(is_worded)
    });
    let outputs = operation.outputs(&ground, &Exchange::default());
    let differences = record.evidence.as_ref();
    let differences = differences.map_or(&[][..], |evidence| &evidence.differences);
    let compared = comparison(kind, &steps, &outputs, &ground.source, differences)
        .ok_or_else(|| none("what it is about cannot be compared in a shell"))?;
    let unworded = || none("a tool has no words for a step of it");
    let head = head(record);
    let prepared = plot.prepared(&steps).ok_or_else(unworded)?;
    let readings = if compared.reads_by_candidate {
        plot.candidate_readings(&outputs)
    } else {
        Vec::new()
    };
    let calls = plot
        .side(Side::Candidate, &steps, &readings)
        .ok_or_else(unworded)?;
    let functions = compared.functions;
    let compare = format!("{}\n# It does not show.\nexit 1\n", compared.text);
    match calls {
        Calls::Shell(calls) => Ok(format!(
            "#!/bin/sh\n{}{}{FUNCTIONS}{functions}{SCRATCH}{prepared}\n# The candidate's side.\ncandidate_side() {{\n{calls}  :\n}}\n\
             (cd candidate && candidate_side)\n\n{compare}",
            commented(&head, "# "),
            plot.variables(true),
        )),
        Calls::Rust { template, calls } => {
            let variables = plot.variables(false);
            let head = commented(&head, "// ")
                + "//\n// Cargo.toml, with this file as src/main.rs beside it (needs qemu-img):";
            let prepare = format!(
                "{variables}{FUNCTIONS}\nmkdir candidate reference || exit 2\n{prepared}exit 0\n"
            );
            let compare = format!("{variables}{functions}\n{compare}");
            Ok(template
                .replace("@HEAD@", &head)
                .replace("@PREPARE@", &prepare)
                .replace("@COMPARE@", &compare)
                .replace("@CALLS@", &calls))
        }
    }
}

/// What every script needs.
const FUNCTIONS: &str = r#"
# run NAME COMMAND...: leaves its exit code in the file `exits`, what it says in NAME.out and NAME.err.
run() {
  name=$1; shift
  "$@" >"$name.out" 2>"$name.err"
  code=$?
  echo "$code" >>exits
  return "$code"
}
"#;

const SCRATCH: &str = r#"
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" && mkdir candidate reference || exit 2
"#;

/// The candidate's calls, in the language they are made in.
enum Calls {
    Shell(String),
    Rust {
        template: &'static str,
        calls: String,
    },
}

fn head(record: &Record) -> String {
    let kind = record.kind.as_deref().unwrap_or_default();
    let operation = record.operation.as_deref().unwrap_or_default();
    format!(
        "{} ({kind})\n{}\n\nSeen with {} {} against {} {}.\nExits 0 when it shows, 1 when it does not, 2 when it could not be tried.\n",
        operation,
        record.reason.as_deref().unwrap_or_default(),
        record.candidate.name,
        record.candidate.version,
        record.reference.name,
        record.reference.version,
    )
}

fn commented(text: &str, mark: &str) -> String {
    let lines = text.lines().map(|line| format!("{mark}{line}"));
    lines.map(|line| format!("{}\n", line.trim_end())).collect()
}

impl Plot<'_> {
    fn variables(&self, has_candidate: bool) -> String {
        let path = |tool: &dyn Tool| {
            let program = tool.program().map(|program| program.display().to_string());
            quoted(&program.unwrap_or_else(|| tool.name().to_owned()))
        };
        let reference = format!("reference=${{REFERENCE:-{}}}\n", path(self.reference));
        if !has_candidate {
            return format!("export LC_ALL=C TZ=UTC\n{reference}");
        }
        let candidate = format!("candidate=${{CANDIDATE:-{}}}\n", path(self.candidate));
        format!("\nexport LC_ALL=C TZ=UTC\n{candidate}{reference}")
    }

    /// The source image on both sides, and everything on the reference's.
    fn prepared(&self, steps: &[Step]) -> Option<String> {
        let mut text = String::new();
        let ground = self.case.ground(self.index);
        if self.case.ops[self.index].perform().reads_source() {
            let recipe = &self.case.image;
            let file = || ground.source.clone();
            let mut requests = vec![Request::Create {
                file: file(),
                size: recipe.virtual_size.clone(),
            }];
            let writes = recipe.all_writes();
            if !writes.is_empty() {
                requests.push(Request::Write {
                    file: file(),
                    writes,
                });
            }
            text.push_str("\n# The image.\n");
            for request in &requests {
                let line = self.line(Side::Reference, request)?;
                text.push_str(&format!("(cd reference && {line}) >/dev/null || exit 2\n"));
            }
            let name = quoted(&ground.source.path);
            text.push_str(&format!(
                "cp --sparse=always reference/{name} candidate/ && cp candidate/{name} reference/ || exit 2\n"
            ));
        }
        let Calls::Shell(calls) = self.side(Side::Reference, steps, &[])? else {
            return None;
        };
        text.push_str(&format!(
            "\n# The reference's side.\nreference_side() {{\n{calls}  :\n}}\n(cd reference && reference_side)\n"
        ));
        Some(text)
    }

    /// A side's steps, each with how the next one depends on it, and whatever is looked at after them.
    fn side(&self, side: Side, steps: &[Step], readings: &[Request]) -> Option<Calls> {
        let mut shell = String::new();
        let mut rust = String::new();
        let mut found = None;
        let steps = steps.iter().map(|step| {
            let or_stop = step.rule == Rule::Agree;
            (self.actor(side, step), &step.request, or_stop)
        });
        let readings = readings.iter().map(|request| (side, request, false));
        for (name, (by, request, or_stop)) in steps.chain(readings).enumerate() {
            let stop = if or_stop { " || return" } else { "" };
            if let Request::Damage { file, .. } = request {
                let file = quoted(&file.path);
                let line = format!("{} && cp {file} {file}.before", self.damage.clone()?);
                shell.push_str(&format!("  {line}{stop}\n"));
                rust.push_str(&format!("    by_shell(\"{name}\", r##\"{line}\"##)?;\n"));
                continue;
            }
            match self.tool(by).wording(request)? {
                Wording::CommandLine(_) => {
                    let limit = self.timeout.as_deref().unwrap_or_default();
                    let line = self.line(by, request)?;
                    shell.push_str(&format!("  run {name} {limit}{line}{stop}\n"));
                    let line = line.replace("\"$reference\"", &self.reference_path());
                    let mark = if or_stop { "?" } else { "" };
                    rust.push_str(&format!(
                        "    by_shell(\"{name}\", r##\"{line}\"##){mark};\n"
                    ));
                }
                Wording::RustCall { template, call } => {
                    found = Some(template);
                    let mark = if or_stop { "?" } else { "" };
                    rust.push_str(&format!("    run(\"{name}\", || {call}){mark};\n"));
                }
            }
        }
        Some(match found {
            Some(template) => Calls::Rust {
                template,
                calls: rust,
            },
            None => Calls::Shell(shell),
        })
    }

    /// The candidate's reading of every output, where it can read it.
    fn candidate_readings(&self, outputs: &[Output]) -> Vec<Request> {
        let file = |output: &Output| ImageFile::clone(&output.file);
        let contents = outputs
            .iter()
            .map(|output| Request::Contents { file: file(output) });
        contents
            .filter(|request| self.candidate.support(request) == Support::Yes)
            .collect()
    }

    fn actor(&self, side: Side, step: &Step) -> Side {
        match step.actor {
            Actor::Side => side,
            Actor::SideOrReference if self.tool(side).support(&step.request) == Support::Yes => {
                side
            }
            _ => Side::Reference,
        }
    }

    fn tool(&self, by: Side) -> &dyn Tool {
        match by {
            Side::Candidate => self.candidate,
            Side::Reference => self.reference,
        }
    }

    fn reference_path(&self) -> String {
        let program = self.reference.program();
        quoted(&program.map_or_else(|| "qemu-img".to_owned(), |path| path.display().to_string()))
    }

    /// A command line with the tool's own program as a variable.
    fn line(&self, by: Side, request: &Request) -> Option<String> {
        let tool = self.tool(by);
        let Wording::CommandLine(words) = tool.wording(request)? else {
            return None;
        };
        let (program, arguments) = words.split_first()?;
        let own = tool.program().map(|program| program.display().to_string());
        let program = match own.as_ref() == Some(program) {
            true => format!("\"${}\"", by.name()),
            false => quoted(program),
        };
        let arguments = arguments.iter().map(|word| quoted(word));
        Some(
            std::iter::once(program)
                .chain(arguments)
                .collect::<Vec<_>>()
                .join(" "),
        )
    }
}
