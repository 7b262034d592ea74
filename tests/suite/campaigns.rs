//! Campaigns: duration, vacuity, interruption, resumption, and the corpus.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ring;

fn fuzz(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = ring::imgduel();
    command.current_dir(directory).arg("fuzz").args(arguments);
    command.args(["--workdir", ".", "--no-shrink"]);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the ids in a file of records, in order.
fn ids(path: &Path) -> Vec<String> {
    let records = std::fs::read_to_string(path).unwrap();
    let records = records.lines().map(serde_json::from_str::<Value>);
    records
        .map(|record| record.unwrap()["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_duration_without_unit_and_zero_iterations_are_usage_errors() {
    let place = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (["--duration", "10"], "with its unit, as in 90s, 10m or 2h"),
        (["--duration", "0s"], "a time above 0"),
        (["--iterations", "0"], "a whole number above 0"),
        (["--corpus", "c"], "add --guided"),
    ] {
        let output = fuzz(place.path(), &arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words) && said.trim_end().lines().count() == 1);
    }
    let mut merge = ring::imgduel();
    merge.args(["merge", "."]).current_dir(place.path());
    assert_eq!(merge.output().unwrap().status.code(), Some(2));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_campaign_with_a_duration_ends_normally_when_the_time_is_over() {
    let place = ring::scratch();
    let started = Instant::now();
    let ops = ["--generation", "ops7", "--ops", "info", "--seed", "3"];
    let output = fuzz(
        place.path(),
        &[
            &ops[..],
            &[
                "--candidate",
                "qemu-img",
                "--duration",
                "1s",
                "--summary",
                "s",
            ],
        ]
        .concat(),
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(started.elapsed() < Duration::from_secs(60));
    let summary = std::fs::read(place.path().join("s")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert!(summary["iterations_completed"].as_u64().unwrap() > 0);
    assert_eq!(summary["iterations"], summary["iterations_completed"]);
}

/// imago does not support `dd`.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_campaign_of_twenty_cases_that_compares_nothing_fails() {
    let place = ring::scratch();
    let of_nothing = |count: &'static str, more: &[&'static str]| {
        let asked = ["--generation", "ops16", "--ops", "dd", "--seed", "1"];
        let asked = [&asked[..], &["--iterations", count], more].concat();
        let output = fuzz(place.path(), &asked);
        (output.status.code(), text(&output.stdout))
    };
    let (code, said) = of_nothing("20", &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("this campaign proves nothing: 20 of 20 cases"));
    assert_eq!(of_nothing("20", &["--allow-vacuous"]).0, Some(0));
    let (code, said) = of_nothing("19", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("not a failure with so few cases"), "{said}");
}

/// Waits until a file of records has at least `lines` lines.
fn wait_for(records: &Path, lines: usize) {
    for _ in 0..3000 {
        let text = std::fs::read_to_string(records).unwrap_or_default();
        if text.lines().count() >= lines {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no {lines} records come");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn findings_from_before_an_interruption_are_kept() {
    let place = ring::scratch();
    let liar = format!(
        "qemu-img:{}",
        ring::stand_in("wrong_virtual_size").display()
    );
    for (candidate, code) in [(&*liar, 1), ("qemu-img", 130)] {
        let mut command = ring::imgduel();
        command.current_dir(place.path());
        command.args([
            "fuzz",
            "--generation",
            "ops7",
            "--ops",
            "info",
            "--seed",
            "7",
        ]);
        command.args(["--no-shrink", "--workdir", ".", "--json"]);
        command.args([&format!("records-{code}"), "--candidate", candidate]);
        command.args(["--iterations", "100000", "--jobs", "1"]);
        let campaign = command.stdout(Stdio::null()).stderr(Stdio::null());
        let campaign = campaign.spawn().unwrap();
        wait_for(&place.path().join(format!("records-{code}")), 3);
        ring::signal(campaign.id(), "INT");
        let output = campaign.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{candidate}");
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_resumed_guided_campaign_continues_as_if_it_had_not_been_interrupted() {
    let place = ring::scratch();
    let guided = [
        "--guided",
        "--generation",
        "native1",
        "--ops",
        "write,read,resize",
    ];
    let guided = [
        &guided[..],
        &[
            "--candidate",
            "qemu-img",
            "--jobs",
            "1",
            "--iterations",
            "16",
        ],
    ];
    let guided = guided.concat();
    let whole = [&guided[..], &["--seed", "5", "--json", "whole"]].concat();
    assert_eq!(fuzz(place.path(), &whole).status.code(), Some(0));
    let all = ids(&place.path().join("whole"));
    assert!(
        all.iter().any(|id| !id.starts_with("native1_s5")),
        "{all:?}"
    );
    let text_of_whole = std::fs::read_to_string(place.path().join("whole")).unwrap();
    let cut: Vec<&str> = text_of_whole.split_inclusive('\n').take(11).collect();
    std::fs::write(place.path().join("cut"), cut.concat()).unwrap();
    let resumed = [&guided[..], &["--resume", "cut"]].concat();
    let output = fuzz(place.path(), &resumed);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(ids(&place.path().join("cut")), all);
    // If the records are in another order, as after a run with several jobs, no case runs twice.
    let mut other = cut[..8].to_vec();
    other.swap(0, 1);
    std::fs::write(place.path().join("other"), other.concat()).unwrap();
    let resumed = [&guided[..], &["--resume", "other"]].concat();
    assert_eq!(fuzz(place.path(), &resumed).status.code(), Some(0));
    let mut tried = ids(&place.path().join("other"));
    assert_eq!(tried.len(), 16);
    tried.sort();
    tried.dedup();
    assert_eq!(tried.len(), 16);
    let output = fuzz(
        place.path(),
        &["--candidate", "qemu-img", "--resume", "whole"],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("resume a guided campaign with --guided"));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_campaign_starts_with_the_corpus_and_adds_to_it() {
    let place = ring::scratch();
    let guided = ["--guided", "--generation", "native1", "--ops", "write,read"];
    let guided = [
        &guided[..],
        &[
            "--candidate",
            "qemu-img",
            "--jobs",
            "1",
            "--corpus",
            "corpus",
        ],
    ];
    let guided = guided.concat();
    let first = [
        &guided[..],
        &["--seed", "5", "--iterations", "6", "--json", "r1"],
    ]
    .concat();
    assert_eq!(fuzz(place.path(), &first).status.code(), Some(0));
    let files = std::fs::read_dir(place.path().join("corpus")).unwrap();
    let mut kept: Vec<String> = files
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    kept.sort();
    assert!(!kept.is_empty() && kept.len() <= 6, "{kept:?}");
    std::fs::write(place.path().join("corpus/torn.json"), "{").unwrap();
    let iterations = (kept.len() + 1).to_string();
    let next = ["--seed", "6", "--json", "r2", "--iterations", &iterations];
    let output = fuzz(place.path(), &[&guided[..], &next].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stderr);
    assert!(
        said.contains("corpus/torn.json is left out: it is not a case"),
        "{said}"
    );
    assert_eq!(ids(&place.path().join("r2"))[..kept.len()], kept);
}
