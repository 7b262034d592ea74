//! Where a tool works, and its limits.
//!
//! Whoever asks a tool makes one; the tools start their programs by it.

use std::path::Path;
use std::time::Duration;

use crate::process::{Invocation, SandboxPolicy};

/// Where a tool works, and its limits.
#[derive(Clone, Copy, Debug)]
pub struct CallContext<'call> {
    /// The side's directory. Requests name files relative to it.
    pub directory: &'call Path,
    /// The wall time limit of one call.
    pub limit: Duration,
    /// The additional wall time of a call that is busy.
    pub grace: Duration,
    /// The resource limits and the confinement of the tool.
    pub sandbox: &'call SandboxPolicy,
    /// The maximum address space in bytes, if that is less than the sandbox allows.
    pub memory_bytes_max: Option<u64>,
}

impl<'call> CallContext<'call> {
    /// Returns an invocation of `program` in this context.
    pub fn invocation(
        &self,
        program: &'call Path,
        arguments: &'call [String],
    ) -> Invocation<'call> {
        let Self {
            directory,
            limit,
            grace,
            sandbox,
            memory_bytes_max,
        } = *self;
        Invocation {
            program,
            arguments,
            directory,
            limit,
            grace,
            sandbox: Some(sandbox),
            environment: &[],
            input: None,
            memory_bytes_max,
        }
    }
}
