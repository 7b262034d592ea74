//! Compiles the library that fork servers preload into tools (`preload/fork_server.rs`), and tells the tests which programs are
//! there, so that those that need one can be ignored with what to install instead of failing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each is looked for on `PATH`; without it, `missing_NAME` is set.
const PROGRAMS: [(&str, &str); 6] = [
    ("qemu_img", "qemu-img"),
    ("chromium", "chromium"),
    ("nextest", "cargo-nextest"),
    ("python", "python3"),
    ("jq", "jq"),
    ("7zz", "7zz"),
];

/// Python modules that tests need: a name, the interpreter that has them, the modules. Debian's are the system's own interpreter's.
const MODULES: [(&str, &str, &str); 3] = [
    ("junit_readers", "python3", "junitparser, xmlschema"),
    ("libqcow", "/usr/bin/python3", "pyqcow"),
    ("dissect", "python3", "dissect.hypervisor"),
];

fn main() {
    preload();
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rerun-if-changed=build.rs");
    let path = std::env::var_os("PATH").unwrap_or_default();
    for (name, program) in PROGRAMS {
        println!("cargo::rustc-check-cfg=cfg(missing_{name})");
        let places: Vec<PathBuf> = std::env::split_paths(&path)
            .map(|directory| directory.join(program))
            .collect();
        match places.iter().find(|place| place.is_file()) {
            Some(found) => println!("cargo::rerun-if-changed={}", found.display()),
            None => {
                println!("cargo::rustc-cfg=missing_{name}");
                // One that is not there makes cargo ask again next time.
                places
                    .iter()
                    .for_each(|place| println!("cargo::rerun-if-changed={}", place.display()));
            }
        }
    }
    // Modules lie anywhere: only an interpreter itself can tell. After installing them, touch build.rs.
    for (name, interpreter, modules) in MODULES {
        println!("cargo::rustc-check-cfg=cfg(missing_{name})");
        let asked = Command::new(interpreter)
            .args(["-c", &format!("import {modules}")])
            .output();
        if !asked.is_ok_and(|answer| answer.status.success()) {
            println!("cargo::rustc-cfg=missing_{name}");
        }
    }
}

/// A shared object of its own, without Rust's standard library. Where it cannot be made, tools are started anew for every
/// call, and the program says so.
fn preload() {
    const SOURCE: &str = "preload/fork_server.rs";
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let told = |name: &str| std::env::var(name).unwrap_or_default();
    let library = Path::new(&told("OUT_DIR")).join("fork_server.so");
    let is_glibc = (told("CARGO_CFG_TARGET_OS"), told("CARGO_CFG_TARGET_ENV"))
        == ("linux".to_owned(), "gnu".to_owned());
    let mut rustc = Command::new(told("RUSTC"));
    rustc
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "cdylib",
            "--crate-name",
            "fork_server",
        ])
        .args([
            "-C",
            "panic=abort",
            "-C",
            "opt-level=2",
            "-C",
            "strip=symbols",
        ])
        .args(["--target", &told("TARGET"), "-o"])
        .arg(&library)
        .arg(SOURCE);
    let linker = told("RUSTC_LINKER");
    if !linker.is_empty() {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let made = is_glibc
        .then(|| rustc.output().map_err(|error| error.to_string()))
        .map(|made| match made {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).replace('\n', " ")),
            Err(error) => Err(error),
        });
    if let Some(Err(why)) = &made {
        println!("cargo::warning=no fork server, so imgduel starts every call anew: {why}");
    }
    if !matches!(made, Some(Ok(()))) {
        fs::write(&library, []).expect("the build directory can be written to");
    }
}
