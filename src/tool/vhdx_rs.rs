//! vhdx-rs, a crate: makes dynamic and fixed vhdx with blocks of 32 MiB. Its reader is not asked.
//!
//! It is a program of its own (`contrib/writers/vhdx-rs`), which lies beside this one or on `PATH`: the crate wants a newer Rust.

use std::sync::Arc;

use super::scripted_writer::{self, Scripted};
use super::{Tool, ToolEnv, ToolSpec};
use crate::base::error::Result;
use crate::image::format::Format;
use crate::image::options::CreateOption;

static WRITER: Scripted = Scripted {
    name: "vhdx-rs",
    interpreter: "imgduel-vhdx-rs",
    options: &[],
    script: None,
    makes: |form| {
        let mut options = form.options.iter();
        form.format == Format::Vhdx
            && options.all(|option| matches!(option, CreateOption::Subformat(_)))
    },
};

pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    scripted_writer::open(&WRITER, spec, tool_env)
}
