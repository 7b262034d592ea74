//! Tells the tests at build time which programs are there, so that those that need one can be ignored with what to
//! install instead of failing. Nothing else depends on it.

use std::path::PathBuf;
use std::process::Command;

/// Each is looked for on `PATH`; without it, `missing_NAME` is set.
const PROGRAMS: [(&str, &str); 5] = [
    ("qemu_img", "qemu-img"),
    ("chromium", "chromium"),
    ("nextest", "cargo-nextest"),
    ("python", "python3"),
    ("jq", "jq"),
];

fn main() {
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
    // Modules of python3 lie anywhere: only python3 itself can tell. After installing them, touch build.rs.
    println!("cargo::rustc-check-cfg=cfg(missing_junit_readers)");
    let asked = Command::new("python3")
        .args(["-c", "import junitparser, xmlschema"])
        .output();
    if !asked.is_ok_and(|answer| answer.status.success()) {
        println!("cargo::rustc-cfg=missing_junit_readers");
    }
}
