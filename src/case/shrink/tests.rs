//! Tests of the shrinker without tools: closures decide which symptoms a case shows.

use std::time::Duration;

use super::{Limits, Progress, Symptom, shrink};
use crate::base::error::Error;
use crate::case::Case;
use crate::case::generation::{Generation, Selection};
use crate::operation::Operation;
use crate::operation::chain::{Chain, ChainStep, Layer, Naming};
use crate::oracle::observations::Side;
use crate::oracle::signature::Cause;
use crate::oracle::verdict::{Blame, Difference};
use crate::tool::request::SnapshotAction;

const LIMITS: Limits = Limits {
    attempts: 5000,
    time: Duration::from_secs(60),
};

fn symptom(operation: &str) -> Symptom {
    Symptom {
        kind: format!("{operation}_divergence"),
        operation: operation.to_owned(),
        blame: None,
        known: None,
        cause: None,
    }
}

/// Returns the first case of ops16 that contains this operation and at least two others.
fn case_with(operation: &str) -> Case {
    let generation = Generation::named("ops16").unwrap();
    let mut cases = generation.cases(7, 0, &Selection::ALL).unwrap();
    let has = |case: &Case| case.ops.iter().any(|found| found.name() == operation);
    cases.find(|case| case.ops.len() > 2 && has(case)).unwrap()
}

/// Returns the chain of a case whose only operation is a chain.
fn chain(case: &Case) -> &Chain {
    match &case.ops[..] {
        [Operation::Chain(chain)] => chain,
        other => panic!("{other:?}"),
    }
}

/// Returns the cases of native1 whose chain satisfies `has`.
fn chains(has: impl Fn(&Chain) -> bool) -> impl Iterator<Item = Case> {
    chains_of("native1", has)
}

/// Returns the cases of a native generation whose chain satisfies `has`.
fn chains_of(generation: &str, has: impl Fn(&Chain) -> bool) -> impl Iterator<Item = Case> {
    let generation = Generation::named(generation).unwrap();
    let cases = generation.cases(3, 0, &Selection::ALL).unwrap();
    cases.filter(move |case| has(chain(case)))
}

/// Shrinks a chain as long as it satisfies `has`.
fn shrunk_chain(case: Case, has: impl Fn(&Chain) -> bool) -> Progress {
    let mut progress = Progress::new(case, symptom("chain"));
    let shown = |case: &Case| Ok(Vec::from_iter(has(chain(case)).then(|| symptom("chain"))));
    shrink(&mut progress, LIMITS, shown, |_| Ok(())).unwrap();
    assert!(progress.finished, "{:?}", progress.case);
    progress
}

/// Returns the symptom of every operation of a case.
fn shows_all(case: &Case) -> Vec<Symptom> {
    case.ops.iter().map(|found| symptom(found.name())).collect()
}

fn shrunk(operation: &str, shown: impl Fn(&Case) -> Vec<Symptom>) -> Progress {
    let mut progress = Progress::new(case_with(operation), symptom(operation));
    shrink(&mut progress, LIMITS, |case| Ok(shown(case)), |_| Ok(())).unwrap();
    assert!(progress.finished, "{operation}: {}", progress.attempts);
    progress
}

#[test]
fn every_operation_shrinks_to_a_single_operation_without_options() {
    for operation in Generation::named("ops16").unwrap().operations() {
        let progress = shrunk(operation, shows_all);
        let bulk = progress.case.case_size();
        assert_eq!(
            (bulk.operations, bulk.writes),
            (1, 0),
            "{:?}",
            progress.case
        );
        assert_eq!(bulk.options, 0, "{:?}", progress.case);
        assert_eq!(progress.case.ops[0].name(), operation);
    }
}

#[test]
fn shrinking_keeps_what_the_symptom_depends_on() {
    let needs = |case: &Case| {
        let big = |found: &&Operation| match found {
            Operation::Resize(resize) => resize.start.bytes() > 3 << 20 && resize.shrink,
            _ => false,
        };
        case.ops
            .iter()
            .filter(big)
            .map(|found| symptom(found.name()))
            .collect::<Vec<_>>()
    };
    let mut cases = Generation::named("ops16")
        .unwrap()
        .cases(7, 0, &Selection::ALL)
        .unwrap();
    let case = cases.find(|case| !needs(case).is_empty()).unwrap();
    let mut progress = Progress::new(case, symptom("resize"));
    shrink(&mut progress, LIMITS, |case| Ok(needs(case)), |_| Ok(())).unwrap();
    let [Operation::Resize(resize)] = &progress.case.ops[..] else {
        panic!("{:?}", progress.case.ops);
    };
    assert_eq!((resize.start.bytes(), resize.end_bytes), (4 << 20, 1 << 20));
    assert!(resize.options.is_empty() && resize.shrink);
}

#[test]
fn a_shrink_candidate_with_another_symptom_is_not_kept() {
    // A single operation shows another symptom.
    let shown = |case: &Case| match case.ops.len() {
        1 => vec![symptom("other")],
        _ => shows_all(case),
    };
    assert_eq!(shrunk("convert", shown).case.ops.len(), 2);
    let blamed = |case: &Case| {
        let mut symptoms = shows_all(case);
        symptoms
            .iter_mut()
            .for_each(|symptom| symptom.blame = Some(Blame::Candidate));
        symptoms
    };
    assert_eq!(shrunk("convert", blamed).case, case_with("convert"));
    let of_an_entry = |case: &Case| {
        let mut symptoms = shows_all(case);
        let entry = Some("another-crash".to_owned());
        symptoms
            .iter_mut()
            .for_each(|symptom| symptom.known.clone_from(&entry));
        symptoms
    };
    assert_eq!(shrunk("convert", of_an_entry).case, case_with("convert"));
}

/// Returns the symptom of an exit divergence in which side `by` refuses with this message.
fn refused(by: Side, words: &str) -> Symptom {
    let refused = format!("exit 1: {words}");
    let [candidate, reference] = match by {
        Side::Candidate => [refused.as_str(), "exit 0"],
        Side::Reference => ["exit 0", refused.as_str()],
    };
    let difference = Difference::written("exit of convert", candidate, reference);
    Symptom {
        cause: Cause::from_differences(&[difference]),
        ..symptom("convert")
    }
}

#[test]
fn a_smaller_case_refused_with_another_message_or_by_the_other_side_is_not_kept() {
    let size = |case: &Case| case.ops.len();
    let wanted = refused(Side::Candidate, "no data at 4096");
    let others = [
        refused(Side::Candidate, "Invalid argument"),
        refused(Side::Reference, "no data at 4096"),
        symptom("convert"),
    ];
    for other in others {
        let shown = |case: &Case| {
            Ok(match size(case) {
                1 => vec![other.clone()],
                // Numbers in messages are ignored.
                _ => vec![refused(Side::Candidate, "no data at 512")],
            })
        };
        let mut progress = Progress::new(case_with("convert"), wanted.clone());
        shrink(&mut progress, LIMITS, shown, |_| Ok(())).unwrap();
        assert!(progress.finished);
        assert_eq!(size(&progress.case), 2, "{other:?}");
    }
}

#[test]
fn a_symptom_of_an_earlier_version_has_no_cause_and_matches_any() {
    let old: Symptom =
        serde_json::from_str(r#"{"kind": "convert_divergence", "operation": "convert"}"#).unwrap();
    assert_eq!(old, symptom("convert"));
    assert!(old.is_among(&[refused(Side::Candidate, "no")]));
    assert!(!refused(Side::Candidate, "no").is_among(&[old]));
}

#[test]
fn shrinking_a_case_twice_gives_the_same_result_in_the_same_number_of_attempts() {
    for operation in ["convert", "resize", "dd", "bench", "snapshot"] {
        assert_eq!(shrunk(operation, shows_all), shrunk(operation, shows_all));
    }
}

#[test]
fn a_run_interrupted_anywhere_and_resumed_ends_like_an_uninterrupted_one() {
    let whole = shrunk("resize", shows_all);
    for cut in 0..whole.attempts {
        let mut saved = None;
        let mut left = cut;
        let mut progress = Progress::new(case_with("resize"), symptom("resize"));
        let ended = shrink(
            &mut progress,
            LIMITS,
            |case| {
                left = left.checked_sub(1).ok_or_else(Error::interrupted)?;
                Ok(shows_all(case))
            },
            |progress| {
                saved = Some(serde_json::to_string(progress).unwrap());
                Ok(())
            },
        );
        assert!(ended.is_err());
        let mut resumed = match saved {
            Some(saved) => serde_json::from_str(&saved).unwrap(),
            None => Progress::new(case_with("resize"), symptom("resize")),
        };
        shrink(&mut resumed, LIMITS, |case| Ok(shows_all(case)), |_| Ok(())).unwrap();
        assert_eq!(
            (resumed.case, resumed.attempts),
            (whole.case.clone(), whole.attempts)
        );
    }
}

#[test]
fn a_run_stops_at_the_limit_of_attempts() {
    let mut progress = Progress::new(case_with("convert"), symptom("convert"));
    let limits = Limits {
        attempts: 3,
        ..LIMITS
    };
    shrink(&mut progress, limits, |_| Ok(Vec::new()), |_| Ok(())).unwrap();
    assert_eq!((progress.attempts, progress.finished), (3, false));
}

#[test]
fn a_chain_without_requirements_shrinks_to_one_small_image_and_no_steps() {
    for case in chains(|_| true).take(60) {
        let progress = shrunk_chain(case, |_| true);
        let shrunk = chain(&progress.case);
        let bulk = progress.case.case_size();
        assert_eq!((bulk.operations, bulk.options, bulk.writes), (0, 0, 0));
        assert_eq!((shrunk.layers.len(), shrunk.layers[0].size), (1, 1 << 20));
    }
}

#[test]
fn shrinking_keeps_the_steps_that_a_remaining_step_depends_on() {
    let applies = |chain: &Chain| {
        chain.steps.iter().any(
            |step| matches!(step, ChainStep::Snapshot { action, .. } if *action == SnapshotAction::Apply),
        )
    };
    let case = chains(|chain| applies(chain) && chain.layers.len() > 2)
        .next()
        .unwrap();
    let shrunk = shrunk_chain(case, applies);
    assert_eq!(chain(&shrunk.case).layers.len(), 1);
    let steps = &chain(&shrunk.case).steps;
    let [
        ChainStep::Snapshot { name: made, .. },
        ChainStep::Snapshot { name: applied, .. },
    ] = &steps[..]
    else {
        panic!("{steps:?}");
    };
    assert_eq!(made, applied);
}

#[test]
fn a_rebase_still_names_a_backing_image_when_others_are_removed() {
    let rebases = |chain: &Chain| {
        let onto = |step: &ChainStep| match step {
            ChainStep::Rebase { onto, .. } => *onto,
            _ => None,
        };
        let names = |index: usize| {
            chain
                .layers
                .get(index)
                .is_some_and(|layer| !layer.writes.is_empty())
        };
        chain.steps.iter().find_map(onto).is_some_and(names)
    };
    let case = chains(|chain| rebases(chain) && chain.layers.len() > 3)
        .next()
        .unwrap();
    let shrunk = shrunk_chain(case, rebases);
    let shrunk = chain(&shrunk.case);
    assert_eq!(shrunk.layers.len(), 2, "{shrunk:?}");
    assert_eq!(
        shrunk.steps,
        [ChainStep::Rebase {
            onto: Some(0),
            is_unsafe: false,
            compresses: false,
        }]
    );
}

#[test]
fn shrinking_a_chain_is_deterministic_even_when_interrupted() {
    let writes = |chain: &Chain| {
        let writes = |step: &ChainStep| matches!(step, ChainStep::Write { .. });
        chain.steps.iter().filter(|step| writes(step)).count() > 1 && chain.layers.len() > 1
    };
    let case = chains(writes).next().unwrap();
    let whole = shrunk_chain(case.clone(), writes);
    assert_eq!(shrunk_chain(case.clone(), writes), whole);
    let limits = Limits {
        attempts: 3,
        ..LIMITS
    };
    let mut pieces = Progress::new(case, symptom("chain"));
    while !pieces.finished {
        let shown = |case: &Case| {
            Ok(Vec::from_iter(
                writes(chain(case)).then(|| symptom("chain")),
            ))
        };
        shrink(&mut pieces, limits, shown, |_| Ok(())).unwrap();
        let saved = serde_json::to_string(&pieces).unwrap();
        pieces = serde_json::from_str(&saved).unwrap();
    }
    assert_eq!(pieces, whole);
}

#[test]
fn a_resize_shrinks_with_the_image_and_a_write_at_its_end_stays_at_the_end() {
    let grows_past_its_last_write = |chain: &Chain| {
        let top = &chain.layers[chain.layers.len() - 1];
        let at_the_end = top
            .writes
            .iter()
            .any(|write| write.offset + write.length == top.size);
        let grows =
            |step: &ChainStep| matches!(step, ChainStep::Resize { size, .. } if *size > top.size);
        at_the_end && chain.steps.iter().any(grows)
    };
    for case in chains(grows_past_its_last_write).take(5) {
        let shrunk = shrunk_chain(case, grows_past_its_last_write);
        let bulk = shrunk.case.case_size();
        assert_eq!((bulk.operations, bulk.options, bulk.writes), (1, 0, 1));
        assert!(
            chain(&shrunk.case).layers[0].size <= 1 << 20,
            "{:?}",
            shrunk.case
        );
    }
}

#[test]
fn generated_chains_and_their_shrink_candidates_need_no_sanitizing() {
    let both = |count: usize| {
        let [one, two] = ["native1", "native2"].map(|name| chains_of(name, |_| true));
        one.take(count).chain(two.take(count))
    };
    for case in both(1000) {
        let drawn = chain(&case);
        assert_eq!(drawn.sanitized(), *drawn);
    }
    for case in both(25) {
        for simpler in case.ops[0].perform().simpler() {
            let Operation::Chain(simpler) = simpler else {
                panic!("{simpler:?}");
            };
            assert_eq!(simpler.sanitized(), simpler);
        }
    }
}

#[test]
fn steps_on_backing_images_are_removed_or_moved_to_the_top_image() {
    let has_read = |chain: &Chain| chain.steps.iter().any(|step| step.name() == "read");
    let has_below = |chain: &Chain| {
        let is_below = |step: &ChainStep| matches!(step, ChainStep::Below { .. });
        let prepared = chain.layers.iter().any(|layer| !layer.steps.is_empty());
        chain.steps.iter().any(is_below) && prepared && has_read(chain)
    };
    for case in chains_of("native2", has_below).take(5) {
        let progress = shrunk_chain(case, has_read);
        let chain = chain(&progress.case);
        assert_eq!(chain.steps, [ChainStep::Read]);
        assert!(chain.layers.len() == 1 && chain.layers[0].steps.is_empty());
    }
}

#[test]
fn a_snapshot_conversion_shrinks_to_the_snapshot_and_the_conversion() {
    let converts =
        |chain: &Chain| matches!(chain.steps.last(), Some(ChainStep::ConvertSnapshot { .. }));
    for case in chains_of("native2", converts).take(5) {
        let progress = shrunk_chain(case, converts);
        let chain = chain(&progress.case);
        assert_eq!((chain.layers.len(), chain.steps.len()), (1, 2), "{chain:?}");
        let ChainStep::ConvertSnapshot { by, to, .. } = &chain.steps[1] else {
            panic!("{chain:?}");
        };
        assert!(*by == Naming::Name && to.options.is_empty());
    }
}

#[test]
fn a_backing_image_keeps_the_snapshot_that_a_symptom_depends_on() {
    let keeps = |chain: &Chain| {
        let is_snapshot = |step: &ChainStep| step.name() == "snapshot";
        let is_prepared = |layer: &Layer| layer.steps.iter().any(is_snapshot);
        let (_, below) = chain.layers.split_last().unwrap();
        below.iter().any(is_prepared)
    };
    for case in chains_of("native2", keeps).take(5) {
        let progress = shrunk_chain(case, keeps);
        let chain = chain(&progress.case);
        assert_eq!((chain.layers.len(), chain.steps.len()), (2, 0), "{chain:?}");
        assert_eq!(chain.layers[0].steps.len(), 1, "{chain:?}");
        assert!(chain.layers[0].options.is_empty() && chain.layers[0].writes.is_empty());
    }
}
