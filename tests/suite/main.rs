//! Everything that is tested by plain `#[test]`s: one program, so that tests that wait for tools run beside each other.
//!
//! Programs of their own are those that speak to cargo themselves (differential, libtest, lies), those whose long runs are asked for by
//! name (ways, endurance), and one that looks at its own memory (faults).

mod adapters;
mod architecture;
mod browser;
mod builds;
mod cache;
mod cage;
mod campaigns;
mod canaries;
mod chain_canaries;
mod chain_rules;
mod command_lines;
mod contest;
mod dialects;
mod documented_findings;
mod documents;
mod doors;
mod embedded_scripts;
mod facade;
mod findings;
mod fork_server;
mod hearings;
mod host_space;
mod inputs;
mod malformed;
mod native;
mod picture;
mod processes;
mod promises;
mod refusals;
mod replay;
mod reports;
#[path = "../ring/mod.rs"]
mod ring;
mod scratch_disks;
mod script_kinds;
mod scripts;
mod stopping;
mod terminal;
mod test_door;
mod timeouts;
mod tools;
mod validity;
