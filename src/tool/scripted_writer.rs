//! Tools that only make images: a script has a library convert a raw file, in a new interpreter for each image, or a program of this repository does.
//!
//! This file has their common parts; each defines a [`Scripted`] in its own file. They are asked as writers alone, read nothing, and are no candidates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command_line::{self, Program};
use super::interpreters;
use super::writing::{Form, ImageWriter};
use super::{CallContext, Capabilities, Reproducer, Row, Support, Tool, ToolEnv, ToolSpec};
use crate::base::error::{Error, Result};
use crate::image::options::Subformat;
use crate::process::Ending;
use crate::tool::request::{Answer, ImageFile, Request, RequestKind};

/// A library that makes images.
pub(super) struct Scripted {
    /// The name of the tool.
    pub(super) name: &'static str,
    /// The interpreter, or the program itself; each of this name beside this program and on `PATH` is tried.
    pub(super) interpreter: &'static str,
    /// What stands in front of the script.
    pub(super) options: &'static [&'static str],
    /// The script, unless the program is none that takes one. Its arguments are `version`, or `write`, the raw file, the image and the subformat, if one is asked for.
    pub(super) script: Option<&'static str>,
    /// Whether it makes a form.
    pub(super) makes: fn(&Form) -> bool,
}

/// What a script of Python has in front of it.
pub(super) const PYTHON_OPTIONS: &[&str] = &["-c"];

struct ScriptedWriter {
    library: &'static Scripted,
    capabilities: Capabilities,
    program: Program,
    version: String,
}

/// Opens a library by the first interpreter that has it.
pub(super) fn open(
    library: &'static Scripted,
    spec: &ToolSpec,
    tool_env: &ToolEnv,
) -> Result<Arc<dyn Tool>> {
    let interpreters: Vec<PathBuf> = match spec.path {
        Some(_) => vec![command_line::find(spec)?],
        None => {
            let beside = tool_env.beside(library.interpreter).into_iter();
            let others = interpreters::all(library.interpreter, tool_env);
            beside.chain(others).collect()
        }
    };
    let mut reason = String::new();
    for interpreter in interpreters {
        match version(library, &interpreter, tool_env)? {
            Ok(version) => {
                return Ok(Arc::new(ScriptedWriter {
                    library,
                    capabilities: Capabilities::none(),
                    program: Program::new(interpreter, tool_env),
                    version,
                }));
            }
            Err(why) => reason = format!(": {} says {why}", interpreter.display()),
        }
    }
    let (interpreter, install) = (library.interpreter, Row::named(library.name)?.install);
    Err(Error::missing_tool(match library.script {
        Some(_) => format!(
            "no {interpreter} here has {} ({install}){reason}",
            library.name
        ),
        None => {
            format!("{interpreter} is neither beside this program nor on PATH ({install}){reason}")
        }
    }))
}

/// Returns the version that the script tells, or what it says instead.
fn version(
    library: &Scripted,
    interpreter: &Path,
    tool_env: &ToolEnv,
) -> Result<std::result::Result<String, String>> {
    let finished = command_line::tried(interpreter, &library.line(&["version"]), tool_env)?;
    let version = finished.stdout.first_line().trim().to_owned();
    let is_told = finished.ending == Ending::Exited(0) && !version.is_empty();
    Ok(match is_told {
        true => Ok(version),
        false => {
            // The last line of a traceback is the one that says what is missing.
            let said = finished.stderr.text();
            Err(command_line::quoted(
                said.trim().lines().last().unwrap_or_default(),
            ))
        }
    })
}

impl Scripted {
    fn line(&self, task: &[&str]) -> Vec<String> {
        let own = self.options.iter().copied().chain(self.script);
        own.chain(task.iter().copied()).map(str::to_owned).collect()
    }
}

impl ImageWriter for ScriptedWriter {
    fn makes(&self, form: &Form) -> bool {
        form.options.force_size() != Some(true) && (self.library.makes)(form)
    }

    fn make(
        &self,
        source: &ImageFile,
        target: &ImageFile,
        call_context: &CallContext<'_>,
    ) -> Result<Answer> {
        let subformat = target.options.subformat().map(Subformat::name);
        let task = ["write", &source.path, &target.path].into_iter();
        let line = self
            .library
            .line(&task.chain(subformat).collect::<Vec<_>>());
        self.program.run(line, RequestKind::Contents, call_context)
    }
}

impl Tool for ScriptedWriter {
    fn name(&self) -> &str {
        self.library.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn program(&self) -> Option<&Path> {
        Some(&self.program.path)
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn support(&self, request: &Request) -> Support {
        let (name, asked) = (self.library.name, request.name());
        Support::no(format!(
            "{name} only makes images, and is not asked for {asked}"
        ))
    }

    fn ask(&self, request: &Request, _: &CallContext<'_>) -> Result<Answer> {
        let (name, asked) = (self.library.name, request.name());
        Ok(Answer::unsupported(format!("{name} has no {asked}")))
    }

    fn writer(&self) -> Option<&dyn ImageWriter> {
        Some(self)
    }

    fn reproducer(&self, _: &Request) -> Option<Reproducer> {
        None
    }
}
