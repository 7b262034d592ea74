//! A tool around another one: it changes some of what the inner tool does, and passes on the rest.
//!
//! Used by the cache and by the canary.

use std::path::Path;

use super::{CallContext, Capabilities, Reproducer, Support, Tool};
use crate::base::error::Result;
use crate::tool::request::Fault;
use crate::tool::request::{Answer, Request};

/// A tool around another one. For the methods see [`Tool`], which every wrapper is.
pub trait ToolWrapper: Send + Sync {
    /// Returns the inner tool.
    fn inner(&self) -> &dyn Tool;

    /// Answers a request, usually with the help of the inner tool.
    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer>;

    /// Returns the name.
    fn name(&self) -> &str {
        self.inner().name()
    }

    /// Returns the program.
    fn program(&self) -> Option<&Path> {
        self.inner().program()
    }

    /// Returns how a person makes the same request.
    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        self.inner().reproducer(request)
    }
}

impl<Wrapper: ToolWrapper> Tool for Wrapper {
    fn name(&self) -> &str {
        ToolWrapper::name(self)
    }

    fn version(&self) -> &str {
        self.inner().version()
    }

    fn program(&self) -> Option<&Path> {
        ToolWrapper::program(self)
    }

    fn build(&self) -> Option<&'static str> {
        self.inner().build()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner().capabilities()
    }

    fn support(&self, request: &Request) -> Support {
        self.inner().support(request)
    }

    fn lack(&self, request: &Request) -> Option<String> {
        self.inner().lack(request)
    }

    fn lacks(&self) -> Vec<String> {
        self.inner().lacks()
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        ToolWrapper::ask(self, request, call_context)
    }

    fn ask_faulty(
        &self,
        request: &Request,
        fault: Fault,
        call_context: &CallContext<'_>,
    ) -> Result<Option<Answer>> {
        self.inner().ask_faulty(request, fault, call_context)
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        ToolWrapper::reproducer(self, request)
    }
}
