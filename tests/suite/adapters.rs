//! The adapter protocol: the documented examples conform to it, and the check reports adapters that do not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(not(missing_qemu_img))]

use crate::ring;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use imgduel::image::format::Format;
use imgduel::image::options::CreateOption;
use imgduel::tool::adapter::{Check, Examination};
use imgduel::tool::request::{Exit, ImageFile, Request, Window};
use imgduel::tool::{self, CallContext, Reproducer};

/// Runs all conformance checks on an adapter.
fn examined(command: &str, limit: Duration) -> Vec<Check> {
    let adapter = ring::open(&format!("adapter:{command}"));
    let reference = ring::open("qemu-img");
    let directory = tempfile::tempdir().unwrap();
    let examination = Examination {
        adapter: &*adapter,
        reference: &*reference,
        directory: directory.path(),
        limit,
    };
    examination.checks().unwrap()
}

/// Returns the names of the failed checks.
fn wrong(checks: &[Check]) -> Vec<String> {
    let wrong = checks.iter().filter_map(|check| {
        let why = check.failure.as_ref()?;
        Some(format!("{}: {why}", check.what))
    });
    wrong.collect()
}

fn lying(lie: &str) -> String {
    format!("{} {lie}", ring::stand_in("lying_adapter").display())
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn the_examples_of_the_documentation_pass_their_checks() {
    let documented = |name: &str| ring::package().join("docs/adapters").join(name);
    let checks = examined(
        &documented("reader.py").display().to_string(),
        Duration::from_secs(30),
    );
    assert_eq!(wrong(&checks), Vec::<String>::new());
    assert_eq!(checks.len(), 8);
    let text = std::fs::read_to_string(documented("reader.py")).unwrap();
    assert!(text.lines().count() <= 60, "an example is short");
}

#[test]
#[cfg_attr(
    missing_jq,
    ignore = "jq is not here (on Debian and Ubuntu: apt-get install jq)"
)]
fn the_shell_example_of_the_documentation_passes_its_checks() {
    let path = ring::package().join("docs/adapters/qemu-img.sh");
    let checks = examined(&path.display().to_string(), Duration::from_secs(30));
    assert_eq!(wrong(&checks), Vec::<String>::new());
    assert_eq!(checks.len(), 16);
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn each_protocol_violation_of_an_adapter_is_reported() {
    let limit = Duration::from_secs(30);
    let told = |lie: &str| wrong(&examined(&lying(lie), limit));
    let expected = [
        (
            "flips_a_byte",
            "contents raw: byte at guest offset 65536 is 0x5b",
        ),
        ("dies", "crashed: the worker ended with exit 3"),
        ("panics", "crashed: panic: an assertion"),
        ("misspells", "unknown field `refuse`"),
        ("names_another_directory", "is not the name of a file"),
        ("leaves_nothing", "it left no contents"),
        ("tells_another_size", "\"virtual-size\" is to be 1048576"),
        ("refuses_all", "contents raw: exit 1: no"),
        ("talks", "its answer is not that of an adapter"),
    ];
    for (lie, words) in expected {
        let told = told(lie);
        assert!(
            told.iter().any(|line| line.contains(words)),
            "{lie}: {told:#?}"
        );
    }
}

#[test]
fn an_adapter_is_asked_in_the_version_that_it_says_it_speaks() {
    let scratch = ring::scratch();
    let line = |version: u32| {
        let hello = serde_json::json!({
            "protocol": version, "name": "a", "version": "1", "can": {"map": ["qcow2"]}
        });
        let path = scratch.path().join(format!("adapter{version}"));
        std::fs::write(
            &path,
            format!("#!/bin/sh\nread line\necho '{hello}'\nread line\n"),
        )
        .unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let adapter = ring::open(&format!("adapter:{}", path.display()));
        let request = Request::Map {
            file: ImageFile::new("a", Format::Qcow2).with_options([CreateOption::ExtendedL2(true)]),
            window: Window {
                start: Some(512),
                length: None,
            },
        };
        match adapter.reproducer(&request) {
            Some(Reproducer::AdapterLine { line, .. }) => line,
            other => panic!("{other:?}"),
        }
    };
    assert!(line(1).contains(r#""options":["extended_l2=on"]},"window":["--start-offset","512"]"#));
    assert!(line(2).contains(r#""options":{"extended_l2":true}},"window":{"start":512}"#));
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn an_adapter_that_hangs_is_killed_and_the_next_request_gets_a_new_one() {
    let adapter = ring::open(&format!("adapter:{}", lying("hangs")));
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("plain.raw"), [1; 512]).unwrap();
    let request = Request::Contents {
        file: ImageFile::new("plain", Format::Raw),
    };
    for _ in 0..2 {
        let call_context = CallContext {
            directory: directory.path(),
            limit: Duration::from_millis(300),
            grace: Duration::ZERO,
            sandbox: &imgduel::process::SandboxPolicy::default(),
            memory_bytes_max: None,
        };
        let answer = adapter.ask(&request, &call_context).unwrap();
        assert!(
            matches!(answer.exit, Exit::TimedOut(_)),
            "{:?}",
            answer.exit
        );
    }
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn a_feature_that_an_adapter_declares_unsupported_is_counted_and_not_a_divergence() {
    let workdir = tempfile::tempdir().unwrap();
    let spec = format!("adapter:{}", lying("truth"));
    let session = ring::session(&spec, "qemu-img", Duration::from_secs(30), workdir.path());
    let records = ring::cases("native1", 3, &["read", "write"])
        .take(12)
        .map(|case| session.try_case(case).unwrap())
        .collect::<Vec<_>>();
    assert!(records.iter().all(|record| record.verdict != "divergence"));
    let lacking = records.iter().filter(|record| {
        record
            .operations
            .iter()
            .any(|operation| operation.reason.as_deref() == Some("qcow2, after all"))
    });
    assert!(lacking.count() > 0);
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn a_program_that_is_not_an_adapter_is_reported_in_one_line() {
    let complaint = |command: &str| {
        let spec = format!("adapter:{command}").parse().unwrap();
        match tool::open(&spec, &ring::tool_env()) {
            Ok(_) => panic!("{command} was opened"),
            Err(error) => error.to_string(),
        }
    };
    assert!(complaint("/bin/cat").contains("its hello is not that of an adapter"));
    assert!(complaint("/bin/true").contains("no hello came (exit 0)"));
    assert!(complaint("/no/such/program").contains("is not there"));
    assert!(complaint(&lying("speaks_another_version")).contains("it speaks version 7"));
    assert!(Path::new("/bin/cat").exists());
}

#[test]
fn the_example_in_rust_passes_its_checks() {
    let command = ring::example("adapter_minimal");
    let checks = examined(&command.display().to_string(), Duration::from_secs(30));
    assert_eq!(wrong(&checks), Vec::<String>::new());
    assert_eq!(checks.len(), 2, "info and contents of raw");
    let text = std::fs::read_to_string(ring::package().join("examples/adapter_minimal.rs"));
    assert!(text.unwrap().lines().count() <= 60, "an example is short");
}

/// The checks of what made most first divergences false ones, each with an adapter that is wrong in just that.
#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn an_adapter_that_claims_a_feature_which_it_lacks_is_told_what_to_do() {
    let path = ring::package().join("docs/adapters/reader.py");
    let honest = std::fs::read_to_string(path).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let lying = directory.path().join("reader.py");
    let claim = "\"data_file\", ";
    assert!(honest.contains(claim));
    std::fs::write(&lying, honest.replace(claim, "")).unwrap();
    let command = format!("python3 {}", lying.display());
    let wrong = wrong(&examined(&command, Duration::from_secs(30)));
    let [only] = &*wrong else { panic!("{wrong:?}") };
    assert!(only.contains("an external data file: byte at"), "{only}");
    assert!(
        only.contains("not the adapter's working directory"),
        "{only}"
    );

    // It reads backing files, as it says, but looks for them where it works itself.
    let backing = honest.replace("\"lacks\": lacks}", "\"lacks\": lacks, \"backing\": True}");
    std::fs::write(&lying, backing).unwrap();
    let wrong = self::wrong(&examined(&command, Duration::from_secs(30)));
    // It says in an orderly way that it cannot.
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_example_in_c_passes_its_checks() {
    let directory = tempfile::tempdir().unwrap();
    let adapter = directory.path().join("adapter");
    let made = ring::started("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&adapter)
        .arg(ring::package().join("contrib/c/adapter.c"))
        .status()
        .unwrap();
    assert!(made.success());
    let checks = examined(&adapter.display().to_string(), Duration::from_secs(30));
    assert_eq!(wrong(&checks), Vec::<String>::new());
    assert_eq!(checks.len(), 2);
}

#[test]
#[cfg_attr(missing_pytest, ignore = "pytest is not here (pip install pytest)")]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn pytest_collects_the_trials() {
    let directory = tempfile::tempdir().unwrap();
    let example = ring::package().join("contrib/pytest");
    for name in ["adapter.py", "conftest.py"] {
        std::fs::copy(example.join(name), directory.path().join(name)).unwrap();
    }
    let pytest = || {
        let mut pytest = ring::started("python3");
        pytest
            .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
            .env("IMGDUEL", ring::PROGRAM)
            .current_dir(directory.path());
        let output = pytest.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said)
    };
    let (is_green, said) = pytest();
    assert!(is_green && said.contains("20 passed"), "{said}");
    // A defect, and it is red.
    let adapter = directory.path().join("adapter.py");
    let text = std::fs::read_to_string(&adapter).unwrap();
    let wrong = text.replace("return data +", "return data[:512] * (len(data) // 512) +");
    assert_ne!(text, wrong);
    std::fs::write(adapter, wrong).unwrap();
    let (is_green, said) = pytest();
    assert!(
        !is_green && said.contains("chain_content_divergence"),
        "{said}"
    );
}
