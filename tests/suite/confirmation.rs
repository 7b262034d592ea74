//! Confirmation: timeouts and new divergences are run a second time before they are reported.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::time::Duration;

use imgduel::process::SandboxPolicy;
use imgduel::report::terminal;
use imgduel::run::record::{Class, Record, Summary};
use imgduel::run::runner::DifferentialRunner;
use imgduel::run::session::Session;

const LIMIT: Duration = Duration::from_millis(700);

/// Runs a case once, or with confirmation.
fn recorded(candidate: &str, reference: &str, is_confirmed: bool) -> Record {
    let workdir = tempfile::tempdir().unwrap();
    let spec = |name: &str| match name {
        "qemu-img" => name.to_owned(),
        _ => format!("qemu-img:{}", ring::stand_in(name).display()),
    };
    let runner = DifferentialRunner {
        // These stand-ins keep state between runs, which the sandbox would prevent.
        sandbox: SandboxPolicy::OPEN,
        ..ring::runner(&spec(candidate), &spec(reference), LIMIT, workdir.path())
    };
    let session = Session::new(runner, ring::empty_catalogue());
    let mut cases = ring::cases("ops7", 7, &["info"])
        .filter(|case| case.image.format.name() == "qcow2" && case.ops.len() == 2);
    let case = cases.next().unwrap();
    let record = match is_confirmed {
        true => session.run_confirmed(case),
        false => session.try_case(case),
    };
    drop(session);
    assert_eq!(
        std::fs::read_dir(workdir.path())
            .unwrap()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("imgduel"))
            .count(),
        0
    );
    record.unwrap()
}

fn confirmed(candidate: &str, reference: &str) -> Record {
    recorded(candidate, reference, true)
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn an_unconfirmed_divergence_is_flaky_and_its_evidence_shows_both_runs() {
    let once = recorded("lies_once", "qemu-img", false);
    assert_eq!(once.class(), Class::Divergence);
    let record = confirmed("lies_once", "qemu-img");
    assert_eq!(
        (record.verdict.as_str(), record.class()),
        ("flaky", Class::Flaky)
    );
    assert_eq!(record.kind, once.kind);
    let reason = record.reason.as_deref().unwrap();
    assert!(reason.ends_with("; tried again: match"), "{reason}");
    let evidence = record.evidence.as_ref().unwrap();
    let [first, second] = [evidence, evidence.again.as_ref().unwrap()].map(|evidence| {
        evidence
            .calls
            .iter()
            .map(|call| call.stdout.as_str())
            .collect::<String>()
    });
    assert!(
        first != second && second.contains("virtual-size"),
        "{second}"
    );
    let block = terminal::evidence_block(&record);
    assert!(block.contains("the second time: match"), "{block}");
    let mut summary = Summary::new(None, None, 1);
    summary.add(&record);
    assert_eq!(
        (
            summary.flaky_count,
            summary.matches,
            summary.divergences_found
        ),
        (1, 0, 0)
    );
    // The record survives its JSON form.
    let line = serde_json::to_string(&record).unwrap();
    assert_eq!(
        serde_json::from_str::<Record>(&line).unwrap().class(),
        Class::Flaky
    );
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_confirmed_divergence_is_reported_as_a_divergence() {
    let record = confirmed("wrong_virtual_size", "qemu-img");
    assert_eq!(record.class(), Class::Divergence, "{:?}", record.reason);
    let once = recorded("wrong_virtual_size", "qemu-img", false);
    assert!(record.tool_calls > once.tool_calls);
    assert_eq!(record.reason, once.reason);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn timeouts_are_confirmed_by_a_run_without_other_load() {
    std::thread::scope(|scope| {
        let run = |candidate, reference| scope.spawn(move || confirmed(candidate, reference));
        let slow_reference = run("qemu-img", "hangs_once");
        let busy_candidate = run("spins_once", "qemu-img");
        let stuck_candidate = run("hangs_once", "qemu-img");
        let dead_candidate = run("hangs", "qemu-img");
        let dead_reference = run("qemu-img", "hangs");
        assert_eq!(slow_reference.join().unwrap().verdict, "match");
        assert_eq!(busy_candidate.join().unwrap().verdict, "match");
        let stuck = stuck_candidate.join().unwrap();
        assert_eq!(
            (stuck.verdict.as_str(), stuck.kind.as_deref()),
            ("flaky", Some("candidate_timeout"))
        );
        let dead = dead_candidate.join().unwrap();
        assert_eq!(
            (dead.verdict.as_str(), dead.kind.as_deref()),
            ("divergence", Some("candidate_timeout"))
        );
        for (record, start) in [
            (
                dead,
                "exit of info: candidate stuck: ran out of time after ",
            ),
            (
                dead_reference.join().unwrap(),
                "reference stuck: ran out of time after ",
            ),
        ] {
            let reason = record.reason.as_deref().unwrap();
            let after = reason
                .strip_prefix(start)
                .and_then(|rest| rest.split_once(" s "));
            let (seconds, _) = after.unwrap_or_else(|| panic!("{reason}"));
            // The time is at least the limit; a busy machine notices it a little later.
            let seconds: f64 = seconds.parse().unwrap();
            assert!((0.7..5.0).contains(&seconds), "{reason}");
            assert!(
                reason.contains("; again alone, with flushes off: "),
                "{reason}"
            );
        }
    });
}
