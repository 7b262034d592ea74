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

/// An iteration that the notes about the Python harness describe in words.
struct Worked {
    id: &'static str,
    selected: Option<&'static str>,
    iter_seed: u64,
    words: u64,
    /// What its JSON contains.
    parts: &'static [&'static str],
}

const WORKED: [Worked; 10] = [
    Worked {
        id: "ops16s_s20260714_i0",
        selected: Some("commit,rebase,bench"),
        iter_seed: 368_985_300,
        words: 91,
        parts: &[
            r#""format":"vpc","virtual_size":"4M","pattern":"mbr""#,
            r#""overlay_size":"4M","explicit_base":null,"seed_spec":"seed-64k","create_options":["cluster_size=512"]"#,
            r#""cluster_size":512,"size":8388608,"steps":[["base_old",[[1829376,512,159],[871424,2560,226],[384000,1024,156]]],["base_new",[[5833728,1024,41],[138752,3072,86],[1016832,3584,164],[1409024,2560,208]]],["overlay",[[7896064,3072,198],[785408,512,72],[6880256,512,173],[2611200,3584,108]]],["overlay",[[4150272,4096,178],[3874816,512,94],[5968896,1536,16]]],["snapshot overlay","snap1"]],"snaps":["snap1"]"#,
        ],
    },
    Worked {
        id: "ops16s_s20260714_i1",
        selected: Some("commit,rebase,bench"),
        iter_seed: 3_046_906_516,
        words: 71,
        parts: &[
            r#""format":"vpc","virtual_size":"1M","pattern":"zeros""#,
            r#"["-f","raw","-c","149","-d","31","-s","16384","-S","0","--pattern","110","-o","6627263","-w","--flush-interval","315"]"#,
            r#"["-f","raw","-c","113","-d","16","-s","4096","-S","0","--pattern","128","-o","0","-w","--flush-interval","0"]"#,
            r#""overlay_size":"4M","new_backing_size":"64M","new_backing":"base.qcow2","mode":"safe""#,
        ],
    },
    Worked {
        id: "ops16s_s20260714_i2",
        selected: Some("commit,rebase,bench"),
        iter_seed: 3_768_111_212,
        words: 151,
        parts: &[
            r#""format":"qcow2","virtual_size":"256M","pattern":"mbr","cluster_size":4096"#,
            r#""shape":"backing","cluster_size":4096,"size":67108864"#,
            r#"["overlay",[[48841216,3584,200]]]"#,
        ],
    },
    Worked {
        id: "ops16v_s1_i0",
        selected: None,
        iter_seed: 3_280_387_012,
        words: 24,
        parts: &[
            r#""format":"vdi","virtual_size":"1G","pattern":"sparse","static":false"#,
            r#""target":"vmdk","size":"1M","options":["subformat=streamOptimized"]"#,
        ],
    },
    Worked {
        id: "ops16d_s1_i0",
        selected: None,
        iter_seed: 3_280_387_012,
        words: 63,
        parts: &[
            r#"{"offset":0,"length":512,"byte":141},{"offset":0,"length":512,"byte":93}"#,
            r#""bs":1048577,"count":1,"skip":104,"out_vsize":0"#,
            r#""bs":4096,"count":null,"skip":16568"#,
            r#""target":"vhdx","size":"64M","options":["block_size=32M"]"#,
        ],
    },
    Worked {
        id: "ops16d_s1_i1",
        selected: None,
        iter_seed: 1_095_513_148,
        words: 27,
        parts: &[
            r#""format":"vdi","virtual_size":"1M","pattern":"mbr","static":false"#,
            r#""case":"lazy-off""#,
            r#"{"op":"measure","skipped":"vdi"}"#,
        ],
    },
    Worked {
        id: "ops16d_s1_i2",
        selected: None,
        iter_seed: 1_930_549_411,
        words: 123,
        parts: &[
            r#""format":"parallels","virtual_size":"1G","pattern":"mbr"}"#,
            r#"{"op":"measure","skipped":"parallels"}"#,
            r#""snaps":["snap1","snap2"]"#,
            r#""start":"1M","end":"+63M","options":["cluster_size=512"],"preallocation":"off""#,
        ],
    },
    Worked {
        id: "ops16d_s42_i3",
        selected: None,
        iter_seed: 3_163_119_785,
        words: 87710,
        parts: &[
            r#""chunks":[["raw",645],["raw",40],["zero",1198]],"split":1,"resource_fork":true"#,
            r#""payload_head":["1ce0165025dccf2d","05042e77eaa8d931"]"#,
            r#""cluster_size":4096,"size":67108864,"count":158,"pattern":160,"steps":[["img",[[0,323584,211]]],["snapshot img","snap1"],["img",[[323584,323584,166]]]"#,
        ],
    },
    Worked {
        id: "ops16d_s52001_i2",
        selected: None,
        iter_seed: 2_841_853_547,
        words: 106_043,
        parts: &[
            r#""chunks":[["raw",828]],"split":null"#,
            r#""payload_head":["a854a3098c961185"]"#,
            r#""cluster_size":512,"compat":"0.10""#,
        ],
    },
    Worked {
        id: "ops16_x933136565",
        selected: None,
        iter_seed: 933_136_565,
        words: 97,
        parts: &[r#""-c","253""#, r#""-s","4096""#, r#""-o","26182930""#],
    },
];

#[test]
fn the_worked_examples_decode_as_the_notes_say() {
    for worked in WORKED {
        let selected = worked
            .selected
            .map(|names| names.split(',').map(str::to_owned).collect());
        let id: CaseId = worked.id.parse().unwrap();
        let case = Generation::case(&id, &Selection::of_operations(selected)).unwrap();
        let text = serde_json::to_string(&case).unwrap();
        assert_eq!(case.iter_seed, Some(worked.iter_seed), "{}", worked.id);
        assert_eq!(case.words_used, worked.words, "{}", worked.id);
        for part in worked.parts {
            assert!(text.contains(part), "{}: no {part} in {text}", worked.id);
        }
    }
}

/// The figures by which the notes describe a whole campaign.
#[test]
fn a_campaign_of_commit_rebase_and_bench_has_the_recorded_numbers_of_slots() {
    let pool = ["commit", "rebase", "bench"].map(str::to_owned).to_vec();
    let generation = Generation::named("ops16s").unwrap();
    let cases = generation.cases(20_260_714, 0, &Selection::of_operations(Some(pool)));
    let (mut slots, mut iterations) = (std::collections::BTreeMap::new(), 0);
    let mut all = 0;
    for case in cases.unwrap().take(300) {
        all += case.ops.len();
        let ops: Vec<Value> = case
            .ops
            .iter()
            .map(|op| serde_json::to_value(op).unwrap())
            .collect();
        let bearing = ops.iter().filter(|op| op["snapshot_bearing"] == true);
        bearing.clone().for_each(|op| {
            *slots
                .entry(op["op"].as_str().unwrap().to_owned())
                .or_insert(0) += 1;
        });
        iterations += usize::from(bearing.count() > 0);
    }
    let slots: Vec<(&str, i32)> = slots
        .iter()
        .map(|(name, count)| (&**name, *count))
        .collect();
    assert_eq!((all, iterations), (894, 228));
    assert_eq!(slots, [("bench", 115), ("commit", 119), ("rebase", 107)]);
}

#[test]
fn only_generations_with_seeds_of_iterations_have_ids_of_them() {
    for id in [
        "ops4_x1",
        "ops16s_x978924777",
        "ops16q_x2",
        "ops16d_x4294967295",
    ] {
        let case = Generation::case(&id.parse().unwrap(), &Selection::ALL).unwrap();
        assert_eq!(case.id(), id.parse().unwrap());
        let read: imgduel::case::Case =
            serde_json::from_value(serde_json::to_value(&case).unwrap()).unwrap();
        assert_eq!(read, case);
    }
    let refused = Generation::case(&"cow_soak_x1".parse().unwrap(), &Selection::ALL).unwrap_err();
    assert!(
        refused.to_string().contains("cow_soak_sSEED_iITERATION"),
        "{refused}"
    );
    let alias: CaseId = "cow-soak_s20260713_i4".parse().unwrap();
    let case = Generation::case(&alias, &Selection::ALL).unwrap();
    assert_eq!(case.id().to_string(), "cow_soak_s20260713_i000004");
}
