//! A reproducer: a program that shows a divergence. It is a POSIX shell script with the tools' own command lines, or a
//! small Rust program if the candidate is a library. It exits 0 if the divergence shows, 1 if it does not, 2 if it
//! could not be tried.
//!
//! Made from the steps of the diverging operation and the subject of the divergence; nothing is run. The reader needs
//! only the tools, not imgduel. `imgduel script` and `imgduel report` call it.

use std::time::Duration;

use crate::base::error::{Error, Result};
use crate::base::prose::printable;
use crate::case::Case;
use crate::image::format::Format;
use crate::operation::Operation;
use crate::oracle::observations::{
    Executor, ExitExpectation, HarnessAction, Observations, Side, Step, StepContext, Task,
};
use crate::oracle::verdict::{DivergenceKind, VerdictName};
use crate::report::against_recipe;
use crate::report::side_names::side_name_and_version;
use crate::run::evidence::{quoted, shell_line};
use crate::run::record::Record;
use crate::run::runner::dmg_command;
use crate::tool::request::{ImageFile, Request, RequestKind};
use crate::tool::{DIRECTORY_MARK, Reproducer, Support, Tool};
use calls::Calls;
use checks::check;
use input::{ScriptInput, came_out};
use program::Program;
use shell::Check;

mod adapters;
mod calls;
mod checks;
mod cross_check;
mod damaged;
mod exits;
mod faults;
mod final_state;
mod from_outside;
mod harness_steps;
mod input;
mod intermediate;
mod limits;
mod outputs;
mod program;
mod responses;
mod sessions;
mod shell;
mod written;

/// The case, the tools and the environment of a reproducer.
struct ScriptContext<'tools> {
    case: &'tools Case,
    /// The index of the operation in the case.
    index: usize,
    candidate: &'tools dyn Tool,
    reference: &'tools dyn Tool,
    /// A prefix of each call, if the divergence is about time, memory, or output without end.
    limit: Option<String>,
    /// The command line that damages the image, as recorded when it was damaged.
    damage: Option<String>,
    /// Whether the divergence is about the files that steps touch.
    is_watched: bool,
}

fn damage(record: &Record) -> Option<String> {
    let mut calls = record.evidence.as_ref()?.calls.iter();
    let call = calls.find(|call| {
        let kind = RequestKind::named(&call.request);
        matches!(kind, Some(RequestKind::Damage | RequestKind::Corrupt))
    })?;
    // Records of earlier versions do not have it as a command line.
    let is_known = call.command.first().is_some_and(|program| program == "sh");
    is_known.then(|| shell_line(&call.command))
}

/// Returns the program that shows a record's divergence. `limit` is the time limit of the tools.
pub fn script(
    record: &Record,
    candidate: &dyn Tool,
    reference: &dyn Tool,
    limit: Duration,
) -> Result<String> {
    let none = |why: &str| {
        let what = record.reason.as_deref().unwrap_or(record.verdict.as_str());
        Error::usage(format!("{} has no script: {why} ({what})", record.id))
    };
    let (Some(index), Some(name), VerdictName::Divergence) = (
        record.operation_index,
        record.kind.as_deref(),
        record.verdict,
    ) else {
        return Err(none("it shows no divergence"));
    };
    let kind = DivergenceKind::named(name)
        .ok_or_else(|| none("this program knows no divergence of its kind"))?;
    let evidence = record.evidence.as_ref();
    let differences = evidence.map_or(&[][..], |evidence| &evidence.differences);
    let resources = limits::resource_limits(kind, differences);
    let case = record.case_shown()?;
    let operation = case
        .ops
        .get(index)
        .ok_or_else(|| none("its case has no such operation"))?;
    let script_context = ScriptContext {
        case,
        index,
        candidate,
        reference,
        limit: limits::call_limit(kind, resources.as_deref(), limit),
        damage: damage(record),
        is_watched: final_state::is_watched(differences),
    };
    let context = case.context(index);
    let steps = operation.perform().steps(&context);
    let observations =
        evidence.map_or_else(Observations::default, |evidence| came_out(&steps, evidence));
    let steps = match operation {
        Operation::Malformed(_) => script_context.reproducible_steps(steps, kind),
        _ => steps,
    };
    let outputs = operation.perform().outputs(&context, &observations);
    let input = ScriptInput {
        kind,
        blame: record.blame,
        differences,
        operation,
        context: &context,
        steps: &steps,
        outputs: &outputs,
        observations: &observations,
        source: &context.source,
        script_context: &script_context,
    };
    let compared =
        check(&input).ok_or_else(|| none("its subject cannot be compared in a shell"))?;
    let too_large = "its image is too large for a script, or bound to its place: shrink the case";
    let carried = script_context.carried_image(&steps);
    let carried = carried.ok_or_else(|| none(too_large))?;
    let program = script_context.program_of(&input, compared, head(record), resources, &carried);
    program.ok_or_else(|| none("a tool cannot perform a step of it from a shell"))
}

fn head(record: &Record) -> String {
    let kind = record.kind.as_deref().unwrap_or_default();
    let operation = record.operation.as_deref().unwrap_or_default();
    format!(
        "{} ({kind})\n{}\n\nSeen with {} against {}.\nExits 0 when it shows, 1 when it does not, 2 when it could not be tried.\nSet CANDIDATE or REFERENCE to use a program that is not on PATH.\n",
        operation,
        printable(&against_recipe::reason(record)),
        side_name_and_version(record, Side::Candidate),
        side_name_and_version(record, Side::Reference),
    )
}

/// Returns a program's name for PATH, without the directory on this machine.
fn by_name(program: &str) -> String {
    let name = program.rsplit('/').next().unwrap_or(program);
    // The name stands within double quotes.
    name.replace(['"', '`', '$', '\\'], "")
}

impl ScriptContext<'_> {
    /// Returns the whole program, or `None` if a tool cannot perform a step from a shell.
    fn program_of(
        &self,
        input: &ScriptInput<'_>,
        compared: Check,
        head: String,
        resources: Option<String>,
        carried: &str,
    ) -> Option<String> {
        let reference_side = match input.observations.reference {
            Some(_) => self.reference_side(input.steps)?,
            None => String::new(),
        };
        let readings = match compared.reads_by_candidate {
            true => self.candidate_readings(input.outputs),
            false => Vec::new(),
        };
        let calls = self.side(Side::Candidate, input.steps, &readings)?;
        let program = Program {
            head,
            image: self.image()? + carried,
            reference_side,
            around: self.around(input.steps),
            compared,
            resources,
        };
        Some(match calls {
            Calls::Shell(calls) => program.in_shell(&self.variables(true), &calls),
            Calls::Adapter { command, calls } => {
                // An adapter is one process for all its calls: only its time is limited.
                let limit = self.limit.as_deref();
                let limit = limit.filter(|_| input.kind == DivergenceKind::CandidateTimeout);
                let adapter = adapters::functions(&command, limit.unwrap_or_default(), &calls);
                program.in_shell(&(self.variables(false) + &adapter), &calls)
            }
            Calls::Rust { template, calls } => {
                program.in_rust(template, &self.variables(false), &calls)
            }
        })
    }
    /// Returns the functions that some steps are called through.
    fn around(&self, steps: &[Step]) -> String {
        let is_session = |step: &Step| matches!(step.task.request(), Some(Request::Session { .. }));
        let mut functions = String::new();
        if self.is_watched {
            functions.push_str(final_state::WATCH);
        }
        if faults::are_in(steps) || steps.iter().any(is_session) {
            functions.push_str(sessions::SESSION);
        }
        if faults::are_in(steps) {
            functions.push_str(faults::FAULTY);
        }
        functions
    }

    /// Returns the steps on a damaged image that the reproducer performs: without inspections by the harness, and
    /// without read requests for which a tool has no command line and that do not matter for the divergence.
    fn reproducible_steps(&self, mut steps: Vec<Step>, kind: DivergenceKind) -> Vec<Step> {
        if kind == DivergenceKind::InputChanged {
            // The change of the image comes later.
            let is_inspection =
                |step: &Step| matches!(step.task, Task::Harness(HarnessAction::Untouched { .. }));
            let end = steps.iter().position(is_inspection);
            steps.truncate(end.unwrap_or(steps.len()));
        }
        let is_placing =
            |step: &Step| matches!(step.task, Task::Harness(HarnessAction::Place { .. }));
        steps.retain(|step| step.executor != Executor::Harness || is_placing(step));
        steps.retain(|step| {
            if is_placing(step) {
                return true;
            }
            let is_reproducible = |side| {
                let tool = self.tool(self.executor(side, step));
                let request = step.task.request();
                request.is_some_and(|request| tool.reproducer(request).is_some())
            };
            step.expected_exit != ExitExpectation::Free
                || [Side::Candidate, Side::Reference]
                    .into_iter()
                    .all(is_reproducible)
        });
        steps
    }

    /// Returns the definitions of variables for the tools' programs, which the user may override.
    fn variables(&self, has_candidate: bool) -> String {
        let mut text = "export LC_ALL=C TZ=UTC\n".to_owned();
        text.push_str(&from_outside::variable(self.case));
        let sides = [Side::Candidate, Side::Reference];
        for side in sides.into_iter().skip(usize::from(!has_candidate)) {
            let (name, variable) = (side.name(), side.name().to_uppercase());
            let program = by_name(&self.program(side));
            // A build beside the one on PATH: by its name alone, the script would compare that one with itself.
            let usual = match side == Side::Candidate && self.is_another_build() {
                true => format!("?set it to the path of the {program} under test"),
                false => format!("-{program}"),
            };
            text.push_str(&format!(
                "{name}=$(program \"${{{variable}:{usual}}}\") || exit 2\n"
            ));
            if let Some(program) = self.writing_program(side) {
                let program = by_name(&program);
                text.push_str(&format!(
                    "{name}_io=$(program \"${{{variable}_IO:-{program}}}\") || exit 2\n"
                ));
            }
        }
        text
    }

    /// Whether the candidate's program is another one than the reference's, of the same name.
    fn is_another_build(&self) -> bool {
        let [candidate, reference] =
            [Side::Candidate, Side::Reference].map(|side| self.program(side));
        candidate != reference && by_name(&candidate) == by_name(&reference)
    }

    /// Returns the program of a side: the tool's own, or the one by which a person asks a tool that has none.
    fn program(&self, by: Side) -> String {
        let tool = self.tool(by);
        if let Some(program) = tool.program() {
            return program.display().to_string();
        }
        let by_hand = Format::all().find_map(|format| {
            let file = ImageFile::new("", format);
            match tool.reproducer(&Request::Info { file })? {
                Reproducer::CommandLine(words) => words.into_iter().next(),
                _ => None,
            }
        });
        by_hand.unwrap_or_else(|| tool.name().to_owned())
    }

    /// Returns the program that writes guest data, if the tool has a separate one.
    fn writing_program(&self, by: Side) -> Option<String> {
        let write = Request::Write {
            file: ImageFile::new("", Format::Raw),
            writes: Vec::new(),
        };
        let Reproducer::CommandLine(words) = self.tool(by).reproducer(&write)? else {
            return None;
        };
        words
            .into_iter()
            .next()
            .filter(|own| *own != self.program(by))
    }

    /// Returns the lines that create the source image on both sides.
    fn image(&self) -> Option<String> {
        let mut text = String::new();
        let context = self.case.context(self.index);
        text.push_str(&from_outside::copies(self.case, self.index));
        if self.case.ops[self.index].perform().reads_source() {
            text.push_str("\n# The image.\n");
            for line in self.image_lines(&context)? {
                text.push_str(&format!("(cd reference && {line}) >/dev/null || exit 2\n"));
            }
            let name = quoted(&context.source.path);
            text.push_str(&format!(
                "cp --sparse=always reference/{name} candidate/ && cp candidate/{name} reference/ || exit 2\n"
            ));
        }
        Some(text)
    }

    /// Returns the commands that create the source image.
    fn image_lines(&self, context: &StepContext<'_>) -> Option<Vec<String>> {
        let recipe = &self.case.image;
        let file = || context.source.clone();
        if let Some(dmg) = &recipe.dmg {
            let words = dmg_command::words(dmg, &context.source.path);
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            return Some(vec![words.join(" ")]);
        }
        let mut requests = vec![Request::Create {
            file: file(),
            size: recipe.size_to_create(),
        }];
        let writes = recipe.all_writes();
        if !writes.is_empty() {
            requests.push(Request::Write {
                file: file(),
                writes,
            });
        }
        let lines = requests
            .iter()
            .map(|request| self.line(Side::Reference, request));
        let mut lines = lines.collect::<Option<Vec<String>>>()?;
        if recipe.is_compressed() {
            let target = ImageFile::new("compressed", context.source.format);
            let [from, to] = [&target.path, &context.source.path].map(|name| quoted(name));
            let convert = Request::Convert {
                source: file(),
                target: target.clone(),
                compress: true,
                mode: Default::default(),
            };
            let convert = self.line(Side::Reference, &convert)?;
            let info = self.line(Side::Reference, &Request::Info { file: target })?;
            lines.push(format!(
                "{{ {convert} || [ $? = 1 ]; }} && {{ ! {info} || mv {from} {to}; }}"
            ));
        }
        Some(lines)
    }

    /// Returns the function with all calls of the reference.
    fn reference_side(&self, steps: &[Step]) -> Option<String> {
        let Calls::Shell(calls) = self.side(Side::Reference, steps, &[])? else {
            return None;
        };
        Some(format!(
            "\n# What the reference does.\nreference_side() {{\n{calls}  :\n}}\n"
        ))
    }

    fn executor(&self, side: Side, step: &Step) -> Side {
        match step.executor {
            Executor::Side | Executor::SideIfAble => side,
            Executor::SideOrReference => {
                let request = step.task.request();
                let support = request.map(|request| self.tool(side).support(request));
                match support {
                    Some(Support::Yes) => side,
                    _ => Side::Reference,
                }
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

    /// Returns a command line in which the tool's own program is a variable.
    fn line(&self, by: Side, request: &Request) -> Option<String> {
        let tool = self.tool(by);
        let Reproducer::CommandLine(words) = tool.reproducer(request)? else {
            return None;
        };
        self.in_variables(by, &words)
    }

    /// Returns the words of a command line, the tool's own programs as variables.
    fn in_variables(&self, by: Side, words: &[String]) -> Option<String> {
        let (program, arguments) = words.split_first()?;
        let program = if self.program(by) == *program {
            format!("\"${}\"", by.name())
        } else if self.writing_program(by).as_ref() == Some(program) {
            format!("\"${}_io\"", by.name())
        } else {
            // The program is a shell or an interpreter, not the tool.
            quoted(program)
        };
        let arguments = arguments.iter().map(|word| in_own_directory(word));
        Some(
            std::iter::once(program)
                .chain(arguments)
                .collect::<Vec<_>>()
                .join(" "),
        )
    }
}

/// Returns a word as a shell reads it, with the directory that the shell is in where the word has the mark.
fn in_own_directory(word: &str) -> String {
    let parts = word.split(DIRECTORY_MARK).enumerate();
    let parts = parts.map(|(index, part)| match part {
        "" if index > 0 => String::new(),
        part => quoted(part),
    });
    parts.collect::<Vec<_>>().join("\"$PWD\"")
}
