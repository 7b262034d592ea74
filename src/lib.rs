//! Differential fuzzing of disk-image tools.
//!
//! imgduel runs the same operation on the same disk image with two tools and says whether they agree. The *reference* is
//! qemu-img; the *candidate* is whatever is under test. A *case* is an image recipe and a list of operations, decoded
//! whole from (generation, seed, iteration) before anything runs.
//!
//! There are two doors: the `differential` test target ([`trial`]), where every regression seed is a named trial, and
//! the command `imgduel` ([`command`]). Both open an [`arena`], which takes cases and gives records.
//!
//! # Reading order
//!
//! The rooms below stand in the order in which they may use each other: a room uses only rooms above it. Data goes one
//! way: a [`case::Case`] is plain data; the [`duel`] puts [`request::Request`]s to tools and gets [`request::Answer`]s; the
//! judges make a [`verdict::Verdict`] of them; reports are pure functions of [`record::Record`]s. A tool's failure is an
//! answer, never an [`error::Error`]: that is kept for the harness itself.
//!
//! # Limits
//!
//! * Linux only: processes are watched by pidfd and `/proc`.
//! * A seed is a whole number of at most 64 bits; as in Python, its sign does not count.
//! * The reference can only be qemu-img: it also makes the fixtures.
//! * Tools are forked where glibc starts them ([`launcher`]); a program that keeps what its constructors saw of arguments or
//!   environment would see those of its loading. `--exec-mode check` shows such a tool.
//! * Of each stream of a tool, the first [`process::CAPTURE_LIMIT_BYTES`] bytes are kept.

/// What the harness itself could not do.
pub mod error;

/// Text for people.
pub mod prose;

/// Where the time goes.
pub mod phase;

/// The order of versions.
pub mod version;

/// Sizes as they are written on command lines.
pub mod size;

/// Simpler versions of plain values.
pub mod simpler;

/// All chance.
pub mod rng;

/// The only room that starts programs.
pub mod process;

/// The image formats.
pub mod format;

/// Guest-visible bytes, sparsely.
pub mod content;

/// What a case out of a file may hold.
pub mod validity;

/// Who has had a file open for writing.
pub mod write_watch;

/// Where the fields of an image lie.
pub mod structure;

/// In which way tools are started.
pub mod launcher;

/// qcow2 on disk.
pub mod qcow2;

/// vmdk on disk.
pub mod vmdk;

/// vpc on disk.
pub mod vpc;

/// vhdx on disk.
pub mod vhdx;

/// vdi on disk.
pub mod vdi;

/// qcow version 1 on disk.
pub mod qcow;

/// parallels on disk.
pub mod parallels;

/// Damage to an image.
pub mod damage;

/// What a case's image is made of.
pub mod image;

/// One thing asked of a tool, and what came of it.
pub mod request;

/// What is said of an operation.
pub mod verdict;

/// Which divergences are one finding.
pub mod signature;

/// What an operation asks of each side, and what came back.
pub mod exchange;

/// Differences that mean nothing.
pub mod normalize;

/// What must agree in every operation.
pub mod judge;

/// What a case made the tools do, in classes.
pub mod behaviour;

/// A third witness: what a guest must see.
pub mod model;

/// The operations.
pub mod operation;

/// A case and its name.
pub mod case;

/// How a seed becomes a case.
pub mod generation;

/// What a case costs the reference.
pub mod cost;

/// A smaller case that shows the same.
pub mod shrink;

/// The tools.
pub mod tool;

/// What the reference answered before.
pub mod cache;

/// A third opinion.
pub mod witness;

/// The catalogue of known divergences.
pub mod known;

/// What happened, for a person.
pub mod evidence;

/// A case's scratch directory.
pub mod sandbox;

/// Source images that many cases share.
pub mod fixture;

/// One case through both tools.
pub mod duel;

/// A case's record, a campaign's summary.
pub mod record;

/// The settings of both doors.
pub mod settings;

/// The tools and the catalogue, opened.
pub mod arena;

/// Several candidates on the same cases.
pub mod contest;

/// The regression seeds.
pub mod seed_file;

/// Stubs of the seeds, for editors.
pub mod stubs;

/// What a campaign has found.
pub mod findings;

/// A finding as a program that shows it.
pub mod script;

/// Many cases.
pub mod campaign;

/// What people and programs read of a run.
pub mod report;

/// The flags and formats of a libtest binary.
pub mod libtest;

/// What is left of trials that have a process each.
pub mod trace;

/// Cases as trials of the test door.
pub mod trial;

/// The command.
pub mod command;
