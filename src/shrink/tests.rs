//! The shrinker without any tool: the closure says what a case shows.

use std::time::Duration;

use super::{Limits, Progress, Symptom, shrink};
use crate::case::Case;
use crate::error::Error;
use crate::generation::Generation;
use crate::operation::Operation;

const LIMITS: Limits = Limits {
    attempts: 5000,
    time: Duration::from_secs(60),
};

fn symptom(operation: &str) -> Symptom {
    Symptom {
        kind: format!("{operation}_divergence"),
        operation: operation.to_owned(),
        blame: None,
    }
}

/// The first case of ops16 with this operation in it, and others.
fn case_with(operation: &str) -> Case {
    let generation = Generation::named("ops16").unwrap();
    let mut cases = generation.cases(7, 0, None).unwrap();
    let has = |case: &Case| case.ops.iter().any(|found| found.name() == operation);
    cases.find(|case| case.ops.len() > 2 && has(case)).unwrap()
}

/// Shows the symptom of every operation that a case has.
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
fn every_operation_shrinks_to_itself_alone_without_options() {
    for operation in Generation::named("ops16").unwrap().operations() {
        let progress = shrunk(operation, shows_all);
        let bulk = progress.case.bulk();
        assert_eq!(
            (bulk.operations, bulk.writes),
            (1, 0),
            "{:?}",
            progress.case
        );
        assert_eq!(bulk.options, 0, "{:?}", progress.case);
        assert_eq!(progress.case.ops[0].name(), *operation);
    }
}

#[test]
fn what_the_symptom_needs_stays() {
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
        .cases(7, 0, None)
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
fn a_candidate_with_another_symptom_is_not_kept() {
    // Alone the operation shows something else.
    let shown = |case: &Case| match case.ops.len() {
        1 => vec![symptom("other")],
        _ => shows_all(case),
    };
    assert_eq!(shrunk("convert", shown).case.ops.len(), 2);
    let blamed = |case: &Case| {
        let mut symptoms = shows_all(case);
        symptoms
            .iter_mut()
            .for_each(|symptom| symptom.blame = Some("candidate".to_owned()));
        symptoms
    };
    assert_eq!(shrunk("convert", blamed).case, case_with("convert"));
}

#[test]
fn the_same_case_shrinks_to_the_same_in_the_same_number_of_attempts() {
    for operation in ["convert", "resize", "dd", "bench", "snapshot"] {
        assert_eq!(shrunk(operation, shows_all), shrunk(operation, shows_all));
    }
}

#[test]
fn a_run_cut_short_anywhere_and_resumed_ends_where_one_in_a_single_piece_does() {
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
fn the_limit_of_attempts_holds() {
    let mut progress = Progress::new(case_with("convert"), symptom("convert"));
    let limits = Limits {
        attempts: 3,
        ..LIMITS
    };
    shrink(&mut progress, limits, |_| Ok(Vec::new()), |_| Ok(())).unwrap();
    assert_eq!((progress.attempts, progress.finished), (3, false));
}
