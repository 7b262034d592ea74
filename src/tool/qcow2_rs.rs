//! qcow2-rs, a crate, called as a library: makes qcow2 with clusters of 64 KiB. Its command is another tool, `rqcow2`.
//!
//! It is a program of its own (`contrib/writers/qcow2-rs`), which lies beside this one or on `PATH`: the crate brings two runtimes, and switches off the logs of
//! the program that it is in.

use std::sync::Arc;

use super::scripted_writer::{self, Scripted};
use super::{Tool, ToolEnv, ToolSpec};
use crate::base::error::Result;
use crate::image::format::Format;

static WRITER: Scripted = Scripted {
    name: "qcow2-rs",
    interpreter: "imgduel-qcow2-rs",
    options: &[],
    script: None,
    makes: |form| form.format == Format::Qcow2 && form.options.is_empty(),
};

pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    scripted_writer::open(&WRITER, spec, tool_env)
}
