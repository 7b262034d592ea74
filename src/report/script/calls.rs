//! The calls of a side in a reproducer, in shell or in Rust.
//!
//! Used to assemble the reproducer; the comparison is elsewhere.

use super::{ScriptContext, adapters, by_hand};
use crate::oracle::observations::{HarnessAction, Output, Side, Step, Task};
use crate::report::script::final_state::WATCH;
use crate::run::evidence::quoted;
use crate::tool::request::{ImageFile, Request};
use crate::tool::{FLAT_SUFFIX, Reproducer, Support};

/// The candidate's calls, in the language of the reproducer.
pub(super) enum Calls {
    Shell(String),
    Adapter {
        command: Vec<String>,
        calls: String,
    },
    Rust {
        template: &'static str,
        calls: String,
    },
}

/// The code before and after a call: whether its failure ends the side, and whether it watches files. Files are
/// compared even after a call that fails.
struct Around {
    shell: (&'static str, String),
    rust: (&'static str, String),
}

impl Around {
    fn step(name: usize, is_watched: bool, or_stop: bool) -> Self {
        if !is_watched {
            let (stop, mark) = if or_stop {
                (" || return", "?")
            } else {
                ("", "")
            };
            return Self {
                shell: ("", stop.to_owned()),
                rust: ("", mark.to_owned()),
            };
        }
        let (stop, mark) = match or_stop {
            true => ("; [ \"$code\" = 0 ] || return", "; done?"),
            false => ("", ""),
        };
        Self {
            shell: ("watch; ", format!("; touched {name}{stop}")),
            rust: (
                match or_stop {
                    true => "watching(\"watch\"); let done = ",
                    false => "watching(\"watch\"); ",
                },
                format!("; watching(\"touched {name}\"){mark}"),
            ),
        }
    }
}

impl ScriptContext<'_> {
    /// Returns the calls of a side's steps and of the inspections after them.
    pub(super) fn side(&self, side: Side, steps: &[Step], readings: &[Request]) -> Option<Calls> {
        let mut shell = String::new();
        let mut rust = match self.is_watched {
            true => format!(
                "    let watching = |what: &str| {{ let _ = shell(&format!(\"{{}}{{what}}\", r##\"{WATCH}\"##)); }};\n"
            ),
            false => String::new(),
        };
        let (mut found, mut adapter) = (None, None);
        let steps = steps.iter().map(|step| {
            (
                self.executor(side, step),
                step.task.clone(),
                step.rule.ends(),
            )
        });
        let places = steps.len();
        let readings = readings
            .iter()
            .map(|request| (side, Task::Tool(request.clone()), false));
        for (name, (by, task, or_stop)) in steps.chain(readings).enumerate() {
            let stop = if or_stop { " || return" } else { "" };
            if let Task::Harness(HarnessAction::Damage { file, .. }) = &task {
                let file = quoted(&file.path);
                let line = format!("{} && cp {file} {file}.before", self.damage.clone()?);
                shell.push_str(&format!("  {line}{stop}\n"));
                rust.push_str(&format!("    by_shell(\"{name}\", r##\"{line}\"##)?;\n"));
                continue;
            }
            let request = match &task {
                Task::Tool(request) => request,
                Task::Harness(action) => {
                    let line = by_hand::line(action, name, self.damage.as_deref())?;
                    shell.push_str(&format!("  {line}\n"));
                    continue;
                }
            };
            // The contents that a step reads are kept under the step's number.
            let flat = match request {
                Request::Contents { file } if name < places => {
                    Some(file.path.clone() + FLAT_SUFFIX)
                }
                _ => None,
            };
            let is_watched = self.is_watched && name < places;
            let around = Around::step(name, is_watched, or_stop);
            match self.tool(by).wording(request)? {
                Reproducer::CommandLine(_) => {
                    let limit = self.limit.as_deref().unwrap_or_default();
                    let line = self.line(by, request)?;
                    let (before, after) = &around.shell;
                    shell.push_str(&format!("  {before}run {name} {limit}{line}{after}\n"));
                    let io = self.writing_program(Side::Reference).unwrap_or_default();
                    let line = line
                        .replace("\"$reference\"", &quoted(&self.program(Side::Reference)))
                        .replace("\"$reference_io\"", &quoted(&io));
                    let (before, after) = &around.rust;
                    rust.push_str(&format!(
                        "    {before}by_shell(\"{name}\", r##\"{line}\"##){after};\n"
                    ));
                }
                Reproducer::AdapterLine { command, line } => {
                    adapter = Some(command);
                    let call = adapters::call(request, &line);
                    let (before, after) = &around.shell;
                    shell.push_str(&format!("  {before}run {name} {call}{after}\n"));
                }
                Reproducer::RustCall { template, call } => {
                    found = Some(template);
                    let (before, after) = &around.rust;
                    rust.push_str(&format!("    {before}run(\"{name}\", || {call}){after};\n"));
                }
            }
            if let Some(flat) = flat {
                let quoted = quoted(&flat);
                shell.push_str(&format!("  mv {quoted} {name}{FLAT_SUFFIX}\n"));
                rust.push_str(&format!(
                    "    let _ = std::fs::rename({flat:?}, \"{name}{FLAT_SUFFIX}\");\n"
                ));
            }
        }
        Some(match (found, adapter) {
            (Some(template), _) => Calls::Rust {
                template,
                calls: rust,
            },
            (None, Some(command)) => Calls::Adapter {
                command,
                calls: shell,
            },
            (None, None) => Calls::Shell(shell),
        })
    }

    /// Returns the candidate's requests that read every output, if it supports them: of its own copy, and of the
    /// reference's.
    pub(super) fn candidate_readings(&self, outputs: &[Output]) -> Vec<Request> {
        let there = |output: &Output| ImageFile {
            path: format!("../reference/{}", output.file.path),
            ..output.file.clone()
        };
        let files = outputs
            .iter()
            .flat_map(|output| [output.file.clone(), there(output)]);
        let contents = files.map(|file| Request::Contents { file });
        contents
            .filter(|request| self.candidate.support(request) == Support::Yes)
            .collect()
    }
}
