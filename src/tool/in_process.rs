//! An embedded library as a tool in this very process, without a worker of its own.
//!
//! Only a process that may die with the library opens one: the case worker, which runs whole cases. Everyone else goes through
//! [`Pool`](super::adapter::Pool).

use std::path::Path;
use std::time::{Duration, Instant};

use super::adapter::{self, protocol::Hello};
use super::worker::{self, Library};
use super::{CallContext, Capabilities, Reproducer, Support, Tool};
use crate::base::error::Result;
use crate::process::Captured;
use crate::tool::request::{Answer, Request};

/// What a library cannot be asked, beyond what its [`Hello`] tells.
pub(super) type Objection = fn(&Request) -> Option<String>;

/// A library, called directly.
pub(super) struct InProcess {
    library: &'static (dyn Library + Sync),
    hello: Hello,
    capabilities: Capabilities,
    objection: Option<Objection>,
}

impl InProcess {
    /// Opens a library. `own` is what its tool knows about it itself: its capabilities, and what it objects to.
    pub(super) fn new(
        library: &'static (dyn Library + Sync),
        own: Option<(Capabilities, Objection)>,
    ) -> Self {
        let hello = library.hello();
        let (capabilities, objection) = own.unzip();
        Self {
            library,
            capabilities: capabilities.unwrap_or_else(|| hello.capabilities()),
            hello,
            objection,
        }
    }
}

impl Tool for InProcess {
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
        Support::unless(match self.objection {
            Some(objection) => objection(request),
            None => self.hello.objection(request),
        })
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let started = Instant::now();
        let response = worker::answer(self.library, request, call_context.directory);
        // The CPU time is counted for the case as a whole.
        let (mut answer, _) = adapter::answer(
            request.kind(),
            response,
            Captured::default(),
            Duration::ZERO,
        );
        answer.usage.duration = started.elapsed();
        answer.transcript.command = [self.name(), request.name()].map(str::to_owned).into();
        Ok(answer)
    }

    fn reproducer(&self, _: &Request) -> Option<Reproducer> {
        None
    }
}
