//! The tools: one file and one row each.
//!
//! A tool turns a request into a command line of its dialect or into a library call, and declares beforehand which
//! requests it supports. It never names an operation. To add one: write a file, its `mod` line and its row in `list.rs`.

/// Cached answers of the reference.
pub mod cache;
/// How tools are started.
pub mod launcher;
/// The libraries that are built in.
pub mod libraries;
/// What tools are known to refuse.
pub mod refusals;
/// Requests and answers.
pub mod request;

use std::path::Path;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::tool::request::Fault;
use crate::tool::request::{Answer, Request};

pub use call_context::CallContext;
pub use capabilities::{Capabilities, Capability};
pub use list::TOOLS;
pub use request::DIRECTORY_MARK;
pub use spec::ToolSpec;
pub use tool_env::ToolEnv;
pub use wrapper::ToolWrapper;
pub use writing::ImageWriter;

pub mod adapter;
mod arithmetic;
mod bximage;
mod call_context;
mod capabilities;
mod command_line;
mod embedded;
mod imago;
mod imago_async;
mod in_process;
mod instar;
mod interpreters;
pub mod library;
mod list;
pub mod model;
mod python;
mod pyvhd;
#[cfg(feature = "qcow2-core")]
mod qcow2_core;
mod qcow2_rs;
mod qemu_img;
#[cfg(any(
    feature = "qcow2-core",
    feature = "vdi",
    feature = "vhd-core",
    feature = "vhdx-core",
    feature = "vmdk-core"
))]
mod reader;
mod rqcow2;
mod scripted_writer;
mod seven_zip;
mod spec;
mod tool_env;
mod vbox_img;
#[cfg(feature = "vdi")]
mod vdi;
#[cfg(feature = "vhd-core")]
mod vhd_core;
#[cfg(feature = "vhdx-core")]
mod vhdx_core;
mod vhdx_rs;
#[cfg(feature = "vmdk-core")]
mod vmdk_core;
mod vmdkstream;
pub mod worker;
mod wrapper;
pub mod writing;
mod xo_qcow2;

/// A disk-image tool.
pub trait Tool: Send + Sync {
    /// Returns the name, as in a tool spec.
    fn name(&self) -> &str;

    /// Returns the version that the tool reports.
    fn version(&self) -> &str;

    /// Returns the program; `None` for an embedded library.
    fn program(&self) -> Option<&Path>;

    /// Returns how an embedded library was built, as far as that changes its behaviour and imgduel knows it; `None` for
    /// other tools.
    fn build(&self) -> Option<&'static str> {
        None
    }

    /// Returns which requests about plain images it supports. The first call may run the tool.
    fn capabilities(&self) -> &Capabilities;

    /// Returns whether it supports the request. This depends on the request alone, and runs nothing.
    fn support(&self, request: &Request) -> Support;

    /// Returns what this build lacks for a request that other builds support. The first call may run the tool.
    fn lack(&self, request: &Request) -> Option<String> {
        let _ = request;
        None
    }

    /// Returns the names of what this build lacks and other builds have, as far as the tool reports it. Runs the tool.
    fn lacks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Sends it a request. Whatever the tool does is an answer; an error means that it could not be run.
    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer>;

    /// Returns it as a writer, if it makes images only where it is asked as one.
    fn writer(&self) -> Option<&dyn ImageWriter> {
        None
    }

    /// Sends it a request of which one call fails; `None` if it takes no faults.
    fn ask_faulty(
        &self,
        request: &Request,
        fault: Fault,
        call_context: &CallContext<'_>,
    ) -> Result<Option<Answer>> {
        let _ = (request, fault, call_context);
        Ok(None)
    }

    /// Returns how a person makes the same request without imgduel; nothing is run. [`Request::Contents`] leaves the
    /// guest-visible contents beside the image, as a raw file whose name has the suffix [`FLAT_SUFFIX`].
    fn reproducer(&self, request: &Request) -> Option<Reproducer>;
}

/// A request in the language of one tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reproducer {
    /// A command line, with the program first.
    CommandLine(Vec<String>),
    /// A line of JSON for a program that speaks the adapter protocol; [`DIRECTORY_MARK`] stands for the directory of
    /// the files.
    AdapterLine {
        /// The command that starts the adapter; its words need no quotes.
        command: Vec<String>,
        /// The line of JSON.
        line: String,
    },
    /// A call in Rust, which is inserted into the program `template`.
    RustCall {
        /// A program with a place for calls.
        template: &'static str,
        /// An expression of the type that the template requires.
        call: String,
    },
}

/// The suffix of the name of a flattened image, which lies beside the image.
pub const FLAT_SUFFIX: &str = ".flat";

/// Whether a tool supports a request.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Yes,
    /// It does not; the text names what is missing.
    No(String),
}

impl Support {
    /// Returns `No`, because of `what`.
    pub fn no(what: impl Into<String>) -> Self {
        Self::No(what.into())
    }

    /// Returns `Yes` if there is no objection.
    pub fn unless(objection: Option<String>) -> Self {
        objection.map_or(Self::Yes, Self::No)
    }
}

/// One row of the list of tools.
pub struct Row {
    /// The name in a tool spec.
    pub name: &'static str,
    /// A description of one line.
    pub about: &'static str,
    /// How to install it.
    pub install: &'static str,
    /// Whether it is built into imgduel.
    pub embedded: bool,
    /// Whether it makes all images that cases need, so that it is a reference for every generation.
    pub reference: bool,
    /// Whether it is asked as a writer alone, and reads nothing.
    pub only_makes: bool,
    open: fn(&ToolSpec, &ToolEnv) -> Result<Arc<dyn Tool>>,
}

impl Row {
    /// Returns the spec without a path.
    pub fn spec(&self) -> ToolSpec {
        ToolSpec::named(self.name)
    }

    /// Whether `all` includes it: not the reference, which is there anyway, nor a tool that reads nothing or needs a command.
    pub fn is_for_all(&self) -> bool {
        !self.reference && !self.only_makes && self.name != "adapter"
    }

    /// Returns the row of this name.
    pub fn named(name: &str) -> Result<&'static Self> {
        TOOLS.iter().find(|row| row.name == name).ok_or_else(|| {
            let brought = libraries::brought().into_iter();
            let known: Vec<String> = brought
                .chain(TOOLS.iter().map(|row| row.name.to_owned()))
                .collect();
            Error::usage(format!(
                "there is no tool '{name}': known are {}",
                known.join(", ")
            ))
        })
    }
}

/// Returns the tool under whose name what this one does is known: one crate by two interfaces is one tool.
pub fn known_as(name: &str) -> &str {
    match name {
        imago_async::NAME => "imago",
        other => other,
    }
}

/// Whether the tool of this name is part of this program. Fails if there is no such tool.
fn is_embedded(name: &str) -> Result<bool> {
    Ok(libraries::is_brought(name) || Row::named(name)?.embedded)
}

/// Opens the tool of `spec`: finds it and reads its version.
pub fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    match libraries::is_brought(&spec.name) {
        true => libraries::open(spec, tool_env),
        false => (Row::named(&spec.name)?.open)(spec, tool_env),
    }
}

/// Opens the reference, started as `Launcher::for_reference` describes: any tool that describes and reads images. Cases for which it would have to make an image that
/// it does not make are skipped.
pub fn open_reference(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let tool = open_as_reference(spec, tool_env)?;
    let mut needed = ["info", "contents"].into_iter();
    match needed.find(|request| !tool.capabilities().can(request)) {
        None => Ok(tool),
        Some(request) => Err(Error::usage(format!(
            "{spec} cannot be the reference: it has no {request}"
        ))),
    }
}

/// Opens a tool that is started as `Launcher::for_reference` describes.
pub fn open_as_reference(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let tool_env = ToolEnv {
        launcher: tool_env.launcher.for_reference(),
        ..tool_env.clone()
    };
    open(spec, &tool_env)
}

/// Whether two tools are the same program, so that one would only repeat the other's answers.
pub fn same_program(first: &dyn Tool, second: &dyn Tool) -> bool {
    let real = |tool: &dyn Tool| {
        tool.program()
            .and_then(|program| program.canonicalize().ok())
    };
    first.name() == second.name() && real(first).is_some() && real(first) == real(second)
}
