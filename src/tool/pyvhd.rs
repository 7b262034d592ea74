//! pyvhd, a Python module: makes dynamic vhds as Xen's tapdisk does, with a map of the blocks behind the block table. It reads nothing.
//!
//! Of a disk of more than seven blocks of 2 MiB it makes none, by a slip of its own: TypeError.

use std::sync::Arc;

use super::interpreters::PYTHON;
use super::scripted_writer::{self, PYTHON_OPTIONS, Scripted};
use super::{Tool, ToolEnv, ToolSpec};
use crate::base::error::Result;
use crate::image::format::Format;
use crate::image::options::Subformat;

static WRITER: Scripted = Scripted {
    name: "pyvhd",
    interpreter: PYTHON,
    options: PYTHON_OPTIONS,
    script: Some(include_str!("scripted_writer/pyvhd.py")),
    makes: |form| {
        let subformat = form.options.subformat();
        form.format == Format::Vpc && matches!(subformat, None | Some(Subformat::Dynamic))
    },
};

pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    scripted_writer::open(&WRITER, spec, tool_env)
}
