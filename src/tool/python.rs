//! Tools that are Python modules: each is a script that speaks the adapter protocol in a persistent interpreter.
//!
//! A process per call would cost 0.2 s, mostly for imports. The interpreter is the one in the tool spec, or the first
//! on `PATH` that has the module, because distributions and PyPI install into different ones. nbdkit is a program, which a script of ours speaks to: of it the
//! spec names the program.

use std::path::PathBuf;
use std::sync::Arc;

use super::adapter::{self, Start};
use super::command_line;
use super::interpreters::{self, PYTHON};
use super::{Reproducer, Row, Tool, ToolEnv, ToolSpec};
use crate::base::error::{Error, Result};
use crate::tool::request::{ImageFile, Request, SessionRequest, singles};

/// The common beginning of all scripts.
const SERVE: &str = include_str!("python/serve.py");

const DISSECT: &str = include_str!("python/dissect.py");
const FS_EXPLORER: &str = include_str!("python/fs_explorer.py");
const LIBYAL: &str = include_str!("python/libyal.py");
const NBDKIT: &str = include_str!("python/nbdkit.py");

/// Stands for the program in the script of nbdkit.
const NBDKIT_PROGRAM: &str = "@NBDKIT@";

/// The end of a script that a person runs, after its own `opened()` and instead of serving.
const BY_HAND: &str = include_str!("python/by_hand.py");

/// The modules that the scripts use.
const MODULES: &str = "import contextlib, json, os, sys, traceback

def missing(kind, why, trace):
    traceback.print_exception(kind, why, trace)
    sys.stderr.flush()
    # As a shell says that a program is not there.
    os._exit(127 if kind is ModuleNotFoundError else 1)

sys.excepthook = missing

class Unsupported(OSError):
    pass
";

/// The exceptions by which each tool refuses, as in its call of `serve`.
const DISSECT_REFUSALS: &str = "(Error, NotImplementedError, ValueError, EOFError, OSError)";
const FS_EXPLORER_REFUSALS: &str = "(FsExplorerError, OSError) + PARSING";
const LIBYAL_REFUSALS: &str = "(OSError, ValueError)";
const NBDKIT_REFUSALS: &str = "(Refusal, OSError)";

/// Opens the module of a row.
pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let is_program = spec.name == "nbdkit";
    let interpreters: Vec<PathBuf> = match spec.path {
        Some(_) if !is_program => vec![command_line::find(spec)?],
        _ => interpreters::all(PYTHON, tool_env),
    };
    let spoken_to: String;
    let (own, refusals) = match &*spec.name {
        "dissect.hypervisor" => (DISSECT, DISSECT_REFUSALS),
        "fs-explorer" => (FS_EXPLORER, FS_EXPLORER_REFUSALS),
        "nbdkit" => {
            let program = command_line::find(spec)?.display().to_string();
            // Debug writes a string as Python reads it.
            spoken_to = NBDKIT.replace(NBDKIT_PROGRAM, &format!("{program:?}"));
            (&*spoken_to, NBDKIT_REFUSALS)
        }
        _ => (LIBYAL, LIBYAL_REFUSALS),
    };
    let arguments = [
        "-c".to_owned(),
        format!("{SERVE}\n{own}"),
        spec.name.clone(),
    ];
    let mut opened = interpreters.into_iter().map(|program| {
        let words = ByHand {
            program: program.display().to_string(),
            script: by_hand(own, refusals),
            name: spec.name.clone(),
        };
        let start = Start {
            program,
            arguments: arguments.to_vec(),
            environment: Vec::new(),
        };
        let words = move |request: &Request, _| words.reproducer(request);
        adapter::start_with_words(start, tool_env, Box::new(words))
    });
    let mut reason = String::new();
    let mut answers = |tried: &Result<Arc<dyn Tool>>| match tried {
        Ok(_) => true,
        // The module may be there, but too slow to report its version.
        Err(error) => {
            reason = format!(": {error}");
            false
        }
    };
    let first = opened.find(&mut answers);
    first.unwrap_or_else(|| {
        let row = Row::named(&spec.name)?;
        Err(Error::missing_tool(format!(
            "no Python here has {} ({}){reason}",
            spec.name, row.install
        )))
    })
}

/// Returns a tool's script for a person: it opens an image and makes one request.
fn by_hand(own: &str, refusals: &str) -> String {
    let (opened, _) = own.split_once("\nserve(").unwrap_or((own, ""));
    let call = format!("by_hand(*sys.argv[2:5], {refusals})");
    format!("{MODULES}{opened}\n{BY_HAND}\n\n{call}\n")
}

/// Returns the format of an image, and behind it the path and the format of each image below it, with plus signs between them.
fn formats(file: &ImageFile) -> String {
    let below = file.backing.as_deref();
    let below = below.map_or_else(String::new, |below| {
        format!("+{}+{}", below.path, formats(below))
    });
    format!("{}{below}", file.format.name())
}

/// Returns a range that a session reads: its offset, and the lengths of the buffers, with plus signs between them.
fn range(request: &SessionRequest) -> String {
    let (offset, length) = request.range().unwrap_or_default();
    let numbers = match request {
        SessionRequest::ReadVector { lengths, .. } => [&[offset], &lengths[..]].concat(),
        _ => vec![offset, length],
    };
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    numbers.join("+")
}

/// How a person makes a request.
struct ByHand {
    program: String,
    script: String,
    name: String,
}

impl ByHand {
    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let (Request::Info { file } | Request::Contents { file } | Request::Session { file, .. }) =
            request
        else {
            return None;
        };
        let requests = match request {
            Request::Session { .. } if !request.is_reading() => return None,
            Request::Session { requests, .. } => &requests[..],
            _ => &[],
        };
        let (name, format) = (request.name(), formats(file));
        let words = [
            &self.program,
            "-c",
            &self.script,
            &self.name,
            name,
            &file.path,
            &format,
        ];
        let ranges = singles(requests).map(range);
        let words = words.map(str::to_owned).into_iter().chain(ranges);
        Some(Reproducer::CommandLine(words.collect()))
    }
}
