//! The calls of a side in a reproducer, in shell or in Rust.
//!
//! Used to assemble the reproducer; the comparison is elsewhere.

use super::{ScriptContext, adapters, harness_steps, sessions};
use crate::oracle::observations::{Executor, HarnessAction, Output, Side, Step, Task};
use crate::report::script::final_state::WATCH;
use crate::run::evidence::quoted;
use crate::tool::request::{DataFile, ImageFile, Request, directory_of};
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

/// The lines of a side's calls as far as they are written, in both languages.
struct Lines {
    shell: String,
    rust: String,
    /// The program around the calls in Rust, once there is one.
    template: Option<&'static str>,
    /// The adapter's command, once it is called.
    adapter: Option<Vec<String>>,
}

impl Lines {
    fn new(is_watched: bool) -> Self {
        let rust = match is_watched {
            true => format!(
                "    let watching = |what: &str| {{ let _ = shell(&format!(\"{{}}{{what}}\", r##\"{WATCH}\"##)); }};\n"
            ),
            false => String::new(),
        };
        Self {
            shell: String::new(),
            rust,
            template: None,
            adapter: None,
        }
    }

    fn in_shell(&mut self, line: &str) {
        self.shell.push_str(&format!("  {line}\n"));
    }

    fn in_rust(&mut self, line: &str) {
        self.rust.push_str(&format!("    {line}\n"));
    }

    fn done(self) -> Calls {
        let Self { shell, rust, .. } = self;
        match (self.template, self.adapter) {
            (Some(template), _) => Calls::Rust {
                template,
                calls: rust,
            },
            (None, Some(command)) => Calls::Adapter {
                command,
                calls: shell,
            },
            (None, None) => Calls::Shell(shell),
        }
    }
}

impl ScriptContext<'_> {
    /// Returns the calls of a side's steps and of the inspections after them.
    pub(super) fn side(&self, side: Side, steps: &[Step], readings: &[Request]) -> Option<Calls> {
        let mut lines = Lines::new(self.is_watched);
        for (name, step) in steps.iter().enumerate() {
            let or_stop = step.expected_exit.ends();
            if self.is_left_out(side, step) {
                continue;
            }
            match &step.task {
                Task::Harness(HarnessAction::Damage { file, .. }) => {
                    let file = quoted(&file.path);
                    let line = format!("{} && cp {file} {file}.before", self.damage.clone()?);
                    let stop = if or_stop { " || return" } else { "" };
                    lines.in_shell(&format!("{line}{stop}"));
                    lines.in_rust(&format!("by_shell(\"{name}\", r##\"{line}\"##)?;"));
                }
                // The files are copied before.
                Task::Harness(HarnessAction::Place { .. }) => {}
                Task::Harness(HarnessAction::Fault { request, fault, .. }) => {
                    let call = self.faulty_call(name, side, request, *fault)?;
                    lines.shell.push_str(&call);
                }
                Task::Harness(action) => {
                    lines.in_shell(&harness_steps::line(action, name, self.damage.as_deref())?);
                }
                Task::Tool(request) => {
                    let around = Around::step(name, self.is_watched, or_stop);
                    let by = self.executor(side, step);
                    self.call(&mut lines, name, by, request, &around)?;
                    if let Request::Contents { file } = request {
                        keep(&mut lines, name, file);
                    }
                }
            }
        }
        for (place, request) in readings.iter().enumerate() {
            let around = Around::step(steps.len() + place, false, false);
            self.call(&mut lines, steps.len() + place, side, request, &around)?;
        }
        Some(lines.done())
    }

    /// Whether nobody performs a step on this side, or not by a line, or the script prepares what it does.
    fn is_left_out(&self, side: Side, step: &Step) -> bool {
        match &step.task {
            Task::Harness(action) => matches!(
                action,
                HarnessAction::WriteImage { .. } | HarnessAction::Unchanged { .. }
            ),
            Task::Tool(request) => {
                let tool = self.tool(side);
                step.executor == Executor::SideIfAble
                    && (tool.support(request) != Support::Yes || tool.reproducer(request).is_none())
            }
        }
    }

    /// Adds the call of a request.
    fn call(
        &self,
        lines: &mut Lines,
        name: usize,
        by: Side,
        request: &Request,
        around: &Around,
    ) -> Option<()> {
        let ((before, after), (rust_before, rust_after)) = (&around.shell, &around.rust);
        if let Some(place) = new_directory(request) {
            let line = format!("mkdir -p {}", quoted(place));
            lines.in_shell(&line);
            lines.in_rust(&format!("let _ = shell(r##\"{line}\"##);"));
        }
        for data in DataFile::needed_by(request) {
            let line = format!("{} >{}", data.in_awk(), quoted(&data.name));
            lines.in_shell(&line);
            lines.in_rust(&format!("let _ = shell(r##\"{line}\"##);"));
        }
        match self.tool(by).reproducer(request)? {
            // The commands of qemu-io.
            Reproducer::CommandLine(words)
                if is_session(request) && self.writing_program(by).as_ref() == words.first() =>
            {
                let (line, commands) = sessions::parted(&words);
                let limit = self.limit.as_deref().unwrap_or_default();
                let line = self.in_variables(by, &line)?;
                let file = sessions::commands_file(name, &commands);
                // No line of the file is indented.
                lines.shell.push_str(&file);
                lines.in_shell(&format!("{before}run {name} session {limit}{line}{after}"));
                let line = self.without_variables(&line);
                lines.in_rust(&format!(
                    "{rust_before}by_shell(\"{name}\", r##\"{file}{line} <{name}.commands >{name}.printed; code=$?; [ $code = 1 ] || exit $code\"##){rust_after};"
                ));
            }
            Reproducer::CommandLine(words) => {
                let limit = self.limit.as_deref().unwrap_or_default();
                let line = self.in_variables(by, &words)?;
                lines.in_shell(&format!("{before}run {name} {limit}{line}{after}"));
                let line = self.without_variables(&line);
                lines.in_rust(&format!(
                    "{rust_before}by_shell(\"{name}\", r##\"{line}\"##){rust_after};"
                ));
            }
            Reproducer::AdapterLine { command, line } => {
                lines.adapter = Some(command);
                let call = adapters::call(request, &line);
                lines.in_shell(&format!("{before}run {name} {call}{after}"));
            }
            Reproducer::RustCall { template, call } => {
                lines.template = Some(template);
                lines.in_rust(&format!(
                    "{rust_before}run(\"{name}\", || {call}){rust_after};"
                ));
            }
        }
        Some(())
    }

    /// Returns a command line with the names of the reference's programs in the places of their variables.
    fn without_variables(&self, line: &str) -> String {
        let io = self.writing_program(Side::Reference).unwrap_or_default();
        line.replace("\"$reference\"", &quoted(&self.program(Side::Reference)))
            .replace("\"$reference_io\"", &quoted(&io))
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

/// Returns the directory in which a request makes an image, if that is not the side's own.
fn new_directory(request: &Request) -> Option<&str> {
    let Request::Create { file, .. } = request else {
        return None;
    };
    Some(directory_of(&file.path)).filter(|place| !place.is_empty())
}

fn is_session(request: &Request) -> bool {
    matches!(request, Request::Session { .. })
}

/// Keeps the contents that a step reads under the step's number.
fn keep(lines: &mut Lines, name: usize, file: &ImageFile) {
    let flat = file.path.clone() + FLAT_SUFFIX;
    lines.in_shell(&format!("mv {} {name}{FLAT_SUFFIX}", quoted(&flat)));
    lines.in_rust(&format!(
        "let _ = std::fs::rename({flat:?}, \"{name}{FLAT_SUFFIX}\");"
    ));
}
