//! Differential fuzzing of disk-image tools.
//!
//! imgduel runs the same operation on the same disk image with two tools and says whether they agree. The *reference* is
//! qemu-img; the *candidate* is whatever is under test. A *case* is an image recipe and a list of operations, decoded
//! whole from (generation, seed, iteration) before anything runs.
//!
//! There are two doors: the `differential` test target ([`frontend::trial`]), where every regression seed is a named trial, and
//! the command `imgduel` ([`frontend::command`]). Both open an [`run::arena`], which takes cases and gives records.
//!
//! # Reading order
//!
//! The rooms below stand in the order in which they may use each other: a room uses only rooms above it. Data goes one
//! way: a [`case::Case`] is plain data; the [`run::duel`] puts [`tool::request::Request`]s to tools and gets [`tool::request::Answer`]s; the
//! judges make a [`oracle::verdict::Verdict`] of them; reports are pure functions of [`run::record::Record`]s. A tool's failure is an
//! answer, never an [`base::error::Error`]: that is kept for the harness itself.
//!
//! # Limits
//!
//! * Linux only: processes are watched by pidfd and `/proc`.
//! * A seed is a whole number of at most 64 bits; as in Python, its sign does not count.
//! * The reference can only be qemu-img: it also makes the fixtures.
//! * Tools are forked where glibc starts them ([`tool::launcher`]); a program that keeps what its constructors saw of arguments or
//!   environment would see those of its loading. `--exec-mode check` shows such a tool.
//! * Of each stream of a tool, the first [`process::CAPTURE_LIMIT_BYTES`] bytes are kept.

/// What every room may use.
pub mod base;

/// The only room that starts programs.
pub mod process;

/// What an image is, apart from any file.
pub mod image;

/// What an image is on disk.
pub mod disk_format;

/// The tools: what is asked of them, and what came of it.
pub mod tool;

/// What must agree, and what is said of it.
pub mod oracle;

/// The operations.
pub mod operation;

/// A case: its name, how a seed becomes one, what it costs, smaller ones.
pub mod case;

/// One case through all tools.
pub mod run;

/// Many cases, on several candidates.
pub mod campaign;

/// What people and programs read of a run.
pub mod report;

/// The test target and the command.
pub mod frontend;
