//! Ctrl-C and SIGTERM: a run ends within about two seconds whatever it is doing, writes its files, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ring;

/// Two seconds, plus two for a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(4);

/// Starts the command with its scratch directories in `workdir`, and sends a signal once `is_busy`. Returns the output and the time from
/// signal to end.
fn signalled(
    workdir: &Path,
    arguments: &[&str],
    signal: &str,
    is_busy: impl Fn() -> bool,
) -> (Output, Duration) {
    let run = ring::imgduel()
        .args(arguments)
        .arg("--workdir")
        .arg(workdir)
        .env_remove("TMPDIR")
        .stdout(Stdio::piped())
        .stderr(fs::File::create(workdir.join("stderr")).unwrap())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !is_busy() {
        assert!(started.elapsed() < Duration::from_secs(60), "never busy");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    ring::signal(run.id(), signal);
    let sent = Instant::now();
    let output = run.wait_with_output().unwrap();
    (output, sent.elapsed())
}

/// Returns whether a case has a scratch directory in `workdir`.
fn has_scratch(workdir: &Path) -> bool {
    fs::read_dir(workdir).unwrap().flatten().any(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("imgduel-") && entry.path().is_dir()
    })
}

/// Returns whether a campaign has printed its settings, which it does after its canary.
fn is_under_way(workdir: &Path, words: &str) -> bool {
    fs::read_to_string(workdir.join("stderr")).is_ok_and(|said| said.contains(words))
}

/// Waits until the reaper has cleaned up, which may take a moment.
fn must_become_clean(workdir: &Path) {
    let until = Instant::now() + Duration::from_secs(10);
    while has_scratch(workdir) {
        assert!(Instant::now() < until, "scratch is left behind");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn one_sigterm_ends_a_call_that_would_take_ten_minutes() {
    for signal in ["TERM", "INT", "HUP"] {
        let workdir = ring::scratch();
        let summary = workdir.path().join("summary.json");
        let hangs = format!("qemu-img:{}", ring::stand_in("hangs").display());
        let arguments = [
            "replay",
            "ops7_s1_i0",
            "--ops",
            "info",
            "--timeout",
            "600",
            "--candidate",
            &hangs,
            "--summary",
            summary.to_str().unwrap(),
        ];
        let busy = || has_scratch(workdir.path());
        let (output, took) = signalled(workdir.path(), &arguments, signal, busy);
        assert!(took < SOON, "{signal}: {took:?}");
        assert_eq!(output.status.code(), Some(130), "{signal}");
        let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
        assert_eq!(summary["iterations_completed"], 0, "{signal}");
        must_become_clean(workdir.path());
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn one_sigterm_ends_a_case_of_six_thousand_steps() {
    let workdir = ring::scratch();
    let case = serde_json::json!({
        "generation": "native1", "seed": 1, "iteration": 3, "iter_seed": 7, "words_used": 0,
        "image": {"format": "raw", "virtual_size": "1M", "pattern": "zeros"},
        "ops": [{
            "op": "chain", "layers": [{"format": "qcow2", "size": 65536}],
            "steps": vec![serde_json::json!({"step": "info"}); 6000],
        }],
    });
    let file = workdir.path().join("long.json");
    fs::write(&file, case.to_string()).unwrap();
    let arguments = [
        "replay",
        file.to_str().unwrap(),
        "--candidate",
        "qemu-img",
        "--timeout",
        "600",
    ];
    let busy = || has_scratch(workdir.path());
    let (output, took) = signalled(workdir.path(), &arguments, "TERM", busy);
    assert!(took < SOON, "{took:?}");
    assert_eq!(output.status.code(), Some(130));
    must_become_clean(workdir.path());
}

/// In a debug build, drawing up to the last iteration of a Python generation takes half a minute, during which no tool runs.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn one_sigterm_ends_a_campaign_whose_threads_are_busy_without_a_tool() {
    let workdir = ring::scratch();
    let summary = workdir.path().join("summary.json");
    let arguments = [
        "fuzz",
        "--generation",
        "ops16",
        "--seed",
        "1",
        "--start",
        "99999990",
        "--iterations",
        "10",
        "--jobs",
        "1",
        "--summary",
        summary.to_str().unwrap(),
    ];
    let busy = || is_under_way(workdir.path(), "iterations 10");
    let (output, took) = signalled(workdir.path(), &arguments, "TERM", busy);
    // A fast machine may finish drawing before the signal.
    if output.status.code() != Some(0) {
        assert_eq!(output.status.code(), Some(130));
        assert!(took < SOON, "{took:?}");
    }
    assert!(summary.is_file());
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn ctrl_c_ends_a_campaign_with_its_summary_written() {
    let workdir = ring::scratch();
    let summary = workdir.path().join("summary.json");
    let arguments = [
        "fuzz",
        "--iterations",
        "100000",
        "--seed",
        "1",
        "--summary",
        summary.to_str().unwrap(),
    ];
    let (output, took) = signalled(workdir.path(), &arguments, "INT", || {
        is_under_way(workdir.path(), "iterations 100000")
    });
    assert_eq!(output.status.code(), Some(130));
    assert!(took < SOON, "{took:?}");
    let summary: Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
    assert!(summary["iterations_completed"].as_u64().unwrap() < 100_000);
    must_become_clean(workdir.path());
}
