//! The programs of `imgduel script`: on their own they show the divergence with the tool that lies, and not with one that does not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use imgduel::record::Record;
use imgduel::script::script;

use crate::ring;

const CASES_MAX: usize = 60;
const SEED: u64 = 7;
const LIMIT: Duration = Duration::from_secs(30);

fn exit_code(path: &Path, candidate: Option<&str>) -> Option<i32> {
    let mut command = Command::new("sh");
    command.arg(path);
    command.envs(candidate.map(|program| ("CANDIDATE", program)));
    command.output().unwrap().status.code()
}

/// The first case of this operation alone that shows the lie.
fn found(lie: &str, operation: &str, workdir: &Path) -> (imgduel::arena::Arena, Record) {
    let candidate = format!("qemu-img:{}", ring::stand_in(lie).display());
    let arena = ring::arena(&candidate, "qemu-img", LIMIT, workdir);
    let cases = ring::cases("ops16", SEED, &[operation]);
    let record = ring::first_that_differs(&arena, cases, CASES_MAX).expect("the lie is not caught");
    (arena, record)
}

fn shows(lie: &str, operation: &str) {
    let workdir = ring::scratch();
    let (arena, record) = found(lie, operation, workdir.path());
    let text = script(&record, arena.candidate(), arena.reference(), LIMIT).unwrap();
    assert!(
        text.starts_with("#!/bin/sh\n") && !text.contains("imgduel"),
        "{text}"
    );
    let path = workdir.path().join("script.sh");
    std::fs::write(&path, &text).unwrap();
    assert_eq!(exit_code(&path, None), Some(0), "{text}");
    assert_eq!(exit_code(&path, Some("qemu-img")), Some(1), "{text}");
}

macro_rules! scripts {
    ($($name:ident: $lie:literal in $operation:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { shows($lie, $operation); }
        )*
    };
}

scripts! {
    a_wrong_description_shows: "wrong_virtual_size" in "info";
    a_description_that_is_no_json_shows: "info_is_no_json" in "info";
    a_crash_shows: "crashes" in "info";
    a_changed_input_shows: "changes_its_input" in "info";
    a_wrong_exit_shows: "wrong_exit" in "check";
    a_wrong_count_shows: "finds_a_leak" in "check";
    a_wrong_byte_shows: "flips_a_byte" in "convert";
    a_leak_shows: "convert_leaks" in "convert";
    a_wrong_reading_shows: "reads_wrongly" in "convert";
    a_wrong_measure_shows: "wrong_measure" in "measure";
    a_wrong_map_shows: "map_lies_about_zeros" in "map";
    lost_data_shows: "resize_loses_data" in "resize";
    a_commit_that_does_nothing_shows: "commit_does_nothing" in "commit";
    a_wrong_schedule_shows: "bench_counts_wrongly" in "bench";
}

/// imago against qemu-img: maps differ in the holes of the host's file, which the catalogue knows.
#[test]
#[ignore = "compiles the imago crate: half a minute, and it must be in cargo's cache"]
fn a_finding_of_a_library_becomes_a_program_that_compiles_and_shows_it() {
    let workdir = ring::scratch();
    let arena = ring::arena("imago", "qemu-img", LIMIT, workdir.path());
    let cases = ring::cases("ops16", SEED, &["map"]);
    let record = ring::first_that_differs(&arena, cases, CASES_MAX).unwrap();
    let text = script(&record, arena.candidate(), arena.reference(), LIMIT).unwrap();
    assert!(!text.contains("imgduel"), "{text}");
    exits_with_zero(&text, workdir.path());
}

/// Compiles the program as it says itself how, and runs it.
fn exits_with_zero(text: &str, workdir: &Path) {
    let manifest: String = text
        .lines()
        .skip_while(|line| *line != "// [package]")
        .take_while(|line| line.starts_with("//"))
        .map(|line| line.trim_start_matches("//").trim().to_owned() + "\n")
        .collect();
    let package = workdir.join("reproducer");
    std::fs::create_dir_all(package.join("src")).unwrap();
    std::fs::write(package.join("src/main.rs"), text).unwrap();
    std::fs::write(package.join("Cargo.toml"), manifest + "[workspace]\n").unwrap();
    std::fs::copy(
        ring::package().join("Cargo.lock"),
        package.join("Cargo.lock"),
    )
    .unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--offline", "--quiet"])
        .env("CARGO_TARGET_DIR", package.join("target"))
        .current_dir(&package)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
}

/// The short one of `docs/findings`, and the one that is made of a case.
#[test]
#[ignore = "compiles the imago crate twice: a minute, and it must be in cargo's cache"]
fn what_writes_without_end_is_ended_by_a_limit() {
    let workdir = ring::scratch();
    let name = "docs/findings/imago-writes-where-a-damaged-refcount-table-points.rs";
    let text = std::fs::read_to_string(ring::package().join(name)).unwrap();
    exits_with_zero(&text, workdir.path());
    let arena = ring::arena("imago", "qemu-img", LIMIT, workdir.path());
    let path = ring::package().join("tests/golden/malformed1_refcount_table.json");
    let seed = imgduel::seed_file::SeedFile::read(&path).unwrap();
    let record = arena.try_case(seed.case().unwrap()).unwrap();
    let text = script(&record, arena.candidate(), arena.reference(), LIMIT).unwrap();
    exits_with_zero(&text, workdir.path());
}
