//! VMDKstream, a Python module: makes streamOptimized vmdks, with a footer. It reads nothing.

use std::sync::Arc;

use super::interpreters::PYTHON;
use super::scripted_writer::{self, PYTHON_OPTIONS, Scripted};
use super::{Tool, ToolEnv, ToolSpec};
use crate::base::error::Result;
use crate::image::format::Format;
use crate::image::options::Subformat;

static WRITER: Scripted = Scripted {
    name: "vmdkstream",
    interpreter: PYTHON,
    options: PYTHON_OPTIONS,
    script: Some(include_str!("scripted_writer/vmdkstream.py")),
    makes: |form| {
        let is_stream = form.options.subformat() == Some(Subformat::StreamOptimized);
        form.format == Format::Vmdk && is_stream
    },
};

pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    scripted_writer::open(&WRITER, spec, tool_env)
}
