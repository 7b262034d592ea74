//! The tools, one file and one row each.
//!
//! A tool turns a request into a command line of its dialect or a library call, and says beforehand which requests it can answer.
//! It never names an operation. Adding one: a file, its `mod` line and its row below.

/// What the reference answered before.
pub mod cache;
/// In which way tools are started.
pub mod launcher;
/// The libraries that this program was built with.
pub mod libraries;
/// One thing asked of a tool, and what came of it.
pub mod request;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::base::error::{Error, Result};
use crate::process::{Invocation, SandboxPolicy};
use crate::tool::launcher::Launcher;
use crate::tool::request::{Answer, Request};

pub use capabilities::{Capabilities, Capability};
pub use spec::ToolSpec;

pub mod adapter;
mod arithmetic;
mod capabilities;
mod command_line;
mod imago;
mod instar;
mod python;
#[cfg(feature = "qcow2-core")]
mod qcow2_core;
mod qemu_img;
mod reader;
mod rqcow2;
mod seven_zip;
mod spec;
#[cfg(feature = "vdi")]
mod vdi;
#[cfg(feature = "vhd-core")]
mod vhd_core;
#[cfg(feature = "vhdx-core")]
mod vhdx_core;
#[cfg(feature = "vmdk-core")]
mod vmdk_core;
pub mod worker;

/// A disk-image tool.
pub trait Tool: Send + Sync {
    /// Its name, as in a tool spec.
    fn name(&self) -> &str;

    /// Its version, as it says itself.
    fn version(&self) -> &str;

    /// The program that is run; `None` for an embedded library.
    fn program(&self) -> Option<&Path>;

    /// How it was built, as far as that changes what it does and this program knows; `None` for one that is not embedded.
    fn build(&self) -> Option<&'static str> {
        None
    }

    /// What it can be asked about plain images. The first call may run it.
    fn capabilities(&self) -> &Capabilities;

    /// Whether it can be asked this at all. Known before anything runs, from the request alone.
    fn support(&self, request: &Request) -> Support;

    /// What this build of it lacks, in words, to do a request that the tool as such can do. The first call may run it.
    fn lack(&self, request: &Request) -> Option<String> {
        let _ = request;
        None
    }

    /// What this build of it lacks that others have, by name, as far as it tells when it is asked. Runs it.
    fn lacks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Asks it. Whatever the tool does is an answer; an error means that it could not be asked.
    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer>;

    /// How a person asks it the same without this program; nothing is run. [`Request::Contents`] leaves what a guest sees
    /// beside the image, as a raw file with [`FLAT_SUFFIX`] behind its name.
    fn wording(&self, request: &Request) -> Option<Reproducer>;
}

/// A request in the words of one tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reproducer {
    /// A command line, the program first.
    CommandLine(Vec<String>),
    /// A line of JSON for a program that speaks the adapter protocol, in which [`DIRECTORY_MARK`] stands for where the files are.
    AdapterLine {
        /// The command that starts it, its words in no need of quotes.
        command: Vec<String>,
        /// The line.
        line: String,
    },
    /// A call in Rust, to stand in the program that `template` is made into.
    RustCall {
        /// A program with a place for calls.
        template: &'static str,
        /// An expression of the type that the template wants.
        call: String,
    },
}

/// The end of a flattened image's name; it lies beside the image.
pub const FLAT_SUFFIX: &str = ".flat";

/// The directory in the line of an adapter that is asked by hand.
pub const DIRECTORY_MARK: &str = "@DIRECTORY@";

/// Whether a tool can be asked something.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// It can.
    Yes,
    /// It cannot: what exactly is missing.
    No(String),
}

impl Support {
    /// No, because of `what`.
    pub fn no(what: impl Into<String>) -> Self {
        Self::No(what.into())
    }

    /// Yes when there is no objection.
    pub fn unless(objection: Option<String>) -> Self {
        objection.map_or(Self::Yes, Self::No)
    }
}

/// Where and how long a tool may work.
#[derive(Clone, Copy, Debug)]
pub struct CallContext<'call> {
    /// The side's directory: requests name files relative to it.
    pub directory: &'call Path,
    /// Wall time for one call.
    pub limit: Duration,
    /// Wall time that a call may take beyond that for as long as it is busy.
    pub grace: Duration,
    /// What the tool may use up and touch.
    pub sandbox: &'call SandboxPolicy,
    /// How large its address space may become, in bytes, where that is less than the sandbox allows.
    pub memory_bytes_max: Option<u64>,
}

impl<'call> CallContext<'call> {
    /// A call of `program` in this scene.
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
            memory_bytes_max,
        }
    }
}

/// The least wall time that a tool has to tell its version.
const OPENING_LIMIT_MIN: Duration = Duration::from_secs(5);

/// What is needed to open a tool.
#[derive(Clone)]
pub struct ToolEnv {
    /// The program that serves as worker when it is started with [`worker::ARGUMENT`]: this one.
    pub worker_program: PathBuf,
    /// Wall time for asking a tool its version.
    pub limit: Duration,
    /// Starts the tools that are programs.
    pub launcher: Arc<Launcher>,
}

impl ToolEnv {
    /// Uses this very program as the worker. `limit` is what one request may take; a tool has at least [`OPENING_LIMIT_MIN`] to tell its
    /// version, so that a short limit for requests never keeps a run from starting on a busy machine.
    pub fn of_this_program(limit: Duration, launcher: Arc<Launcher>) -> Result<Self> {
        let worker_program = std::env::current_exe().map_err(|error| {
            Error::system(format!("cannot tell where this program lies: {error}"))
        })?;
        Ok(Self {
            worker_program,
            limit: limit.max(OPENING_LIMIT_MIN),
            launcher,
        })
    }
}

/// One row of the list of tools.
pub struct Row {
    /// Its name in a tool spec.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// How to get it.
    pub install: &'static str,
    /// Whether it is part of this program.
    pub embedded: bool,
    /// Whether it can be the reference, which also makes the fixtures.
    pub reference: bool,
    open: fn(&ToolSpec, &ToolEnv) -> Result<Arc<dyn Tool>>,
}

/// Every tool there is.
pub static TOOLS: [Row; 15] = [
    Row {
        name: "imago",
        about: "the imago crate, embedded, run in a worker process",
        install: "part of this program",
        embedded: true,
        reference: false,
        open: imago::open,
    },
    Row {
        name: "qemu-img",
        about: "QEMU's qemu-img, with qemu-io beside it for guest writes",
        install: "on Debian and Ubuntu: apt-get install qemu-utils",
        embedded: false,
        reference: true,
        open: qemu_img::open,
    },
    Row {
        name: "instar",
        about: "instar, which parses images inside a KVM guest",
        install: "see the instar project; it needs /dev/kvm",
        embedded: false,
        reference: false,
        open: instar::open,
    },
    Row {
        name: "qcow2-core",
        about: "the qcow2-core crate, embedded: reads qcow2",
        install: "part of this program, unless it was built without it",
        embedded: true,
        reference: false,
        open: libraries::open,
    },
    Row {
        name: "vmdk-core",
        about: "the vmdk-core crate, embedded: reads vmdk",
        install: "part of this program, unless it was built without it",
        embedded: true,
        reference: false,
        open: libraries::open,
    },
    Row {
        name: "vhd-core",
        about: "the vhd-core crate, embedded: reads vpc",
        install: "part of this program, unless it was built without it",
        embedded: true,
        reference: false,
        open: libraries::open,
    },
    Row {
        name: "vhdx-core",
        about: "the vhdx-core crate, embedded: reads vhdx",
        install: "part of this program, unless it was built without it",
        embedded: true,
        reference: false,
        open: libraries::open,
    },
    Row {
        name: "vdi",
        about: "the vdi crate, embedded: reads vdi",
        install: "part of this program, unless it was built without it",
        embedded: true,
        reference: false,
        open: libraries::open,
    },
    Row {
        name: "7zz",
        about: "7-Zip, which lists and extracts disk images",
        install: "on Debian and Ubuntu: apt-get install 7zip",
        embedded: false,
        reference: false,
        open: seven_zip::open,
    },
    Row {
        name: "rqcow2",
        about: "the command of the qcow2-rs crate",
        install: "cargo install qcow2-rs",
        embedded: false,
        reference: false,
        open: rqcow2::open,
    },
    Row {
        name: "libqcow",
        about: "libyal's libqcow, by its Python module: reads qcow2",
        install: "on Debian and Ubuntu: apt-get install python3-libqcow",
        embedded: false,
        reference: false,
        open: python::open,
    },
    Row {
        name: "libvmdk",
        about: "libyal's libvmdk, by its Python module: reads vmdk",
        install: "on Debian and Ubuntu: apt-get install python3-libvmdk",
        embedded: false,
        reference: false,
        open: python::open,
    },
    Row {
        name: "libvhdi",
        about: "libyal's libvhdi, by its Python module: reads vpc and vhdx",
        install: "on Debian and Ubuntu: apt-get install python3-libvhdi",
        embedded: false,
        reference: false,
        open: python::open,
    },
    Row {
        name: "dissect.hypervisor",
        about: "Fox-IT's readers of virtual disks, in Python",
        install: "pip install dissect.hypervisor",
        embedded: false,
        reference: false,
        open: python::open,
    },
    Row {
        name: "adapter",
        about: "any program that speaks the adapter protocol (docs/adapters.md)",
        install: "write adapter:COMMAND",
        embedded: false,
        reference: false,
        open: adapter::open,
    },
];

impl Row {
    /// Its tool as it is found without being told where.
    pub fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: self.name.to_owned(),
            path: None,
        }
    }

    /// Whether `all` means it too: not the reference, which is there anyway, nor what must be told a command.
    pub fn is_for_all(&self) -> bool {
        !self.reference && self.name != "adapter"
    }

    /// The row called `name`.
    pub fn named(name: &str) -> Result<&'static Self> {
        TOOLS.iter().find(|row| row.name == name).ok_or_else(|| {
            let known: Vec<&str> = TOOLS.iter().map(|row| row.name).collect();
            Error::usage(format!(
                "there is no tool '{name}': known are {}",
                known.join(", ")
            ))
        })
    }
}

/// Opens the tool that `spec` names: finds it and asks its version.
pub fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    (Row::named(&spec.name)?.open)(spec, tool_env)
}

/// Opens the reference: a tool that can also make fixtures. It is started as [`Launcher::for_reference`] says.
pub fn open_reference(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let row = Row::named(&spec.name)?;
    if !row.reference {
        return Err(Error::usage(format!(
            "{spec} cannot be the reference: only qemu-img can"
        )));
    }
    let tool_env = ToolEnv {
        launcher: tool_env.launcher.for_reference(),
        ..tool_env.clone()
    };
    open(spec, &tool_env)
}

/// Whether two tools are the same program, so that one would only repeat what the other said.
pub fn same_program(first: &dyn Tool, second: &dyn Tool) -> bool {
    let real = |tool: &dyn Tool| {
        tool.program()
            .and_then(|program| program.canonicalize().ok())
    };
    first.name() == second.name() && real(first).is_some() && real(first) == real(second)
}
