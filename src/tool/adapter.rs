//! Tools that speak the adapter protocol: other programs and the Python tools.
//!
//! The hello message declares what the tool supports; it gets no other requests. Its [`Pool`] sends them.

use std::path::Path;
use std::sync::Arc;

use super::command_line;
use super::{
    CallContext, Capabilities, DIRECTORY_MARK, Reproducer, Support, Tool, ToolEnv, ToolSpec,
};
use crate::base::error::{Error, Result};
use crate::tool::request::{Answer, DataFile, Request};

pub use conformance::{Check, Examination};
pub(super) use outcomes::told;
pub(super) use pool::answer;
pub use pool::{Pool, Start};

mod conformance;
mod first_version;
mod outcomes;
mod pool;
mod process_directory;
pub mod protocol;

use protocol::{Hello, Message};

/// Returns how a person makes a request without imgduel, in the adapter's version of the protocol.
pub(super) type Words = Box<dyn Fn(&Request, u32) -> Option<Reproducer> + Send + Sync>;

struct Adapter {
    capabilities: Capabilities,
    hello: Hello,
    pool: Pool,
    words: Words,
}

/// Opens `adapter:COMMAND`. The command is split at blanks.
pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let usage = || Error::usage("write adapter:COMMAND, with the command that starts the adapter");
    let command = spec.path.as_ref().ok_or_else(usage)?;
    let command = command.to_str().ok_or_else(usage)?;
    let mut words = command.split_whitespace().map(str::to_owned);
    let wanted = words.next().ok_or_else(usage)?;
    let program = command_line::named(Path::new(&wanted))?;
    let program =
        std::path::absolute(&program).map_err(|error| Error::io("find", &program, &error))?;
    // The process works in another directory, so relative paths in the command become absolute.
    let from_here = |word: String| match std::path::absolute(&word) {
        Ok(path) if !word.starts_with('-') && path.is_file() => path.display().to_string(),
        _ => word,
    };
    let arguments: Vec<String> = words.map(from_here).collect();
    let first = program.display().to_string();
    let command = [vec![first], arguments.clone()].concat();
    let start = Start {
        program,
        arguments,
        environment: Vec::new(),
    };
    let words =
        move |request: &Request, version: u32| reproducer(command.clone(), request, version);
    start_with_words(start, tool_env, Box::new(words))
}

/// Returns how a person asks a program that speaks the protocol in this version.
pub(super) fn reproducer(
    command: Vec<String>,
    request: &Request,
    version: u32,
) -> Option<Reproducer> {
    let line = Message::line(request, Path::new(DIRECTORY_MARK), version).ok()?;
    Some(Reproducer::AdapterLine { command, line })
}

/// Starts the adapter and reads its hello; `words` returns how a person makes a request.
pub(super) fn start_with_words(
    start: Start,
    tool_env: &ToolEnv,
    words: Words,
) -> Result<Arc<dyn Tool>> {
    let pool = Pool::new(start);
    let hello = pool.hello(tool_env.limit)?;
    Ok(Arc::new(Adapter {
        capabilities: hello.capabilities(),
        hello,
        pool,
        words,
    }))
}

impl Tool for Adapter {
    fn name(&self) -> &str {
        &self.hello.name
    }

    fn version(&self) -> &str {
        &self.hello.version
    }

    fn program(&self) -> Option<&Path> {
        None
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn support(&self, request: &Request) -> Support {
        Support::unless(self.hello.objection(request))
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let words = [&*self.hello.name, request.name(), &request.file().path];
        let words = words.map(str::to_owned).to_vec();
        DataFile::around(request, call_context.directory, || {
            self.pool
                .ask(request, self.hello.protocol, words, call_context)
        })
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        match self.support(request) {
            Support::Yes => (self.words)(request, self.hello.protocol),
            Support::No(_) => None,
        }
    }
}
