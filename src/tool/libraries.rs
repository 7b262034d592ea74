//! The libraries that this program hosts: those that are built in, those that a test target brings along, and the worker that hosts one.
//!
//! The list of tools uses it, and every entry point at the beginning of `main`. Each library's calls are in its own
//! file.

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use super::in_process::InProcess;
use super::library::hosting::{Delivery, Hosted};
use super::{Row, Tool, ToolEnv, ToolSpec, embedded, worker};
use crate::base::error::{Error, Result};
use crate::image::format::Format;
use crate::process;

/// The libraries that a test target brings along.
static BROUGHT: OnceLock<Vec<&'static dyn Hosted>> = OnceLock::new();

/// The libraries that are built in, by name: each is a feature of this crate.
static BUILT_IN: &[(&str, &dyn Hosted)] = &[
    #[cfg(feature = "imago")]
    ("imago", &super::imago::library::Imago),
    #[cfg(feature = "qcow2-core")]
    ("qcow2-core", &super::qcow2_core::READER),
    #[cfg(feature = "vdi")]
    ("vdi", &super::vdi::READER),
    #[cfg(feature = "vmdk-core")]
    ("vmdk-core", &super::vmdk_core::READER),
    #[cfg(feature = "vhd-core")]
    ("vhd-core", &super::vhd_core::READER),
    #[cfg(feature = "vhdx-core")]
    ("vhdx-core", &super::vhdx_core::READER),
];

/// Brings libraries along, for the rest of this process; once, before any tool is named. Fails if the name of one is taken, or is no name.
pub fn bring(libraries: Vec<Box<dyn Hosted>>) -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    for library in &libraries {
        let name = library.offer().name().to_owned();
        let is_plain = |letter: char| letter.is_alphanumeric() || "-_.+".contains(letter);
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(Error::usage(format!(
                "'{name}' is no name for a library: letters, digits and -_.+ make one"
            )));
        }
        if names.contains(&name) || Row::named(&name).is_ok() || name == ToolSpec::ALL {
            return Err(Error::usage(format!(
                "there is another tool of the name {name}: give the library another one"
            )));
        }
        if let Some(mistake) = library.offer().mistake() {
            return Err(Error::usage(mistake));
        }
        names.push(name);
    }
    let libraries = libraries.into_iter().map(|library| &*Box::leak(library));
    BROUGHT
        .set(libraries.collect())
        .map_err(|_| Error::usage("the libraries of this program are there already"))
}

fn brought_ones() -> &'static [&'static dyn Hosted] {
    BROUGHT.get().map_or(&[], Vec::as_slice)
}

/// Returns the names of the libraries that this program brings along.
pub fn brought() -> Vec<String> {
    let libraries = brought_ones().iter();
    libraries
        .map(|library| library.offer().name().to_owned())
        .collect()
}

/// Whether a library of this name is brought along.
pub fn is_brought(name: &str) -> bool {
    brought_library(name).is_some()
}

/// Returns the formats that a library which is brought along writes; none for others.
pub fn written_formats(name: &str) -> Vec<Format> {
    let library = brought_library(name);
    library.map_or_else(Vec::new, |library| library.offer().written().collect())
}

fn brought_library(name: &str) -> Option<&'static dyn Hosted> {
    let mut libraries = brought_ones().iter().copied();
    libraries.find(|library| library.offer().name() == name)
}

/// Opens a library: a tool whose workers host it.
pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let name = &spec.name;
    let library = library(name).ok_or_else(|| {
        Error::missing_tool(format!(
            "this program was built without {name} (cargo build --features {name})"
        ))
    })?;
    embedded::open(library, tool_env)
}

/// Returns the library of this name.
fn library(name: &str) -> Option<&'static dyn Hosted> {
    let built_in = BUILT_IN.iter().find(|(own, _)| *own == name);
    built_in
        .map(|(_, library)| *library)
        .or_else(|| brought_library(name))
}

/// Whether this program hosts a library of this name.
pub fn is_embedded(name: &str) -> bool {
    library(name).is_some()
}

/// Opens a library in this process, which dies with it. Returns `None` if there is no such library.
pub fn in_process(name: &str) -> Option<Arc<dyn Tool>> {
    Some(Arc::new(InProcess::new(library(name)?)))
}

/// Serves as a worker, or as an adapter, for this library alone, until standard input closes: a program that is no imgduel calls it in `main`.
pub fn serve_alone(library: &dyn Hosted) -> ExitCode {
    let delivery = match std::env::args().nth(1).as_deref() {
        Some(worker::ARGUMENT) => Delivery::Inside,
        _ => Delivery::AsFile,
    };
    served(library, delivery)
}

/// Becomes a worker if the program was started as one, and serves until standard input closes. Call it first in `main`.
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let delivery = match arguments.next()?.as_str() {
        worker::ARGUMENT => Delivery::Inside,
        worker::ADAPTER_ARGUMENT => Delivery::AsFile,
        _ => return None,
    };
    let Some(library) = arguments.next().and_then(|name| library(&name)) else {
        return Some(ExitCode::FAILURE);
    };
    Some(served(library, delivery))
}

fn served(library: &dyn Hosted, delivery: Delivery) -> ExitCode {
    process::fix_entropy();
    let served = worker::serve(library, delivery, io::stdin().lock(), io::stdout().lock());
    if served.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
