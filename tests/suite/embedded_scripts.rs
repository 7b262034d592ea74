//! The programs that `imgduel script` prints for findings of embedded crates: each compiles unchanged with the locked versions and reproduces the
//! finding.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(not(missing_qemu_img))]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use imgduel::case::generation::{Generation, Selection};
use imgduel::report::script::script;
use imgduel::run::record::Record;
use imgduel::run::session::Session;

use crate::ring;

const LIMIT: Duration = Duration::from_secs(3);
const SEED: u64 = 7;
/// The maximum number of cases that run with a crate.
const CASES: usize = 40;
/// The maximum number of findings of one crate to reproduce.
const FINDINGS_MAX: usize = 4;

/// Returns the embedded crates, each with the generations that are searched for findings.
fn crates() -> Vec<(&'static str, [&'static str; 2])> {
    let readers = ["native1_readers", "malformed1_readers"];
    let all = [
        (true, "imago", ["native1_imago", "malformed1_imago"]),
        (cfg!(feature = "qcow2-core"), "qcow2-core", readers),
        (cfg!(feature = "vmdk-core"), "vmdk-core", readers),
        (cfg!(feature = "vhd-core"), "vhd-core", readers),
        (cfg!(feature = "vhdx-core"), "vhdx-core", readers),
        (cfg!(feature = "vdi"), "vdi", readers),
    ];
    let here = all.into_iter().filter(|(is_here, ..)| *is_here);
    here.map(|(_, name, generations)| (name, generations))
        .collect()
}

/// Returns findings of a crate, each of a different group.
fn findings(session: &Session, generation: &str, most: usize) -> Vec<Record> {
    let cases = Generation::named(generation).unwrap();
    let cases = cases.cases(SEED, 0, &Selection::ALL).unwrap();
    let cases = cases.filter(|case| session.concerns(case)).take(CASES);
    let mut seen = BTreeSet::new();
    let records = cases.map(|case| session.try_case(case).unwrap());
    let records = records.filter(|record| record.verdict == "divergence");
    let new = records.filter(|record| seen.insert(record.group().unwrap().title()));
    new.take(most).collect()
}

/// Returns the dependency line from the manifest in the comment at the top of a program.
fn dependency(program: &str) -> String {
    let mut lines = program
        .lines()
        .skip_while(|line| *line != "// [dependencies]");
    lines.nth(1).unwrap().trim_start_matches("// ").to_owned()
}

/// Builds a package of these programs, unchanged. The target directory is reused, so that the crates compile only once.
fn built(package: &Path, programs: &[(String, String)]) -> PathBuf {
    fs::create_dir_all(package.join("src/bin")).unwrap();
    let dependencies: BTreeSet<String> =
        programs.iter().map(|(_, text)| dependency(text)).collect();
    let dependencies: Vec<String> = dependencies.into_iter().collect();
    let manifest = format!(
        "[package]\nname = \"reproducers\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{}\n\n[workspace]\n",
        dependencies.join("\n")
    );
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    let lock = ring::package().join("Cargo.lock");
    fs::copy(lock, package.join("Cargo.lock")).unwrap();
    for (name, text) in programs {
        fs::write(package.join(format!("src/bin/{name}.rs")), text).unwrap();
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reproducers");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet", "--bins"])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(package)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.is_empty(), "a program compiles with warnings: {said}");
    target.join("debug")
}

#[test]
#[ignore = "compiles the embedded crates, three minutes: they must be in cargo's cache"]
fn the_program_for_a_finding_of_an_embedded_crate_compiles_and_reproduces_it() {
    let workdir = ring::scratch();
    let mut programs = Vec::new();
    let mut without = Vec::new();
    for (name, generations) in crates() {
        let session = ring::session(name, "qemu-img", LIMIT, workdir.path());
        let before = programs.len();
        for generation in generations {
            let most = FINDINGS_MAX / 2;
            for (number, record) in findings(&session, generation, most).iter().enumerate() {
                let program = script(record, session.candidate(), session.reference(), LIMIT);
                let Ok(text) = program else {
                    without.push(format!("{name}: {}", program.unwrap_err()));
                    continue;
                };
                assert!(!text.contains("imgduel"), "{text}");
                programs.push((format!("{name}_{generation}_{number}"), text));
            }
        }
        assert!(
            programs.len() > before,
            "no finding of {name} has a program"
        );
    }
    let package = tempfile::tempdir().unwrap();
    let binaries = built(package.path(), &programs);
    let wrong: Vec<String> = programs
        .iter()
        .filter_map(|(name, text)| {
            let output = Command::new(binaries.join(name)).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let head: Vec<&str> = text.lines().take(2).collect();
            let code = output.status.code();
            (code != Some(0)).then(|| format!("{name}: exit {code:?}: {head:?}: {said}"))
        })
        .collect();
    println!("{} programs; without one: {without:#?}", programs.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}
