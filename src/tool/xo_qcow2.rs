//! @xen-orchestra/qcow2, a module for Node: makes qcow2 of version 2, whose size is rounded up to whole clusters. Its reader is not asked.

use std::sync::Arc;

use super::scripted_writer::{self, Scripted};
use super::{Tool, ToolEnv, ToolSpec};
use crate::base::error::Result;
use crate::image::format::Format;

static WRITER: Scripted = Scripted {
    name: "xo-qcow2",
    interpreter: "node",
    options: &["--input-type=module", "-e"],
    script: Some(include_str!("scripted_writer/xo_qcow2.mjs")),
    makes: |form| form.format == Format::Qcow2 && form.options.is_empty(),
};

pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    scripted_writer::open(&WRITER, spec, tool_env)
}
