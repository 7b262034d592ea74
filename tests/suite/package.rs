//! The package as others would get it: it holds every file that its build reads, and cargo has nothing to remark.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ring;

/// The files of the package, and what cargo remarks when it lists them.
fn listed() -> (BTreeSet<PathBuf>, String) {
    let mut cargo = ring::started(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "package",
        "--list",
        "--allow-dirty",
        "--locked",
        "--offline",
    ]);
    let output = cargo.current_dir(ring::package()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let files = String::from_utf8_lossy(&output.stdout).into_owned();
    (files.lines().map(PathBuf::from).collect(), said)
}

/// The files below a directory of the package that end so.
fn below(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut open = vec![ring::package().join(directory)];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|own| own == ending) {
            found.push(path);
        }
    }
    found
}

/// What a source file takes in as it is compiled, told by the path in `include_str!` and its like, where that is written out.
fn included(source: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(source).unwrap();
    let mut found = Vec::new();
    for name in ["include_str!(", "include_bytes!("] {
        for part in text.split(name).skip(1) {
            let words = part
                .trim_start()
                .strip_prefix('"')
                .and_then(|rest| rest.split_once('"'));
            found.extend(words.map(|(path, _)| source.parent().unwrap().join(path)));
        }
    }
    found
}

/// Whether a build reads a source file: not if it holds unit tests alone, whose `mod` line is under `cfg(test)`.
fn is_built(source: &Path) -> bool {
    let own = source.strip_prefix(ring::package()).unwrap_or(source);
    own.with_extension("").iter().all(|part| part != "tests")
}

#[test]
fn unit_tests_in_files_of_their_own_are_read_by_tests_alone() {
    let sources = below("src", "rs").into_iter().chain(below("preload", "rs"));
    let mut seen = 0;
    for source in sources.filter(|source| is_built(source)) {
        let text = fs::read_to_string(&source).unwrap();
        for (before, _) in text.match_indices("mod tests;") {
            seen += 1;
            let is_for_tests = text[..before].trim_end().ends_with("#[cfg(test)]");
            assert!(is_for_tests, "{}", source.display());
        }
    }
    assert!(seen > 5, "only {seen}");
}

#[test]
fn the_package_holds_all_that_its_build_reads() {
    let (files, remarks) = listed();
    // The tests and the benchmark of this repository are left out on purpose.
    let mut remarks = remarks.lines().filter(|line| line.contains("warning"));
    let other = remarks.find(|line| !line.contains("not included in the published package"));
    assert_eq!(other, None);
    let sources = below("src", "rs")
        .into_iter()
        .filter(|source| is_built(source));
    let sources: Vec<PathBuf> = sources.collect();
    let taken_in = sources.iter().flat_map(|source| included(source));
    let wanted: Vec<PathBuf> = taken_in
        .chain(sources.iter().cloned())
        .chain(
            below("preload", "rs")
                .into_iter()
                .filter(|source| is_built(source)),
        )
        .collect();
    assert!(wanted.len() > 200, "only {}", wanted.len());
    for path in wanted {
        let path = path.canonicalize().unwrap();
        let own = path.strip_prefix(ring::package()).unwrap();
        // cargo makes the lock file of a package itself.
        assert!(
            files.contains(own) || own == Path::new("Cargo.lock"),
            "{} is not in the package",
            own.display()
        );
    }
    for name in [
        "README.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "examples/adapter_minimal.rs",
    ] {
        assert!(
            files.contains(Path::new(name)),
            "{name} is not in the package"
        );
    }
    for path in &files {
        let is_ours_alone = [
            ".ci",
            ".github",
            "benches",
            "fuzz",
            "findings",
            "tests/suite",
        ]
        .iter()
        .any(|own| path.starts_with(own));
        assert!(
            !is_ours_alone,
            "{} is of no use in the package",
            path.display()
        );
    }
}

#[test]
fn the_package_has_less_than_a_mebibyte() {
    const BYTES_MAX: u64 = 1 << 20;
    let directory = concat!(env!("CARGO_TARGET_TMPDIR"), "/package");
    let mut cargo = ring::started(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["package", "--no-verify", "--allow-dirty", "--locked"]);
    cargo.args(["--offline", "--quiet", "--target-dir", directory]);
    let output = cargo.current_dir(ring::package()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let name = concat!("package/imgduel-", env!("CARGO_PKG_VERSION"), ".crate");
    let made = Path::new(directory).join(name);
    let bytes = fs::metadata(made).unwrap().len();
    assert!(bytes < BYTES_MAX, "{bytes} bytes");
}
