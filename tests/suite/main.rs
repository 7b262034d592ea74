//! All plain `#[test]`s, in one program, so that tests that wait for tools run in parallel.
//!
//! Separate programs are those with their own command line (differential, libtest, lies), those whose long runs are started by name
//! (ways, endurance), and one that measures its own memory (faults).

mod adapters;
mod architecture;
mod browser;
mod bug_reports;
mod builds;
mod cache;
mod campaigns;
mod canaries;
mod candidate_sets;
mod catalogue;
mod chain_canaries;
mod chain_rules;
mod command_lines;
mod confirmation;
mod dialects;
mod documented_findings;
mod documented_images;
mod documents;
mod embedded_scripts;
mod entry_points;
mod facade;
mod faulty_calls;
mod findings;
mod fork_server;
mod from_images;
mod grid;
mod host_space;
mod inputs;
mod inspecting;
mod kept_images;
mod kept_process;
mod malformed;
mod model;
mod native;
mod outsiders;
mod package;
mod picture;
mod prepared_images;
mod processes;
mod readers;
mod refusals;
mod replay;
mod reports;
mod reserved_space;
#[path = "../ring/mod.rs"]
mod ring;
mod sandbox;
mod scratch_disks;
mod script_kinds;
mod scripts;
mod security;
mod sessions;
mod snapshot_canaries;
mod stopping;
mod terminal;
mod test_target;
mod textures;
mod timeouts;
mod tools;
mod validity;
mod writers;
mod written;
