//! What is heard twice: time that ran out, and every new divergence.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::time::Duration;

use imgduel::process::Cage;
use imgduel::report::terminal;
use imgduel::run::arena::Arena;
use imgduel::run::duel::Duel;
use imgduel::run::record::{Class, Record, Summary};

const LIMIT: Duration = Duration::from_millis(700);

fn heard(candidate: &str, reference: &str, known: bool) -> Record {
    let workdir = tempfile::tempdir().unwrap();
    let spec = |name: &str| match name {
        "qemu-img" => name.to_owned(),
        _ => format!("qemu-img:{}", ring::stand_in(name).display()),
    };
    let duel = Duel {
        // These stand-ins remember, which a cage would not let them.
        cage: Cage::OPEN,
        ..ring::duel(&spec(candidate), &spec(reference), LIMIT, workdir.path())
    };
    let arena = Arena::new(duel, ring::empty_catalogue());
    let mut cases = ring::cases("ops7", 7, &["info"])
        .filter(|case| case.image.format.name() == "qcow2" && case.ops.len() == 2);
    let case = cases.next().unwrap();
    let record = match known {
        true => arena.try_surely(case),
        false => arena.try_case(case),
    };
    drop(arena);
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

fn heard_twice(candidate: &str, reference: &str) -> Record {
    heard(candidate, reference, true)
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_divergence_that_does_not_come_back_is_flaky_and_shows_both_times() {
    let once = heard("lies_once", "qemu-img", false);
    assert_eq!(once.class(), Class::Divergence);
    let record = heard_twice("lies_once", "qemu-img");
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
    // What is written can be read.
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
fn a_divergence_that_comes_back_is_one() {
    let record = heard_twice("wrong_virtual_size", "qemu-img");
    assert_eq!(record.class(), Class::Divergence, "{:?}", record.reason);
    let once = heard("wrong_virtual_size", "qemu-img", false);
    assert!(record.tool_calls > once.tool_calls);
    assert_eq!(record.reason, once.reason);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn time_that_ran_out_is_heard_again_alone_before_anything_is_said() {
    std::thread::scope(|scope| {
        let run = |candidate, reference| scope.spawn(move || heard_twice(candidate, reference));
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
            // The limit at least; on a busy machine it is seen a little later.
            let seconds: f64 = seconds.parse().unwrap();
            assert!((0.7..5.0).contains(&seconds), "{reason}");
            assert!(
                reason.contains("; again alone, with flushes off: "),
                "{reason}"
            );
        }
    });
}
