//! The embedded libraries: their list, how each is opened as a tool, and the worker that hosts one.
//!
//! The list of tools uses it, and both entry points at the beginning of `main`. Each library's calls are in its own
//! file.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use super::adapter::{self, Start};
use super::imago::{self, library::Imago};
use super::in_process::{InProcess, Objection};
use super::reader::Reader;
use super::worker::{self, Library};
use super::{Tool, ToolEnv, ToolSpec};
use crate::base::error::{Error, Result};
use crate::process;
use crate::tool::request::Request;

/// The embedded readers.
static READERS: &[Reader] = &[
    #[cfg(feature = "qcow2-core")]
    super::qcow2_core::READER,
    #[cfg(feature = "vdi")]
    super::vdi::READER,
    #[cfg(feature = "vmdk-core")]
    super::vmdk_core::READER,
    #[cfg(feature = "vhd-core")]
    super::vhd_core::READER,
    #[cfg(feature = "vhdx-core")]
    super::vhdx_core::READER,
];

/// Returns the reader of this name.
fn reader(name: &str) -> Option<&'static Reader> {
    READERS.iter().find(|reader| reader.name == name)
}

/// Opens a reader: a worker that hosts it.
pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let name = &spec.name;
    let reader = reader(name).ok_or_else(|| {
        Error::missing_tool(format!(
            "this program was built without {name} (cargo build --features {name})"
        ))
    })?;
    let start = Start {
        program: tool_env.worker_program.clone(),
        arguments: vec![worker::ARGUMENT.to_owned(), reader.name.to_owned()],
        environment: Vec::new(),
    };
    let words = |request: &Request, _| reader.reproducer(request);
    adapter::start_with_words(start, tool_env, Box::new(words))
}

/// Returns the library of this name.
fn library(name: &str) -> Option<&'static (dyn Library + Sync)> {
    match name {
        "imago" => Some(&Imago),
        other => reader(other).map(|reader| reader as &(dyn Library + Sync)),
    }
}

/// Whether this program was built with a library of this name.
pub fn is_embedded(name: &str) -> bool {
    library(name).is_some()
}

/// Opens a library in this process, which dies with it. Returns `None` if there is no such library.
pub fn in_process(name: &str) -> Option<Arc<dyn Tool>> {
    let own = (name == "imago").then_some((imago::capabilities(), imago::objection as Objection));
    Some(Arc::new(InProcess::new(library(name)?, own)))
}

/// Becomes a worker if the program was started as one, and serves until standard input closes. Call it first in `main`.
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != worker::ARGUMENT {
        return None;
    }
    let Some(library) = arguments.next().and_then(|name| library(&name)) else {
        return Some(ExitCode::FAILURE);
    };
    process::fix_entropy();
    let served = worker::serve(library, io::stdin().lock(), io::stdout().lock());
    Some(if served.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
