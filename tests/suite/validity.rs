//! Validation of cases from files: all drawn, mutated and shrunk cases are valid, invalid ones are reported in one line, and no file content
//! makes the harness panic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use imgduel::base::error::Result;
use imgduel::case::Case;
use imgduel::case::cost;
use imgduel::case::generation::ancestry::Change;
use imgduel::case::generation::{Generation, Selection};
use imgduel::case::shrink::{Limits, Progress, Symptom, shrink};
use imgduel::oracle::observations::Observations;
use imgduel::report::seed_file::SeedFile;
use serde_json::{Value, json};

const GENERATIONS: [&str; 9] = [
    "ops7",
    "ops16",
    "native1",
    "native2",
    "malformed1",
    "native1_imago",
    "native2_imago",
    "native1_readers",
    "malformed1_readers",
];

/// Deterministic random numbers, from a generator with the multiplier of Knuth's MMIX.
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }
}

fn drawn(generation: &str, seed: u64, count: usize) -> Vec<Case> {
    let generation = Generation::named(generation).unwrap();
    generation
        .cases(seed, 0, &Selection::ALL)
        .unwrap()
        .take(count)
        .collect()
}

fn read(json: &str) -> Result<Case> {
    SeedFile::of_text(Path::new("a/seed.json"), json)?.case()
}

fn assert_valid(case: &Case) {
    let json = serde_json::to_string(case).unwrap();
    assert_eq!(
        &read(&json).unwrap_or_else(|error| panic!("{error}: {json}")),
        case
    );
}

/// Returns the shrink candidates of a case.
fn simpler(case: &Case) -> Vec<Case> {
    let mut versions = Vec::new();
    for image in case.image.simpler() {
        let sanitized = case.ops.iter().map(|operation| {
            let sanitized = operation.perform().sanitized(&image);
            sanitized.unwrap_or_else(|| operation.clone())
        });
        let (ops, image) = (sanitized.collect(), image.clone());
        versions.push(Case {
            image,
            ops,
            ..case.clone()
        });
    }
    for (index, operation) in case.ops.iter().enumerate() {
        for version in operation.perform().simpler() {
            let mut smaller = case.clone();
            smaller.ops[index] = version;
            versions.push(smaller);
        }
    }
    versions
}

#[test]
fn all_drawn_mutated_and_shrunk_cases_are_valid() {
    let mut draws = Draws(1);
    for name in GENERATIONS {
        for mut case in drawn(name, 3, 10) {
            assert_valid(&case);
            for number in 0..2 {
                let Ok(child) = Generation::child(&case, Change::Mutation(number)) else {
                    continue;
                };
                assert_valid(&child);
                assert_valid(&Generation::child(&child, Change::Splice(number + 5)).unwrap());
            }
            for _ in 0..3 {
                let versions = simpler(&case);
                if versions.is_empty() {
                    break;
                }
                case = versions[draws.below(versions.len())].clone();
                assert_valid(&case);
            }
        }
    }
}

/// Returns the number of values in a JSON value.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(places).sum::<usize>(),
        Value::Object(map) => map.values().map(places).sum::<usize>(),
        _ => 0,
    }
}

/// Changes the value with index `place`.
fn change(value: &mut Value, place: &mut usize, draws: &mut Draws) {
    if *place == 0 {
        *place = usize::MAX;
        *value = changed(value, draws);
        return;
    }
    *place -= 1;
    let below: Vec<&mut Value> = match value {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(map) => map.values_mut().collect(),
        _ => return,
    };
    for value in below {
        if *place == usize::MAX {
            return;
        }
        change(value, place, draws);
    }
}

fn changed(value: &Value, draws: &mut Draws) -> Value {
    let numbers = [
        0,
        1,
        2,
        511,
        512,
        513,
        1 << 31,
        1 << 32,
        (1 << 62) + 1,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX - 511,
        u64::MAX,
    ];
    let words = [
        "",
        "-",
        "--add",
        "-1",
        "+0",
        "0",
        "1M",
        "18446744073709551615",
        "16777215T",
        "no such",
        "/etc/passwd",
        "a\nb",
        "ä",
    ];
    match value {
        Value::Number(number) => match number.as_u64() {
            Some(number) if draws.below(3) == 0 => json!(number ^ 1 << draws.below(64)),
            _ => json!(numbers[draws.below(numbers.len())]),
        },
        Value::String(word) => match draws.below(4) {
            0 => json!(words[draws.below(words.len())]),
            1 => {
                let (name, _) = word.split_once('=').unwrap_or((word, ""));
                json!(format!("{name}={}", words[draws.below(words.len())]))
            }
            2 => json!(format!("{word}0")),
            _ => json!(word.chars().skip(1).collect::<String>()),
        },
        Value::Bool(is) => json!(!is),
        Value::Null => json!(numbers[draws.below(numbers.len())]),
        Value::Array(list) => {
            let mut list = list.clone();
            match draws.below(4) {
                0 => list.clear(),
                1 => drop(list.pop()),
                2 => list.reverse(),
                _ => list.extend(list.clone()),
            }
            Value::Array(list)
        }
        Value::Object(map) => {
            let mut map = map.clone();
            let names: Vec<String> = map.keys().cloned().collect();
            if !names.is_empty() {
                map.remove(&names[draws.below(names.len())]);
            }
            Value::Object(map)
        }
    }
}

/// Does everything with a case that the harness does before a tool runs.
fn look(case: &Case) {
    let _ = (
        case.id(),
        case.case_size(),
        cost::of_case(case),
        case.image.contents(),
    );
    for (index, operation) in case.ops.iter().enumerate() {
        let (perform, context) = (operation.perform(), case.context(index));
        let _ = (
            perform.steps(&context),
            perform.leaves(&context),
            perform.skipped(),
        );
        let _ = (perform.features(), perform.bounds(), perform.reads_source());
        let _ = perform.outputs(&context, &Observations::default());
    }
    serde_json::to_string(case).unwrap();
}

fn shrunk(case: &Case) {
    let operation = case.ops[0].name().to_owned();
    let symptom = Symptom {
        kind: "kind".to_owned(),
        operation,
        blame: None,
        known: None,
        cause: None,
    };
    let mut progress = Progress::new(case.clone(), symptom.clone());
    let limits = Limits {
        attempts: 12,
        time: Duration::from_secs(5),
    };
    let mut tries = 0;
    let shown = |case: &Case| {
        look(case);
        tries += 1;
        let is_shown = tries % 3 == 0
            && case
                .ops
                .iter()
                .any(|operation| operation.name() == symptom.operation);
        Ok(if is_shown {
            vec![symptom.clone()]
        } else {
            Vec::new()
        })
    };
    shrink(&mut progress, limits, shown, |_| Ok(())).unwrap();
}

#[test]
fn no_change_to_the_json_of_a_case_makes_the_harness_panic() {
    no_change_panics(400);
}

#[test]
#[ignore = "takes a minute in a debug build: 5,000 changes"]
fn none_of_5_000_changes_to_the_json_of_a_case_makes_the_harness_panic() {
    no_change_panics(5000);
}

fn no_change_panics(changes: usize) {
    let all = GENERATIONS.map(|name| drawn(name, 11, 30)).concat();
    let mut draws = Draws(7);
    let (mut valid, mut refused, mut panics) = (0, 0, Vec::new());
    for _ in 0..changes {
        let mut json = serde_json::to_value(&all[draws.below(all.len())]).unwrap();
        for _ in 0..1 + draws.below(2) {
            let mut place = draws.below(places(&json));
            change(&mut json, &mut place, &mut draws);
        }
        let text = json.to_string();
        let outcome = catch_unwind(AssertUnwindSafe(|| match read(&text) {
            Ok(case) => {
                look(&case);
                shrunk(&case);
                true
            }
            Err(error) => {
                let error = error.to_string();
                assert!(
                    error.starts_with("a/seed.json is not a seed file: ") && !error.contains('\n'),
                    "{error}"
                );
                false
            }
        }));
        match outcome {
            Ok(true) => valid += 1,
            Ok(false) => refused += 1,
            Err(_) => panics.push(text),
        }
    }
    assert!(panics.is_empty(), "these panic: {}", panics.join("\n"));
    assert!(
        valid > changes / 10 && refused > changes / 10,
        "{valid} valid, {refused} refused"
    );
}

/// Returns the error about a case with this operation.
fn refusal(op: &Value) -> String {
    let mut case = serde_json::to_value(&drawn("ops16", 1, 1)[0]).unwrap();
    case["ops"] = json!([op]);
    read(&case.to_string())
        .expect_err(&op.to_string())
        .to_string()
}

#[test]
fn errors_about_invalid_cases_name_the_field_and_the_valid_values() {
    let layer = json!({"format": "qcow2", "size": 1048576});
    let chain = |step: Value| json!({"op": "chain", "layers": [layer], "steps": [step]});
    let told = [
        (
            json!({"op": "dd", "target": "raw", "virtual_size_probe": 1048576, "bs": 0, "count": null, "skip": 0, "out_vsize": 0}),
            "ops[0] (dd).bs is 0: write 1 to 9223372036854775807",
        ),
        (
            json!({"op": "chain", "layers": [], "steps": []}),
            "ops[0] (chain).layers is empty: write at least one",
        ),
        (
            chain(json!({"step": "dd", "format": "raw", "block_size": 0, "skip": 0})),
            "ops[0] (chain).steps[0].block_size is 0: write 1 to 9223372036854775807",
        ),
        (
            chain(json!({"step": "discard", "offset": u64::MAX, "length": 512})),
            "steps[0] has an offset of 18446744073709551615 and a length of 512: write numbers that come to at most",
        ),
        (
            chain(json!({"step": "bitmap", "flags": ["--add", "-g", "0"], "name": "a"})),
            "steps[0].flags has the granularity '0': write a power of two",
        ),
        (
            chain(
                json!({"step": "convert", "format": "qcow2", "options": ["cluster_size=0"], "compress": false}),
            ),
            "options[0] is 'cluster_size=0': write a power of two from 512",
        ),
        (
            chain(
                json!({"step": "convert", "format": "qcow2", "options": ["data_file=/etc/passwd"], "compress": false}),
            ),
            "options[0] is 'data_file=/etc/passwd': write a value of letters",
        ),
        (
            chain(json!({"step": "amend", "options": ["backing_file=x"]})),
            "there is no option of this name that a case may set",
        ),
        (
            json!({"op": "rebase", "overlay_size": "1K", "new_backing_size": "1M", "new_backing": "", "mode": "safe", "flags": [], "create_options": []}),
            "ops[0] (rebase).overlay_size is 1024: write 1048576 to",
        ),
        (
            json!({"op": "resize", "target": "raw", "start": "1M", "end": "-2M", "options": [], "preallocation": null, "shrink": true, "end_bytes": 4096}),
            "ops[0] (resize).end is '-2M', which from 1M does not come to 4096 bytes",
        ),
        (
            json!({"op": "repair", "cluster_size": 0, "corruption": "overlapping", "tier": "all"}),
            "ops[0] (repair).cluster_size is '0': write one of 512, 4096, 65536",
        ),
        (
            json!({"op": "bitmap", "create_options": [], "size": "1M", "invocations": [["--merge"]]}),
            "ops[0] (bitmap).invocations[0]",
        ),
        (json!({"op": "no such"}), "unknown variant `no such`"),
    ];
    for (op, words) in told {
        let said = refusal(&op);
        assert!(
            said.starts_with("a/seed.json is not a seed file: ") && said.contains(words),
            "{said}"
        );
    }
}
