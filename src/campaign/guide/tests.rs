//! Tests of the guide.

use super::*;
use crate::run::record::FORMAT_VERSION;

/// Returns the record of a match whose coverage depends on its kinds of steps and their number.
fn record(case: &Case) -> Record {
    let text = serde_json::to_string(&case.ops).unwrap();
    let steps = text.matches("\"step\":\"").count() as u32;
    let words = text.split("\"step\":\"").skip(1);
    let kinds =
        words.map(|rest| u32::from(rest.as_bytes()[0]) * 256 + u32::from(rest.as_bytes()[1]));
    let tool = serde_json::json!({"name": "t", "version": "1"});
    let record = serde_json::json!({
        "format_version": FORMAT_VERSION, "id": case.id().to_string(), "generation": case.generation, "seed": case.seed,
        "iteration": case.iteration, "iter_seed": case.iter_seed.unwrap_or_default(), "verdict": "match", "candidate": tool,
        "reference": tool, "operations": [], "duration_ms": 1.0, "tool_calls": 1, "tool_cpu_ms": 1.0,
        "behaviours": kinds.chain([steps]).collect::<BTreeSet<u32>>(),
    });
    serde_json::from_value(record).unwrap()
}

fn guide(cases: u64) -> Guide {
    let generation = Generation::named("native1").unwrap();
    Guide::new(generation, 5, 0, &Selection::ALL, cases).unwrap()
}

fn run(mut guide: Guide) -> Vec<Case> {
    let mut cases = Vec::new();
    while let Some(case) = guide.next() {
        let case = case.unwrap();
        guide.learn(&case, &record(&case));
        cases.push(case);
    }
    cases
}

#[test]
fn a_guided_campaign_is_deterministic_and_each_case_can_be_rebuilt_from_its_id() {
    let cases = run(guide(200));
    assert_eq!(cases.len(), 200);
    assert_eq!(run(guide(200)), cases);
    let children = cases.iter().filter(|case| case.generation != "native1");
    assert!(children.clone().count() > 80);
    for case in children {
        assert_eq!(
            Generation::case(&case.id(), &Selection::ALL).unwrap(),
            *case
        );
        let text = serde_json::to_string(case).unwrap();
        assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), *case);
    }
}

#[test]
fn no_id_of_a_campaign_is_a_substring_of_another() {
    let ids: Vec<String> = run(guide(120))
        .iter()
        .map(|case| case.id().to_string())
        .collect();
    for (index, id) in ids.iter().enumerate() {
        let is_part = |other: &String| other.contains(id.as_str());
        assert!(!ids[index + 1..].iter().any(is_part), "{id}");
        assert!(!ids[..index].iter().any(is_part), "{id}");
    }
}

#[test]
fn fresh_cases_are_those_of_an_unguided_campaign() {
    let generation = Generation::named("native1").unwrap();
    let cases = run(guide(100));
    let fresh = cases.iter().filter(|case| case.generation == "native1");
    let drawn = generation.cases(5, 0, &Selection::ALL).unwrap();
    assert!(fresh.zip(drawn).all(|(fresh, drawn)| *fresh == drawn));
}

#[test]
fn the_generations_of_the_python_harness_cannot_be_guided() {
    let error = Guide::new(Generation::usual(), 1, 0, &Selection::ALL, 1)
        .err()
        .unwrap();
    assert!(error.to_string().contains("cannot be guided"), "{error}");
}
