//! Cases decode exactly as in the Python harness, through the library and through `imgduel show`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use imgduel::case::CaseId;
use imgduel::case::generation::{Generation, Selection};
use serde_json::Value;

use crate::ring;

/// The number of golden cases in the three files.
const GOLDEN_CASES: usize = 513;

fn golden(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns the name of a case's generation as ids have it.
fn generation(case: &Value) -> String {
    case["generation"].as_str().unwrap().replace('-', "_")
}

fn id(case: &Value) -> CaseId {
    let generation = &generation(case);
    match case["seed"].as_u64() {
        Some(seed) => CaseId::in_campaign(generation, seed, case["iteration"].as_u64().unwrap()),
        None => format!("{generation}_x{}", case["iter_seed"])
            .parse()
            .unwrap(),
    }
}

#[test]
fn every_golden_case_of_the_known_generations_decodes_exactly() {
    let mut decoded = 0;
    for golden in golden("replay-golden.json")
        .iter()
        .chain(&golden("replay-golden-ops.json"))
        .chain(&golden("replay-golden-2026-11.json"))
    {
        let pool: Option<Vec<String>> = golden
            .get("ops_filter")
            .map(|pool| serde_json::from_value(pool.clone()).unwrap());
        let case = Generation::case(&id(golden), &Selection::of_operations(pool)).unwrap();
        let mut golden = golden.clone();
        golden["generation"] = generation(&golden).into();
        // Only that file names the issue in which a seed was quoted.
        golden.as_object_mut().unwrap().remove("issue");
        let shown = serde_json::to_value(&case).unwrap();
        assert_eq!(shown, golden);
        let read: imgduel::case::Case = serde_json::from_value(shown).unwrap();
        assert_eq!(read, case);
        decoded += 1;
    }
    assert_eq!(decoded, GOLDEN_CASES);
}

#[test]
fn a_case_survives_its_json_form() {
    for case in Generation::usual()
        .cases(7, 0, &Selection::ALL)
        .unwrap()
        .take(200)
    {
        let text = serde_json::to_string(&case).unwrap();
        assert_eq!(
            serde_json::from_str::<imgduel::case::Case>(&text).unwrap(),
            case
        );
    }
}

#[test]
fn show_prints_the_golden_cases_one_json_line_each_and_runs_nothing() {
    let golden: Vec<Value> = golden("replay-golden.json")
        .into_iter()
        .filter(|case| case["generation"] == "ops7")
        .collect();
    assert_eq!(golden.len(), 23);
    let ids = golden.iter().map(|case| id(case).to_string());
    // Without PATH, no tool can run.
    let shown = ring::imgduel()
        .arg("show")
        .args(ids)
        .env_clear()
        .output()
        .unwrap();
    assert!(
        shown.status.success(),
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
    let lines = String::from_utf8(shown.stdout).unwrap();
    let shown: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(shown, golden);
}

#[test]
fn show_accepts_an_inclusive_range() {
    let shown = ring::imgduel()
        .args(["show", "ops7_s1_i3..5"])
        .output()
        .unwrap();
    let lines = String::from_utf8(shown.stdout).unwrap();
    let iterations: Vec<u64> = lines
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["iteration"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(iterations, [3, 4, 5]);
}
