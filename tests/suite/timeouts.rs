//! Slow and stuck tools: the side that timed out determines the verdict, and no process outlives the limit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::path::Path;
use std::time::{Duration, Instant};

use imgduel::run::record::Record;

const LIMIT: Duration = Duration::from_millis(1200);

/// Returns the record of the first case of `operations` that does not match, and the time that it took.
fn try_first(candidate: &str, reference: &str, operations: &[&str]) -> (Record, Duration) {
    let workdir = ring::scratch();
    let session = ring::session(candidate, reference, LIMIT, workdir.path());
    for case in ring::cases("ops7", 7, operations).take(20) {
        let started = Instant::now();
        let record = session.try_case(case).unwrap();
        let elapsed = started.elapsed();
        let deadline = Instant::now() + Duration::from_secs(2);
        // Killed processes may need a moment to exit.
        while ring::is_worked_in(workdir.path()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(
            !ring::is_worked_in(workdir.path()),
            "a process is left behind"
        );
        if ["divergence", "inconclusive"].contains(&record.verdict.as_str()) {
            return (record, elapsed);
        }
    }
    panic!("every case is a match");
}

fn stand_in(name: &str) -> String {
    format!("qemu-img:{}", ring::stand_in(name).display())
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_slow_reference_is_inconclusive_a_hanging_candidate_diverges_and_no_process_remains() {
    let (slow, elapsed) = try_first("qemu-img", &stand_in("slow"), &["info"]);
    assert_eq!(
        (slow.verdict.as_str(), slow.kind.as_deref()),
        ("inconclusive", Some("inconclusive_qemu_timeout"))
    );
    let reason = slow.reason.as_deref().unwrap();
    let after = reason
        .strip_prefix("reference stuck: ran out of time after ")
        .and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
    assert!(
        after.is_some_and(|seconds| seconds >= LIMIT.as_secs_f64()),
        "{reason}"
    );
    // The case has two to four operations, each of which would take at least ten seconds.
    let most = |record: &Record| Duration::from_secs(9) * record.operations.len() as u32;
    assert!(elapsed < most(&slow), "{elapsed:?}");

    let (hanging, elapsed) = try_first(&stand_in("hangs"), "qemu-img", &["info"]);
    assert_eq!(
        (hanging.verdict.as_str(), hanging.kind.as_deref()),
        ("divergence", Some("candidate_timeout"))
    );
    assert!(elapsed < most(&hanging), "{elapsed:?}");

    let (both, _) = try_first(&stand_in("hangs"), &stand_in("slow"), &["info"]);
    assert_eq!(
        (both.verdict.as_str(), both.kind.as_deref()),
        ("inconclusive", Some("inconclusive_both_timeout"))
    );
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_crashing_candidate_diverges_even_if_the_reference_is_too_slow() {
    let (record, _) = try_first(&stand_in("crashes"), &stand_in("slow"), &["info"]);
    assert_eq!(record.kind.as_deref(), Some("candidate_crash"));
    assert!(
        record.reason.as_deref().unwrap().contains("SIGSEGV"),
        "{:?}",
        record.reason
    );
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_other_operations_of_a_case_still_run_and_a_real_divergence_among_them_is_reported() {
    let workdir = ring::scratch();
    let session = ring::session(
        &stand_in("wrong_exit"),
        &stand_in("slow"),
        LIMIT,
        workdir.path(),
    );
    let cases = ring::cases("ops7", 3, &["info", "check"]);
    let mixed = cases.filter(|case| {
        let has = |name: &str| case.ops.iter().any(|operation| operation.name() == name);
        has("info") && has("check") && case.image.format.name() == "qcow2"
    });
    let record = ring::first_that_differs(&session, mixed, 1).unwrap();
    assert_eq!(record.kind.as_deref(), Some("exit_code_divergence"));
    let kinds: Vec<Option<&str>> = record
        .operations
        .iter()
        .map(|operation| operation.kind.as_deref())
        .collect();
    assert!(
        kinds.contains(&Some("inconclusive_qemu_timeout")),
        "{kinds:?}"
    );
    assert!(kinds.contains(&Some("exit_code_divergence")), "{kinds:?}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn endless_output_and_a_child_that_holds_the_pipe_are_not_divergences() {
    for name in ["talks_without_end", "leaves_a_child"] {
        let workdir = ring::scratch();
        let session = ring::session(
            &stand_in(name),
            "qemu-img",
            Duration::from_secs(30),
            workdir.path(),
        );
        let cases = ring::cases("ops7", 7, &["info"]);
        assert!(
            ring::first_that_differs(&session, cases, 1).is_none(),
            "{name}"
        );
        assert!(is_empty(workdir.path()));
    }
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().count() == 0
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_named_pipe_in_place_of_an_image_is_reported_without_opening_it() {
    let workdir = ring::scratch();
    let limit = Duration::from_secs(40);
    let session = ring::session(
        &stand_in("leaves_a_pipe"),
        "qemu-img",
        limit,
        workdir.path(),
    );
    let case = ring::cases("ops7", 7, &["convert"]).next().unwrap();
    let started = Instant::now();
    let record = session.try_case(case).unwrap();
    assert!(started.elapsed() < limit, "{:?}", started.elapsed());
    assert_eq!(record.verdict.as_str(), "divergence", "{record:?}");
    let told = serde_json::to_string(&record).unwrap();
    assert!(told.contains("is a named pipe, not a file"), "{told}");
}
