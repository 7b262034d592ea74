//! The entry points as users see them: output, files, exit codes, and errors about bad input.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::ring;

fn command(arguments: &[&str]) -> Output {
    ring::imgduel().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts that the command fails with exit code 2, prints nothing to standard output, and one line with `words` to standard error.
fn refused(arguments: &[&str], words: &str) {
    let output = command(arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert_eq!(said.trim_end().lines().count(), 1, "{arguments:?}: {said}");
    assert!(said.contains(words), "{arguments:?}: {said}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn bad_input_is_reported_in_one_line_with_exit_code_2() {
    refused(&[], "which command");
    refused(
        &["fuzz", "--generation", "ops99"],
        "there is no generation 'ops99'",
    );
    refused(&["fuzz", "--candidate", "qemu"], "there is no tool 'qemu'");
    refused(
        &["fuzz", "--candidate", "imago:/bin/true"],
        "imago is embedded",
    );
    refused(
        &["fuzz", "--candidate", "qemu-img:"],
        "no path behind its colon",
    );
    refused(&["fuzz", "--reference", "vdi:x"], "vdi is embedded");
    refused(&["fuzz", "--writer", "nobody"], "there is no tool 'nobody'");
    refused(&["fuzz", "--seed", "x1"], "a seed is a whole number");
    refused(&["fuzz", "--seed", "1.5"], "a seed is a whole number");
    refused(&["fuzz", "--timeout", "0"], "above 0");
    refused(&["fuzz", "--timeout", "soon"], "a number of seconds");
    refused(&["fuzz", "--jobs", "0"], "above 0");
    refused(&["fuzz", "--ops", "info,fly"], "has no operation 'fly'");
    refused(&["fuzz", "--ops", " , "], "names no operation");
    refused(&["fuzz", "--colour"], "--colour");
    refused(&["replay"], "ID|SEED-FILE");
    refused(&["replay", "ops7_s1"], "is not a case id");
    refused(&["replay", "no-such-seed.json"], "no-such-seed.json");
    refused(&["script", "regression::nobody"], "fuzz-seeds/nobody.json");
    refused(
        &["report", "campaign::ops99_s1_i1"],
        "there is no generation 'ops99'",
    );
    for command in ["replay", "shrink", "script", "report"] {
        refused(
            &[command, "/tmp"],
            "/tmp is a directory: name a seed file in it",
        );
    }
    refused(&["fuzz", "--iterations", "-5"], "whole number");
    refused(&["foz"], "there are fuzz, replay");
    refused(
        &["grid", "--writer", "nobody"],
        "--writer: there is no tool 'nobody'",
    );
    refused(
        &["fuzz", "--candidate", "qemu-img:/no/such/tool"],
        "--candidate: /no/such/tool is not there",
    );
    refused(&["accept", "no-such-seed.json"], "no-such-seed.json");
    refused(
        &["convert-catalogue", "no-such-file", "there"],
        "no-such-file",
    );
    refused(&["replay", "ops99_s1_i1"], "there is no generation");
    refused(&["show", "ops7_s1_i5..2"], "is not a range");
    refused(
        &["fuzz", "--candidate", "qemu-img:/no/such/tool"],
        "/no/such/tool is not there",
    );
    refused(
        &["fuzz", "--workdir", "/no/such/directory"],
        "/no/such/directory",
    );
    refused(
        &[
            "fuzz",
            "--iterations",
            "1",
            "--json",
            "/no/such/directory/file",
        ],
        "/no/such/directory/file",
    );
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_reference_that_makes_no_images_is_refused_before_the_campaign() {
    // Which witnesses are missing may be said before it.
    let output = command(&["fuzz", "--reference", "vdi", "--candidate", "qemu-img"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--reference: vdi makes no images"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_broken_seed_file_is_reported_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seed.json");
    for (text, words) in [
        ("{ \"format_version\": 1,", "is not a seed file"),
        ("", "is not a seed file: it is empty"),
        ("[1]", "is not a seed file: it holds no JSON object"),
    ] {
        std::fs::write(&path, text).unwrap();
        refused(&["replay", path.to_str().unwrap()], words);
    }
}

#[test]
fn what_is_empty_or_no_directory_is_said_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty");
    std::fs::write(&path, "").unwrap();
    let empty = path.to_str().unwrap();
    refused(&["man", "--dir", empty], "something else is there already");
    refused(
        &["fuzz", "--reference", "model", "--resume", empty],
        "has no record, which would tell the seed: name it with --seed",
    );
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_wrong_value_in_the_environment_is_reported_too() {
    let output = ring::imgduel()
        .args(["fuzz", "--iterations", "1"])
        .env("IMGDUEL_SEED", "many")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("a seed is a whole number"));
}

#[test]
fn the_error_about_a_missing_qemu_img_names_the_package_to_install() {
    // The model cannot take its place where it is named, nor judge a program.
    for named in [["--reference", "qemu-img"], ["--candidate", "adapter:true"]] {
        let output = ring::imgduel()
            .arg("fuzz")
            .args(named)
            .env("PATH", "/no/such/directory")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{named:?}");
        let told = text(&output.stderr);
        assert!(told.contains("apt-get install qemu-utils"), "{told}");
    }
}

#[test]
fn a_campaign_without_qemu_img_is_judged_by_the_model() {
    let directory = ring::scratch();
    let summary = directory.path().join("summary.json");
    let output = ring::imgduel()
        .args(["fuzz", "--seed", "1", "--iterations", "20", "--summary"])
        .arg(&summary)
        .current_dir(directory.path())
        .env("PATH", "/no/such/directory")
        .output()
        .unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("the model is the only judge") && told.contains("qemu-utils"),
        "{told}"
    );
    let summary: Value = serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
    assert_eq!(summary["reference"]["name"], "model");
    assert_eq!(summary["unsupported_count"], 0);
    assert_eq!(summary["iterations_completed"], 20);
}

fn fuzz(directory: &Path, arguments: &[&str]) -> (Output, Value, Vec<Value>) {
    let (summary, records) = (
        directory.join("summary.json"),
        directory.join("records.jsonl"),
    );
    let output = ring::imgduel()
        .args(["fuzz", "--generation", "ops7", "--workdir"])
        .arg(directory)
        .arg("--findings")
        .arg(directory.join("findings"))
        .arg("--summary")
        .arg(&summary)
        .arg("--json")
        .arg(&records)
        .args(arguments)
        .output()
        .unwrap();
    let summary = serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
    let records = std::fs::read_to_string(records).unwrap();
    let records = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (output, summary, records)
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_campaign_writes_a_record_a_case_and_a_summary_that_adds_up() {
    let directory = tempfile::tempdir().unwrap();
    let (output, summary, records) = fuzz(directory.path(), &["--seed", "3", "--iterations", "25"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert_eq!(
        (records.len(), summary["iterations_completed"].as_u64()),
        (25, Some(25))
    );
    let classes = [
        "matches",
        "divergences_found",
        "known_count",
        "inconclusive_count",
        "unsupported_count",
    ];
    let sum: u64 = classes
        .iter()
        .map(|name| summary[name].as_u64().unwrap())
        .sum();
    assert_eq!(sum, 25);
    assert!(summary["tool_calls"].as_u64().unwrap() > 50);
    assert!(summary["tool_cpu_seconds"].as_f64().unwrap() > 0.0);
    let ids: std::collections::BTreeSet<&str> = records
        .iter()
        .map(|record| record["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 25);
    assert!(ids.contains("ops7_s3_i000024"));
    assert!(records.iter().all(|record| {
        record["candidate"]["build"] == "overflow checks on"
            && record["reference"]["build"].is_null()
    }));
    assert!(text(&output.stdout).contains("inconclusive_qemu_timeout 0"));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_slow_shrink_of_issue_336_is_inconclusive_under_a_short_limit_and_reports_its_progress() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = [
        "--seed",
        "59095591",
        "--start",
        "751",
        "--iterations",
        "1",
        "--timeout",
        // The reference has seven times that for the shrink, which takes it 0.4 s of CPU in a forked call.
        "0.03",
        "--candidate",
        "qemu-img",
    ];
    let (output, summary, records) = fuzz(directory.path(), &arguments);
    // One case without a result may be chance: the campaign succeeds, with a note.
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(summary["vacuous"].is_null());
    assert!(said.contains("1 of 1 case compared nothing"), "{said}");
    let reason = records[0]["reason"].as_str().unwrap();
    for word in [
        "reference busy: about ",
        " of about 24,192 expected flushes after ",
        "; again alone, with flushes off: reference busy: ",
    ] {
        assert!(reason.contains(word), "{reason}");
    }
    assert_eq!(records.len(), 1);
    assert_eq!(
        (&records[0]["verdict"], &records[0]["kind"]),
        (&"inconclusive".into(), &"inconclusive_qemu_timeout".into())
    );
    assert_eq!(
        (
            &summary["inconclusive_qemu_timeout"],
            &summary["inconclusive_count"]
        ),
        (&1.into(), &1.into())
    );
    assert_eq!(summary["inconclusive_iterations"], serde_json::json!([751]));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_python_harness_s_command_line_works_and_its_files_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let output = ring::imgduel()
        .args([
            "fuzz",
            "--seed",
            "7",
            "--iterations",
            "20",
            "--ops",
            "info",
            "--generation",
            "ops7",
            "--fail-fast",
        ])
        .arg("--instar")
        .arg(ring::stand_in("lying_instar"))
        .arg("--log-dir")
        .arg(&log)
        .arg("--findings")
        .arg(directory.path().join("findings"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let summary: Value =
        serde_json::from_slice(&std::fs::read(log.join("summary-7.json")).unwrap()).unwrap();
    let found = summary["divergence_iterations"][0].as_u64().unwrap();
    let report = std::fs::read(log.join(format!("divergence-7-{found:06}.json"))).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["divergence"]["type"], "info_output_divergence");
    assert_eq!(
        (&report["seed"], &report["iteration"]),
        (&7.into(), &found.into())
    );
    assert!(report["attributes"]["format"].is_string());
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn replay_prints_the_evidence_of_a_seed_file() {
    let seed = ring::package().join("fuzz-seeds/issue_315_measure_of_a_vpc_source.json");
    let liar = format!("qemu-img:{}", ring::stand_in("wrong_measure").display());
    let output = command(&["replay", seed.to_str().unwrap(), "--candidate", &liar]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    for words in [
        "measure_numeric_divergence",
        "candidate: ",
        "reference: ",
        "measure -O qcow2 --output=json",
        "issue_315_measure_of_a_vpc_source.json --candidate qemu-img:",
    ] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
}

#[test]
fn a_closed_output_pipe_is_not_an_error() {
    let script = format!("{} show ops7_s1_i0..2000 | head -n 1", ring::PROGRAM);
    let output = ring::started("sh").args(["-c", &script]).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn tools_lists_every_tool_and_what_to_install() {
    let output = command(&["tools"]);
    let said = text(&output.stdout);
    assert!(output.status.success());
    for name in ["imago", "qemu-img", "instar"] {
        assert!(said.lines().any(|line| line.starts_with(name)), "{said}");
    }
}
