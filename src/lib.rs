//! Differential fuzzing of disk-image tools.
//!
//! imgduel runs the same operation on the same disk image with two tools and says whether they agree. The *reference* is
//! qemu-img, or the model where that is not installed; the *candidate* is whatever is under test. A *case* is an image recipe and a list of operations, decoded
//! whole from (generation, seed, iteration) before anything runs.
//!
//! Most people use the command `imgduel` and the documents in `docs/`. This library is for three uses:
//!
//! # A test target
//!
//! A crate that reads or writes disk images has this as `tests/differential.rs`, with `harness = false` in its `Cargo.toml`; `imgduel init` makes both, and
//! `docs/repository.md` is about the rest:
//!
//! ```ignore
//! struct MyImages;
//!
//! impl imgduel::Library for MyImages {
//!     // capabilities() and open(), and of info(), read(), write(), … what there is.
//! }
//!
//! imgduel::harness! { candidate = MyImages }
//! ```
//!
//! [`Library`] has a whole one. [`test_main`] is a test target with the tools that the settings name.
//!
//! # Cases in a program of one's own
//!
//! ```no_run
//! use imgduel::{Runner, Settings};
//!
//! fn try_one() -> imgduel::Result<()> {
//!     let settings = Settings::from_flags(["--candidate", "qemu-img:/opt/qemu-9/bin/qemu-img"])?;
//!     let runner = Runner::open(&settings)?;
//!     for record in runner.run(&"native1_s7_i000003".parse()?)? {
//!         println!("{}: {}", record.candidate.name, record.verdict);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Such a program calls [`serve_if_asked`] first in `main`; `examples/one_case.rs` is a whole one. [`Runner::with_candidate`] takes an
//! implementation of [`Tool`] as the candidate.
//!
//! # An adapter in Rust
//!
//! A tool in any language takes part through a program that speaks JSON lines (`docs/adapters.md`). `examples/adapter_minimal.rs` is one that needs
//! nothing of this library; [`adapter`] has the messages as types, for those who like them checked:
//!
//! ```
//! use imgduel::adapter::Hello;
//!
//! let hello = r#"{"protocol": 1, "name": "mytool", "version": "2.3", "can": {"contents": ["qcow2"]}}"#;
//! let hello: Hello = serde_json::from_str(hello)?;
//! assert!(!hello.backing);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # Limits
//!
//! * Linux only: processes are watched by pidfd and `/proc`.
//! * A seed is a whole number of at most 64 bits; its sign is ignored, as in Python.
//! * The reference can only be qemu-img, which also creates the source images, or the model, which knows raw, plain qcow2, vmdk, vpc, vhdx and vdi.
//! * Tools are forked after loading, where glibc would call `main`. A program whose constructors store arguments or environment variables would
//!   see those of the loading process. `--exec-mode check` detects such a tool.
//! * Only the first 4 MiB of each output stream of a tool are captured.
//!
//! # The modules
//!
//! The modules below are public only because the tests, benchmarks and fuzz targets of this repository use them. They are hidden in this documentation
//! and change without notice. They are listed in dependency order: each uses only modules above it (`docs/architecture.md`).

pub use base::error::{Cause, Error, Result};
pub use campaign::settings::Settings;
pub use case::{Case, CaseId};
pub use frontend::command::main as command_main;
pub use frontend::harness::Harness;
pub use frontend::runner::Runner;
pub use frontend::serve_if_asked;
pub use frontend::trial::main as test_main;
pub use run::record::Record;
pub use tool::library::{AsyncLibrary, Error as LibraryError, Library};
pub use tool::request::{Answer, CallUsage, Exit, Report, Request, Transcript};
pub use tool::{CallContext, Capabilities, Reproducer, Support, Tool, ToolSpec};

/// Writes the `main` of a test target whose candidates are these libraries; each `async_candidate` is an [`AsyncLibrary`].
///
/// The target has `harness = false` in `Cargo.toml`. This is the whole of it, beside the `impl` of [`Library`]:
///
/// ```ignore
/// imgduel::harness! { candidate = MyImages }
/// ```
#[macro_export]
macro_rules! harness {
    ($($kind:ident = $library:expr),+ $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::Harness::new(env!("CARGO_MANIFEST_DIR"))$(.$kind($library))+.main()
        }
    };
}

/// The messages of the adapter protocol, as `docs/adapters.md` describes them.
pub mod adapter {
    pub use crate::tool::adapter::protocol::{Hello, Lack, Message, Response, VERSION};
}

/// The interface of a library under test: what the author of a crate implements.
pub mod library {
    pub use crate::image::content::{Fill, Recipe, Texture, Write};
    pub use crate::image::format::Format;
    pub use crate::image::options::{CreateOption, CreateOptions, Preallocation};
    pub use crate::tool::library::{
        Access, AsyncLibrary, Blocking, Error, Extent, Info, Library, Offer, Outcome, Resize,
        Result, block_on, one_by_one,
    };
    pub use crate::tool::request::{CheckCounts, ImageFile, SessionRequest};
}

/// The foundation: errors, text, sizes, versions, random numbers.
#[doc(hidden)]
pub mod base;

/// Starts, limits, confines and watches programs; no other module does.
#[doc(hidden)]
pub mod process;

/// Images independent of their files: recipes, contents, the guest's view.
#[doc(hidden)]
pub mod image;

/// On-disk structures of each format: readers, audits, and damage.
#[doc(hidden)]
pub mod disk_format;

/// Requests, answers, and the tools that turn one into the other.
#[doc(hidden)]
pub mod tool;

/// Oracles: comparisons of results, and verdicts.
#[doc(hidden)]
pub mod oracle;

/// Operations: each generates steps and checks their results.
#[doc(hidden)]
pub mod operation;

/// Cases: ids, generations, cost estimates, shrinking, known divergences.
#[doc(hidden)]
pub mod case;

/// Runs one case with both tools and records the result.
#[doc(hidden)]
pub mod run;

/// Runs many cases with several candidates: settings, coverage guidance, corpus.
#[doc(hidden)]
pub mod campaign;

/// Reports for people and programs: pure functions of records.
#[doc(hidden)]
pub mod report;

/// The entry points: the command, the test target, the harness as a library.
#[doc(hidden)]
pub mod frontend;
