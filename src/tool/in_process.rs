//! A library as a tool in this very process, without a worker of its own.
//!
//! Only a process that may die with the library opens one: the case worker, which runs whole cases. Everyone else goes through
//! [`Pool`](super::adapter::Pool).

use std::path::Path;
use std::time::{Duration, Instant};

use super::adapter::{self, protocol::Hello};
use super::library::hosting::Hosted;
use super::{CallContext, Capabilities, Reproducer, Support, Tool, embedded, worker};
use crate::base::error::Result;
use crate::process::Captured;
use crate::tool::request::{Answer, Request};

/// A library, called directly.
pub(super) struct InProcess {
    library: &'static dyn Hosted,
    hello: Hello,
    capabilities: Capabilities,
}

impl InProcess {
    /// Opens a library.
    pub(super) fn new(library: &'static dyn Hosted) -> Self {
        let hello = library.hello();
        Self {
            library,
            capabilities: hello.capabilities(),
            hello,
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
        embedded::support(self.library, &self.hello, request)
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let started = Instant::now();
        let response = worker::answer_in_this_thread(self.library, request, call_context.directory);
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
