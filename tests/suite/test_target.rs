//! The test target as test runners and editors see it: statuses, failure texts, JUnit, and nextest with shards and state files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use imgduel::run::record::Record;
use serde_json::Value;

use crate::ring;

/// Returns a cargo command with the caller's environment, but without the variables that belong to this test run.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = ring::started(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(ring::package());
    // Divergences of the stand-ins must not be stored as findings.
    command.env(
        "IMGDUEL_FINDINGS",
        concat!(env!("CARGO_TARGET_TMPDIR"), "/findings"),
    );
    command
}

/// Returns whether the tests run in the release profile, which the inner cargo must use too.
fn is_release() -> bool {
    std::env::current_exe()
        .unwrap()
        .components()
        .any(|part| part.as_os_str() == "release")
}

fn test_target(arguments: &[&str]) -> Output {
    let mut command = cargo(&["test", "--quiet", "--test", "differential"]);
    command
        .args(is_release().then_some("--release"))
        .arg("--")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the events of a run in libtest's JSON format, and the exit code.
fn events(arguments: &[&str]) -> (Vec<Value>, Option<i32>) {
    let stream = ["-Z", "unstable-options", "--format", "json"];
    let output = test_target(&[&stream, arguments].concat());
    let events = text(&output.stdout);
    let events = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no event: {line}")));
    (events.collect(), output.status.code())
}

const HANGING: [&str; 12] = [
    "--candidate",
    "qemu-img:tests/stand_ins/flips_a_byte",
    "--reference",
    "qemu-img:tests/stand_ins/hangs",
    "--timeout",
    "0.3",
    "--ops",
    "info",
    "--generation",
    "ops7",
    "campaign::ops7_s1_i000001",
    "--seed=1",
];

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn inconclusive_trials_are_ignored_with_a_reason_and_fail_with_strict() {
    let (seen, code) = events(&HANGING);
    let last = &seen[seen.len() - 2];
    assert_eq!(
        (last["event"].as_str(), code),
        (Some("ignored"), Some(0)),
        "{seen:?}"
    );
    let message = last["message"].as_str().unwrap();
    assert!(
        message.starts_with("inconclusive_qemu_timeout: reference stuck: ran out of time after "),
        "{message}"
    );
    let (seen, code) = events(&[&HANGING[..], &["--strict"]].concat());
    assert_eq!(seen[seen.len() - 1]["failed"], 1);
    assert_eq!(code, Some(101));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_failure_text_of_a_divergence_ends_in_a_form_that_editors_open_as_a_diff() {
    let (seen, code) = events(&[
        "--candidate",
        "qemu-img:tests/stand_ins/wrong_virtual_size",
        "--ops",
        "info",
        "--generation",
        "ops7",
        "--exact",
        "campaign::ops7_s1_i000000",
    ]);
    assert_eq!(code, Some(101));
    let failure = seen[seen.len() - 2]["stdout"].as_str().unwrap();
    let (block, assertion) = failure.split_once("thread '").unwrap();
    assert!(
        block.starts_with(
            "ops7_s1_i000000 divergence info_output_divergence in operation 0 (info): "
        )
    );
    assert!(block.contains("again: imgduel replay ops7_s1_i000000 --ops info --candidate qemu-img:tests/stand_ins/wrong_virtual_size\n"), "{block}");
    // RustRover's regular expression, in words: a location without blanks, the assertion, left, right, and a note after them.
    let lines: Vec<&str> = assertion.lines().collect();
    assert_eq!(
        lines[0],
        "campaign::ops7_s1_i000000' panicked at ops7_s1_i000000:1:1:"
    );
    assert_eq!(lines[1], "assertion `left == right` failed: virtual-size");
    assert_eq!(lines[2], "  left: \"512\"");
    assert!(lines[3].starts_with(" right: \""));
    assert!(lines[4].starts_with("note: "));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_first_trial_of_a_group_prints_the_evidence_and_the_others_refer_to_it() {
    let (seen, code) = events(&[
        "--candidate",
        "qemu-img:tests/stand_ins/wrong_virtual_size",
        "--ops",
        "info",
        "--generation",
        "ops7",
        "--iterations",
        "4",
        "campaign",
    ]);
    assert_eq!(code, Some(101));
    let failures: Vec<(&str, &str)> = seen
        .iter()
        .filter(|event| event["event"] == "failed" && event["type"] == "test")
        .map(|event| {
            (
                event["name"].as_str().unwrap(),
                event["stdout"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(failures.len(), 4, "{seen:?}");
    let whole: Vec<_> = failures
        .iter()
        .filter(|(_, text)| text.contains("in candidate/"))
        .collect();
    let [(first, _)] = *whole else {
        panic!("one has the evidence: {failures:?}")
    };
    for (name, text) in failures.iter().filter(|(name, _)| name != first) {
        assert!(
            text.contains(&format!("the same as in {first}: ")),
            "{text}"
        );
        assert!(
            text.contains(name.trim_start_matches("campaign::")),
            "{text}"
        );
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_junit_format_is_one_document_and_names_the_seed_file() {
    let stem = "measure_of_a_sparse_copy";
    let output = test_target(&["--format", "junit", "-Z", "unstable-options", stem]);
    let document = text(&output.stdout);
    assert!(
        document.starts_with("<?xml") && document.trim_end().ends_with("</testsuites>"),
        "{document}"
    );
    assert_eq!(document.matches("<testcase ").count(), 1);
    assert!(document.contains(&format!("name=\"{stem}\" classname=\"regression\"")));
    assert!(document.contains(&format!("file=\"fuzz-seeds/{stem}.json\"")));
    assert!(document.contains(&format!(
        "imgduel replay fuzz-seeds/{stem}.json --candidate imago"
    )));
}

#[test]
fn listing_needs_no_tool_and_an_exact_name_selects_its_trial() {
    let listed = test_target(&["--list", "--format", "terse", "--iterations", "10000"]);
    let names = text(&listed.stdout);
    assert!(names.lines().all(|line| line.ends_with(": test")));
    assert!(names.lines().count() > 10_000);
    let (seen, code) = events(&[
        "--exact",
        "campaign::no_such_case",
        "regression::../seed",
        "regression::known-divergences",
    ]);
    assert_eq!((seen[0]["test_count"].as_u64(), code), (Some(0), Some(0)));
}

#[test]
fn a_missing_tool_is_a_usage_error_if_it_was_named() {
    let output = test_target(&["--candidate", "qemu-img:/nope"]);
    let said = text(&output.stderr);
    // Without the default reference, no tool can be tested.
    if cfg!(missing_qemu_img) {
        assert_eq!(output.status.code(), Some(0), "{said}");
    } else {
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("/nope"), "{said}");
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_campaign_that_compares_nothing_fails_and_others_omit_unsupported_cases() {
    let nothing = ["--generation", "ops16", "--ops", "dd", "--iterations", "3"];
    let output = test_target(&nothing);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stderr).contains("nothing was compared in the campaign"));
    let allowed = [&nothing[..], &["--allow-vacuous"]].concat();
    assert_eq!(test_target(&allowed).status.code(), Some(0));
    // A single trial selected by name is not a campaign.
    let one = [&nothing[..], &["campaign::ops16_s1_i000000"]].concat();
    assert_eq!(test_target(&one).status.code(), Some(0));
    let readers = ["--generation", "native1_readers", "--candidate", "vdi"];
    let readers = [&readers[..], &["--iterations", "3", "--seed", "3"]].concat();
    let (seen, code) = events(&readers);
    let ended = |event: &str, name: &str| {
        let is_such = |seen: &&Value| {
            let whose = seen["name"].as_str().unwrap_or_default();
            seen["event"] == event && whose.starts_with(name)
        };
        seen.iter().filter(is_such).count()
    };
    assert_eq!(code, Some(0));
    assert_eq!(ended("ok", "campaign::native1_readers_s3_"), 3, "{seen:?}");
    assert_eq!(ended("ignored", "campaign::"), 0);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn trials_not_started_within_the_duration_are_ignored() {
    let timed = ["--duration", "1ms", "--iterations", "3", "--allow-vacuous"];
    let output = test_target(&timed);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.contains("FAILED"), "{said}");
}

/// The number of cases for nextest. Some match, some diverge, some are inconclusive.
const CASES: u64 = 8;

/// Runs the fresh cases under nextest with records in `directory`.
fn nextest(directory: &Path, arguments: &[&str]) -> String {
    let output = cargo(&["nextest", "run", "--test", "differential"])
        .args(is_release().then_some("--release"))
        .args(["-E", "test(/^campaign::/)", "--color", "never"])
        .args(arguments)
        .env("IMGDUEL_RECORDS", directory)
        .env("IMGDUEL_GENERATION", "ops7")
        .env("IMGDUEL_SEED", "4")
        .env("IMGDUEL_OPS", "info,check,measure,measure")
        .env("IMGDUEL_CANDIDATE", "qemu-img:tests/stand_ins/finds_a_leak")
        .env("IMGDUEL_REFERENCE", "qemu-img:tests/stand_ins/hangs")
        .env("IMGDUEL_TIMEOUT", "0.4")
        .env("IMGDUEL_ITERATIONS", CASES.to_string())
        .output()
        .unwrap();
    text(&output.stderr)
}

fn merged(directory: &Path) -> (Value, BTreeMap<String, String>) {
    let summary = directory.join("summary.json");
    let files = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    files.sort();
    let output = ring::imgduel()
        .arg("merge")
        .arg(directory)
        .arg("--summary")
        .arg(&summary)
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let mut verdicts = BTreeMap::new();
    for file in files {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let record: Record = serde_json::from_str(line).unwrap();
            let said = format!(
                "{} {:?} {:?}",
                record.verdict, record.kind, record.operation
            );
            verdicts.insert(record.trial.unwrap(), said);
        }
    }
    (
        serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap(),
        verdicts,
    )
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
#[cfg_attr(
    missing_nextest,
    ignore = "cargo-nextest is not here (cargo install cargo-nextest --locked)"
)]
fn four_shards_merge_to_the_verdicts_of_one_run() {
    let (whole, shards) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    nextest(whole.path(), &["--profile", "ci"]);
    for shard in 1..=4 {
        nextest(
            shards.path(),
            &[
                "--profile",
                "ci",
                "--partition",
                &format!("count:{shard}/4"),
            ],
        );
    }
    let (one, verdicts) = merged(whole.path());
    let (four, sharded) = merged(shards.path());
    assert_eq!(verdicts, sharded);
    assert_eq!(verdicts.len() as u64, CASES);
    for figure in [
        "iterations_completed",
        "matches",
        "divergences_found",
        "inconclusive_count",
        "unsupported_count",
    ] {
        assert_eq!(one[figure], four[figure], "{figure}");
    }
    for figure in ["matches", "divergences_found", "inconclusive_count"] {
        assert_ne!(one[figure], 0, "{figure}: {verdicts:#?}");
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
#[cfg_attr(
    missing_nextest,
    ignore = "cargo-nextest is not here (cargo install cargo-nextest --locked)"
)]
fn inconclusive_trials_are_skipped_under_nextest_unless_requested() {
    let directory = tempfile::tempdir().unwrap();
    let first = nextest(directory.path(), &["--no-fail-fast"]);
    assert!(first.contains(&format!("{CASES} tests run")), "{first}");
    let (before, verdicts) = merged(directory.path());
    let inconclusive = before["inconclusive_count"].as_u64().unwrap();
    let second = nextest(directory.path(), &["--no-fail-fast"]);
    assert!(
        second.contains(&format!("{} tests run", CASES - inconclusive)),
        "{second}"
    );
    // The merged report still contains the skipped trials.
    assert_eq!(merged(directory.path()).1, verdicts);
    let third = nextest(
        directory.path(),
        &["--no-fail-fast", "--run-ignored", "all"],
    );
    assert!(third.contains(&format!("{CASES} tests run")), "{third}");
}

/// The regression seeds of shakenfist/instar's issues, and the operation that each is about.
const OF_ISSUES: [(&str, &str); 8] = [
    ("issue_315", "measure"),
    ("issue_334", "resize"),
    ("issue_336", "resize"),
    ("issue_397", "bench"),
    ("issue_398", "bench"),
    ("issue_399", "bench"),
    ("issue_400", "bench"),
    ("issue_401", "bench"),
];

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_seeds_of_eight_issues_run_by_name_and_carry_out_what_they_are_about() {
    let directory = tempfile::tempdir().unwrap();
    let records = directory.path().join("records.jsonl");
    // No candidate is named: a seed about what the usual one lacks names its own.
    let output = test_target(&["--json", records.to_str().unwrap(), "issue_"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    let records = std::fs::read_to_string(&records).unwrap();
    let records: Vec<Value> = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (issue, operation) in OF_ISSUES {
        let trial = format!("regression::{issue}_");
        let is_it = |record: &&Value| record["trial"].as_str().unwrap().starts_with(&trial);
        let is_done = |done: &Value| done["op"] == operation && done["verdict"] == "match";
        let does_it = |record: &&Value| {
            let mut done = record["operations"].as_array().unwrap().iter();
            done.any(is_done)
        };
        let record = records.iter().filter(is_it).find(does_it).unwrap();
        // Answers of the reference that an earlier run kept are no calls.
        assert!(record["tool_calls"].as_u64().unwrap() > 1, "{record}");
    }
}
