//! The imago crate by its asynchronous interface: many requests in flight on one open image.
//!
//! One build can have imago's feature `sync` or `async`, not both. Therefore the workers are another program, `imgduel-imago-async` (`crates/imago-async`),
//! which lies beside this one or on `PATH`. It speaks as this program's own workers do, and takes what the synchronous candidate takes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::adapter::{self, Pool, Start, protocol, protocol::Hello};
use super::{
    CallContext, Capabilities, Reproducer, Support, Tool, ToolEnv, ToolSpec, arithmetic,
    command_line, imago, worker,
};
use crate::base::error::{Error, Result};
use crate::tool::request::{Answer, Request};

/// The name as a tool.
pub(super) const NAME: &str = "imago-async";

/// The program that hosts the workers.
const PROGRAM: &str = "imgduel-imago-async";

/// How that is had.
pub(super) const INSTALL: &str =
    "in this repository: crates/imago-async/build, which puts imgduel-imago-async beside imgduel";

/// The crate, called in workers of the other program.
struct ImagoAsync {
    program: PathBuf,
    hello: Hello,
    capabilities: Capabilities,
    pool: Pool,
}

/// Opens it: the program is the one in the spec, or lies beside this one, or on `PATH`.
pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let program = match &spec.path {
        Some(path) => command_line::named(path)?,
        None => found(tool_env)?,
    };
    let program =
        std::path::absolute(&program).map_err(|error| Error::io("find", &program, &error))?;
    let pool = Pool::new(Start {
        program: program.clone(),
        arguments: [worker::ARGUMENT, NAME].map(str::to_owned).to_vec(),
        environment: Vec::new(),
    });
    let hello = pool.hello(tool_env.limit)?;
    Ok(Arc::new(ImagoAsync {
        program,
        capabilities: hello.capabilities(),
        hello,
        pool,
    }))
}

/// Returns where the program lies.
fn found(tool_env: &ToolEnv) -> Result<PathBuf> {
    let found = tool_env
        .beside(PROGRAM)
        .or_else(|| which::which(PROGRAM).ok());
    found.ok_or_else(|| {
        Error::missing_tool(format!(
            "{PROGRAM} is neither beside this program nor on PATH ({INSTALL})"
        ))
    })
}

impl Tool for ImagoAsync {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> &str {
        &self.hello.version
    }

    fn program(&self) -> Option<&Path> {
        Some(&self.program)
    }

    fn build(&self) -> Option<&'static str> {
        Some(arithmetic::build())
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn support(&self, request: &Request) -> Support {
        Support::unless(imago::objection(request))
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let words = [NAME, request.name(), &request.file().path];
        let words = words.map(str::to_owned).to_vec();
        self.pool
            .ask(request, protocol::VERSION, words, call_context)
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        if self.support(request) != Support::Yes {
            return None;
        }
        let program = self.program.display().to_string();
        let command = [&program, worker::ADAPTER_ARGUMENT, NAME].map(str::to_owned);
        adapter::reproducer(command.to_vec(), request, protocol::VERSION)
    }
}
