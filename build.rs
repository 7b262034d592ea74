//! Compiles what imgduel carries to start tools with (`preload`), and tells the tests which programs are
//! there, so that those that need one can be ignored with what to install instead of failing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each is looked for on `PATH`; without it, `missing_NAME` is set.
const PROGRAMS: [(&str, &str); 14] = [
    ("qemu_img", "qemu-img"),
    ("chromium", "chromium"),
    ("nextest", "cargo-nextest"),
    ("python", "python3"),
    ("jq", "jq"),
    ("7zz", "7zz"),
    ("rqcow2", "rqcow2"),
    ("vbox_img", "vbox-img"),
    ("bximage", "bximage"),
    ("nbdkit", "nbdkit"),
    // A module for Node, where `npm install -g` leaves it beside a directory of `PATH`.
    (
        "xo_qcow2",
        "../lib/node_modules/@xen-orchestra/qcow2/package.json",
    ),
    ("imago_async", "imgduel-imago-async"),
    ("vhdx_rs", "imgduel-vhdx-rs"),
    ("qcow2_rs", "imgduel-qcow2-rs"),
];

/// Python modules that tests need: a name, the modules, and whether any interpreter on `PATH` will do, as for a tool, or it must be the first.
const MODULES: [(&str, &str, bool); 9] = [
    ("pytest", "pytest", false),
    ("junit_readers", "junitparser, xmlschema", false),
    ("libqcow", "pyqcow", true),
    ("libvmdk", "pyvmdk", true),
    ("libvhdi", "pyvhdi", true),
    ("dissect", "dissect.hypervisor", true),
    ("fs_explorer", "fs_explorer", true),
    ("vmdkstream", "VMDKstream", true),
    ("pyvhd", "pyvhd", true),
];

/// Releases of whose defects tests tell: a name, a program, what it is asked, and what is in its answer then. With any other, `another_NAME` is set.
const RELEASES: [(&str, &str, &[&str], &str); 6] = [
    ("qemu_img", "qemu-img", &["--version"], "version 10.0.2 "),
    ("7zz", "7zz", &["i"], " 25.01 "),
    (
        "libqcow",
        "python3",
        &["-c", "import pyqcow; print(pyqcow.get_version())"],
        "20201213",
    ),
    (
        "libvmdk",
        "python3",
        &["-c", "import pyvmdk; print(pyvmdk.get_version())"],
        "20200926",
    ),
    (
        "libvhdi",
        "python3",
        &["-c", "import pyvhdi; print(pyvhdi.get_version())"],
        "20210425",
    ),
    (
        "dissect",
        "python3",
        &[
            "-c",
            "import importlib.metadata as m; print(m.version('dissect.hypervisor'))",
        ],
        "3.21",
    ),
];

fn main() {
    println!("cargo::rerun-if-changed=preload");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    println!("cargo::rerun-if-changed=build.rs");
    PRELOADED.iter().for_each(preload);
    declare();
    // A package from the registry has no tests: nobody asks what they would need.
    if Path::new("tests/suite").is_dir() {
        println!("cargo::rerun-if-env-changed=PATH");
        look_for_programs();
    }
}

/// Tells the compiler which conditions there are, whether or not they are looked into.
fn declare() {
    let missing = PROGRAMS.iter().map(|(name, _)| *name);
    let modules = MODULES.iter().map(|(name, ..)| *name);
    let others = ["mount_namespaces", "other_users"];
    for name in missing.chain(modules).chain(others) {
        println!("cargo::rustc-check-cfg=cfg(missing_{name})");
    }
    for (name, ..) in RELEASES {
        println!("cargo::rustc-check-cfg=cfg(another_{name})");
    }
}

/// Looks for what the tests need, and sets a condition for each that is not there.
fn look_for_programs() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    for (name, program) in PROGRAMS {
        let places: Vec<PathBuf> = std::env::split_paths(&path)
            .map(|directory| directory.join(program))
            .collect();
        match places.iter().find(|place| place.is_file()) {
            Some(found) => println!("cargo::rerun-if-changed={}", found.display()),
            None => {
                println!("cargo::rustc-cfg=missing_{name}");
                // When something comes to where it would be, cargo asks again; to name the file itself would build everything anew each time.
                let directories = places.iter().filter_map(|place| place.parent());
                directories
                    .filter(|directory| directory.is_dir())
                    .for_each(|directory| {
                        println!("cargo::rerun-if-changed={}", directory.display())
                    });
            }
        }
    }
    // Modules lie anywhere: only an interpreter itself can tell. After installing them, touch build.rs.
    for (name, modules, any_will_do) in MODULES {
        let interpreters = std::env::split_paths(&path).map(|directory| directory.join("python3"));
        let has_them = |interpreter: PathBuf| {
            let asked = Command::new(interpreter)
                .args(["-c", &format!("import {modules}")])
                .output();
            asked.is_ok_and(|answer| answer.status.success())
        };
        let interpreters = interpreters.filter(|interpreter| interpreter.is_file());
        let mut tried = interpreters.take(if any_will_do { usize::MAX } else { 1 });
        if !tried.any(has_them) {
            println!("cargo::rustc-cfg=missing_{name}");
        }
    }
    for (name, program, arguments, wanted) in RELEASES {
        let programs = std::env::split_paths(&path).map(|directory| directory.join(program));
        let answers = programs.filter_map(|program| {
            let answer = Command::new(program).args(arguments).output().ok()?;
            answer.status.success().then_some(answer.stdout)
        });
        // The first that is here counts; what is not here is not another.
        let first = answers.map(|said| String::from_utf8_lossy(&said).into_owned());
        if first.take(1).any(|said| !said.contains(wanted)) {
            println!("cargo::rustc-cfg=another_{name}");
        }
    }
    let asked = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .output();
    if !asked.is_ok_and(|answer| answer.status.success()) {
        println!("cargo::rustc-cfg=missing_mount_namespaces");
    }
    if !other_users() {
        println!("cargo::rustc-cfg=missing_other_users");
    }
}

/// What only root can do: to be somebody else, who may read what is built.
fn other_users() -> bool {
    let built = std::env::var_os("OUT_DIR").unwrap_or_default();
    let asked = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "test",
            "-r",
        ])
        .arg(built)
        .output();
    asked.is_ok_and(|answer| answer.status.success())
}

/// What is carried inside imgduel and works in or just before tools: programs of their own, without Rust's standard library, of one source
/// (`preload/lib.rs`).
struct Preloaded {
    name: &'static str,
    flags: &'static [&'static str],
    /// What is done where it cannot be made.
    without: &'static str,
}

const PRELOADED: [Preloaded; 4] = [
    Preloaded {
        name: "fork_server",
        flags: &["--crate-type", "cdylib"],
        without: "no fork server, so imgduel starts every call anew",
    },
    Preloaded {
        name: "entropy",
        flags: &["--crate-type", "cdylib"],
        without: "random bytes are not fixed, so embedded libraries may write other bytes in each run",
    },
    Preloaded {
        name: "holes",
        flags: &["--crate-type", "cdylib"],
        without: "no holes in place of zeros, so cases against the model take longer",
    },
    Preloaded {
        name: "zygote",
        flags: &[
            "--crate-type",
            "bin",
            "-Crelocation-model=static",
            "-Ctarget-feature=+crt-static",
            "-Cdefault-linker-libraries=no",
            "-Clink-args=-nostartfiles -nostdlib -static",
        ],
        without: "no zygote, so imgduel limits tools only after their start",
    },
];

/// Where one cannot be made, it is left empty: the program does without, and says so.
fn preload(wanted: &Preloaded) {
    let Preloaded {
        name,
        flags,
        without,
    } = wanted;
    let told = |name: &str| std::env::var(name).unwrap_or_default();
    let made_at = Path::new(&told("OUT_DIR")).join(name);
    let is_glibc = (told("CARGO_CFG_TARGET_OS"), told("CARGO_CFG_TARGET_ENV"))
        == ("linux".to_owned(), "gnu".to_owned());
    let mut rustc = Command::new(told("RUSTC"));
    rustc
        .args(["--edition", "2024", "--crate-name", name])
        .args(["--cfg", "standalone", "--cfg", &format!("program={name:?}")])
        .args(*flags)
        .args(["-Cpanic=abort", "-Copt-level=2", "-Cstrip=symbols"])
        .args(["--target", &told("TARGET"), "-o"])
        .arg(&made_at)
        .arg("preload/lib.rs");
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
        println!("cargo::warning={without}: {why}");
    }
    if !matches!(made, Some(Ok(()))) {
        fs::write(&made_at, []).expect("the build directory can be written to");
    }
}
