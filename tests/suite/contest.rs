//! Several candidates at once: one record each, a table of who stands where, and nobody judged by what another did.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(not(any(missing_qemu_img, missing_python)))]

use crate::ring;

use std::process::{Command, Output};

use serde_json::Value;

fn lying(lie: &str) -> String {
    format!(
        "adapter:{} {lie}",
        ring::stand_in("lying_adapter").display()
    )
}

/// A campaign of chains on raw images, with these candidates.
fn fuzz(directory: &std::path::Path, candidates: &[&str]) -> (Output, Value, Vec<Value>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imgduel"));
    command.current_dir(directory);
    command.args([
        "fuzz",
        "--generation",
        "native1",
        "--seed",
        "3",
        "--ops",
        "write,read",
    ]);
    command.args([
        "--iterations",
        "8",
        "--no-shrink",
        "--json",
        "records",
        "--summary",
        "summary",
    ]);
    for candidate in candidates {
        command.args(["--candidate", candidate]);
    }
    let output = command.output().unwrap();
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    let records = read("records");
    let records = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let summary = serde_json::from_str(&read("summary")).unwrap_or_default();
    (output, summary, records.collect())
}

#[test]
fn the_odd_one_out_is_named_and_the_others_agree() {
    let directory = tempfile::tempdir().unwrap();
    let (liar, honest) = (lying("flips_a_byte_of_all"), lying("truth_of_all"));
    let (output, summary, records) = fuzz(directory.path(), &[&liar, &honest, "imago"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(records.len(), 24, "one for each of three candidates");
    let diverging: Vec<&str> = records
        .iter()
        .filter(|record| record["verdict"] == "divergence")
        .map(|record| record["candidate"]["name"].as_str().unwrap())
        .collect();
    assert!(!diverging.is_empty());
    assert!(diverging.iter().all(|name| *name == "flips_a_byte_of_all"));
    let row = &summary["matrix"][0];
    assert_eq!(
        row["verdict"], "flips_a_byte_of_all 0 is the odd one out",
        "{row:#}"
    );
    assert_eq!(row["cells"]["flips_a_byte_of_all 0"]["stand"], "differs");
    assert_eq!(row["cells"]["truth_of_all 0"]["stand"], "agrees");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("3 candidates, reference qemu-img"), "{text}");
    assert!(
        text.contains("flips_a_byte_of_all 0 is the odd one out"),
        "{text}"
    );
    let tally = &summary["by_candidate"]["truth_of_all 0"];
    let sum: u64 = tally
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(sum, 8);
}

#[test]
fn a_record_of_several_candidates_replays_with_its_own_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (liar, honest) = (lying("flips_a_byte_of_all"), lying("truth_of_all"));
    let (_, _, records) = fuzz(directory.path(), &[&format!("{liar},{honest}")]);
    let record = records
        .iter()
        .find(|record| record["verdict"] == "divergence")
        .unwrap();
    let reproduce = record["reproduce"].as_str().unwrap();
    assert!(
        reproduce.contains("flips_a_byte_of_all") && !reproduce.contains("truth"),
        "{reproduce}"
    );
}

#[test]
fn a_candidate_that_is_named_twice_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (output, ..) = fuzz(directory.path(), &["imago", "imago"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("imago 0.2.6 is named twice"), "{said}");
}

#[test]
fn a_campaign_for_readers_passes_over_what_no_candidate_can_be_asked() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_imgduel"));
    command.current_dir(directory.path());
    command.args([
        "fuzz",
        "--generation",
        "native1_readers",
        "--candidate",
        "vdi",
    ]);
    command.args(["--seed", "3", "--iterations", "4", "--json", "records"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let records = std::fs::read_to_string(directory.path().join("records")).unwrap();
    let records: Vec<Value> = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 4);
    let is_match = |record: &Value| record["verdict"] == "match";
    assert!(records.iter().all(is_match), "{records:?}");
    let last = records
        .iter()
        .map(|record| record["iteration"].as_u64().unwrap());
    assert!(last.max() > Some(3), "one case in seven is about vdi");
}
