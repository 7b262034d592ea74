//! The command lines of the frozen generations: exactly those of the first release of each generation.
//!
//! An id must always decode to the same case, and the same case must lead to the same command lines. Each row has a digest of all command
//! lines of qemu-img, of instar and of version 1 of the adapter protocol for a number of cases. If a digest differs, the test writes the
//! lines to `target/`, where they can be compared with those of an older commit. Since then only these have changed:
//! the arguments of `bench` have a fixed order and always include the format; instar's `convert` has flags for options and
//! snapshots, its `info`, `map` and `measure` are told a format that is to be told, and its `compare` is not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use imgduel::case::generation::{Generation, Selection};
use imgduel::image::format::Format;
use imgduel::tool::{Reproducer, Tool};
use xxhash_rust::xxh3::xxh3_128;

/// The seed of the cases.
const SEED: u64 = 18;

/// The names of all requests.
const REQUESTS: [&str; 23] = [
    "amend",
    "bench",
    "bitmap",
    "check",
    "commit",
    "compare",
    "contents",
    "convert",
    "convert_snapshot",
    "create",
    "dd",
    "discard",
    "info",
    "map",
    "measure",
    "rebase",
    "repair",
    "resize",
    "snapshot",
    "snapshot_contents",
    "snapshot_list",
    "write",
    "write_zeroes",
];

/// A generation, the number of its cases, and the digest of their command lines.
type Row = (&'static str, usize, &'static str);

const SHORT: [Row; 5] = [
    ("ops7", 100, "b5ab8942760ba71edb103ab76051f873"),
    ("ops16", 200, "42bf49ef720986173290055f0edf9cf1"),
    ("native1", 100, "6056adefb64104ef445d3b2c1241c680"),
    ("native2", 100, "2d6368c1103a18ce214a15921582cd3b"),
    ("malformed1", 200, "a02ccf3aedd07f47004558628bdbdadd"),
];

const LONG: [Row; 5] = [
    ("ops7", 5_000, "b18a1b7c21f70095ecdf1e356d0d7343"),
    ("ops16", 20_000, "49548650153a4d06a82896a068715453"),
    ("native1", 20_000, "91aa46cde56b0db8d886932bac449438"),
    ("native2", 20_000, "22e6254d8d2ff54ecb7214163aa2e9d0"),
    ("malformed1", 20_000, "601655607e1492fb6ddae1ff4fb3c1f0"),
];

/// Returns the command line or adapter message for a request in one line, without the path of the program.
fn line(tool: &dyn Tool, request: &imgduel::tool::request::Request) -> Option<String> {
    match tool.reproducer(request)? {
        Reproducer::CommandLine(words) => Some(words[1..].join("\u{1f}")),
        Reproducer::AdapterLine { line, .. } => Some(line),
        Reproducer::RustCall { .. } => None,
    }
}

fn lines(tools: &[std::sync::Arc<dyn Tool>], generation: &str, cases: usize) -> String {
    let mut lines = String::new();
    let generation = Generation::named(generation).unwrap();
    for case in generation
        .cases(SEED, 0, &Selection::ALL)
        .unwrap()
        .take(cases)
    {
        for (index, operation) in case.ops.iter().enumerate() {
            for step in operation.perform().steps(&case.context(index)) {
                let Some(request) = step.task.request() else {
                    continue;
                };
                for tool in tools {
                    if let Some(line) = line(&**tool, request) {
                        writeln!(lines, "{} {} {line}", case.id(), tool.name()).unwrap();
                    }
                }
            }
        }
    }
    lines
}

/// Creates an adapter with version 1 of the protocol that declares support for everything and does nothing.
fn first_version(directory: &Path) -> PathBuf {
    let formats: Vec<&str> = Format::all().map(Format::name).collect();
    let can: BTreeMap<&str, &[&str]> = REQUESTS.map(|name| (name, &*formats)).into();
    let hello = serde_json::json!({
        "protocol": 1, "name": "first", "version": "1", "can": can, "backing": true
    });
    let path = directory.join("adapter");
    std::fs::write(
        &path,
        format!("#!/bin/sh\nread line\necho '{hello}'\nread line\n"),
    )
    .unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

/// Asserts that all digests are unchanged.
fn hold(rows: &[Row]) {
    let scratch = ring::scratch();
    let adapter = first_version(scratch.path());
    let tools = [
        "qemu-img".to_owned(),
        format!("instar:{}", ring::stand_in("instar").display()),
        format!("adapter:{}", adapter.display()),
    ]
    .map(|spec| ring::open(&spec));
    let mut differing = Vec::new();
    for (generation, cases, digest) in rows {
        let lines = lines(&tools, generation, *cases);
        let found = format!("{:032x}", xxh3_128(lines.as_bytes()));
        if found != *digest {
            let path = ring::package().join(format!("target/command-lines-{generation}-{cases}"));
            std::fs::write(path, lines).unwrap();
            differing.push((*generation, *cases, found));
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_command_lines_of_frozen_cases_are_unchanged() {
    hold(&SHORT);
}

#[test]
#[ignore = "takes minutes: run it when requests, tools or generations change"]
fn the_command_lines_of_very_many_frozen_cases_are_unchanged() {
    hold(&LONG);
}
