//! The admission rules of chains: every step of a drawn, spliced, mutated or shrunk chain is admitted. So qemu-img must perform it, and a
//! refusal is a finding.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use imgduel::case::generation::ancestry::Change;
use imgduel::case::generation::{Generation, Selection};
use imgduel::case::{Case, CaseId};
use imgduel::operation::Operation;
use imgduel::operation::chain::{Admission, Chain, ChainState, ChainStep, Layer, Rejection};
use imgduel::oracle::observations::ExitExpectation;

/// The generations whose cases are chains.
const GENERATIONS: [&str; 7] = [
    "native1",
    "native2",
    "native1_imago",
    "native2_imago",
    "native1_readers",
    "native4",
    "native4_imago",
];

/// The number of successive shrink candidates to check.
const SHRINKS: usize = 4;

/// Returns the first rejection of a step of a chain.
fn objection(chain: &Chain) -> Option<String> {
    if !chain.is_makeable() {
        return Some("one of its images cannot be made".to_owned());
    }
    for index in 0..chain.layers.len() {
        let bare = Layer {
            steps: Vec::new(),
            ..chain.layers[index].clone()
        };
        let layers: Vec<Layer> = chain.layers[..index]
            .iter()
            .cloned()
            .chain([bare])
            .collect();
        let mut chain_state = ChainState::start("", &layers);
        for step in &chain.layers[index].steps {
            if !chain_state.admit(step).is_admitted() || !chain_state.is_sure(step) {
                return Some(format!(
                    "{step:?} of image {index}: {:?}",
                    chain_state.admit(step)
                ));
            }
            chain_state.advance_as_expected(step);
        }
    }
    let mut chain_state = ChainState::start("", &chain.layers);
    for step in &chain.steps {
        if let Admission::Rejected(why) = chain_state.admit(step) {
            return Some(format!("{step:?}: {why:?}"));
        }
        chain_state.advance_as_expected(step);
    }
    None
}

fn chain(case: &Case) -> &Chain {
    match &case.ops[0] {
        Operation::Chain(chain) => chain,
        other => panic!("{}", other.name()),
    }
}

/// Asserts that `cases` drawn cases of each generation, as many splices and mutations of them, and their shrink candidates are admitted.
fn all_are_admitted(seed: u64, cases: usize) {
    let mut checked = 0;
    let mut check = |chain: &Chain, id: &str| {
        checked += 1;
        let objection = objection(chain);
        assert_eq!(objection, None, "{id}: {chain:#?}");
    };
    for name in GENERATIONS {
        let generation = Generation::named(name).unwrap();
        let drawn: Vec<Case> = generation
            .cases(seed, 0, &Selection::ALL)
            .unwrap()
            .take(cases)
            .collect();
        for (index, case) in drawn.iter().enumerate() {
            check(chain(case), &case.id().to_string());
            let partner = (index * 7 + 3) % (4 * cases);
            let spliced = Generation::child(case, Change::Splice(partner as u64)).unwrap();
            check(chain(&spliced), &spliced.id().to_string());
            let mutated = Generation::child(&spliced, Change::Mutation(index as u64)).unwrap();
            check(chain(&mutated), &mutated.id().to_string());

            let mut smaller = chain(&mutated).clone();
            for shrink in 1..=SHRINKS {
                let versions = Operation::Chain(smaller.clone()).perform().simpler();
                let place = (index + 1) * 31 * shrink;
                let Some(Operation::Chain(version)) = versions.get(place % versions.len().max(1))
                else {
                    break;
                };
                smaller = version.clone();
            }
            check(&smaller, &format!("made of {}", mutated.id()));
        }
    }
    assert_eq!(checked, 4 * GENERATIONS.len() * cases);
}

#[test]
fn every_step_of_drawn_spliced_mutated_and_shrunk_chains_is_admitted() {
    all_are_admitted(41, 8);
}

#[test]
#[ignore = "takes minutes in a debug build: 20,000 cases"]
fn every_step_of_20_000_cases_is_admitted() {
    all_are_admitted(42, 1000);
}

/// Each of these ids once decoded to a commit above a parallels image in the middle of the chain, which qemu-img refuses.
#[test]
fn no_child_commits_into_a_chain_with_a_parallels_image() {
    for id in [
        "native1_x176_s1_i000000",
        "native1_x286_s1_i000000",
        "native1_x13_s1_i000024",
        "native1_x33_s1_i000024",
    ] {
        let case = Generation::case(&id.parse::<CaseId>().unwrap(), &Selection::ALL).unwrap();
        assert_eq!(objection(chain(&case)), None, "{id}");
        let commits = |step: &ChainStep| matches!(step, ChainStep::Commit { .. });
        assert!(!chain(&case).steps.iter().any(commits), "{id}");
    }
}

/// If a commit may have been refused because it had to grow the image, the size of that image is uncertain. Writes beyond its old end are
/// then not admitted: version 2 cannot hide the data of a longer backing file there.
#[test]
fn no_step_writes_beyond_the_end_of_an_image_that_a_refused_commit_may_have_left_small() {
    let layers = [
        layer("raw", 1 << 20, &[]),
        layer("qcow2", 2048, &["compat=0.10"]),
        layer("qcow2", 1 << 20, &[]),
    ];
    let write = serde_json::json!({"step": "write", "writes": [{"offset": 2048, "length": 512, "byte": 1}]});
    let below = serde_json::json!({"step": "below", "layer": 1, "act": write});
    let below: ChainStep = serde_json::from_value(below).unwrap();
    let mut chain_state = ChainState::start("", &layers);
    chain_state.advance_as_expected(&ChainStep::Commit {
        base: None,
        keeps: false,
    });
    assert_eq!(chain_state.expected_exit(&below), ExitExpectation::GoOn);
}

fn layer(format: &str, size: u64, options: &[&str]) -> Layer {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    let layer = serde_json::json!({"format": format, "size": size, "options": options});
    serde_json::from_value(layer).unwrap()
}

fn why(layers: &[Layer], step: serde_json::Value) -> Option<Rejection> {
    let step: ChainStep = serde_json::from_value(step).unwrap();
    match ChainState::start("", layers).admit(&step) {
        Admission::Admitted(_) => None,
        Admission::Rejected(why) => Some(why),
    }
}

#[test]
fn rejections_distinguish_steps_that_must_fail_from_those_that_are_undefined() {
    use serde_json::json;
    const MIB: u64 = 1 << 20;
    let qcow2 = [layer("qcow2", MIB, &[])];
    let version_2 = [
        layer("raw", MIB, &[]),
        layer("qcow2", MIB, &["compat=0.10"]),
    ];
    let over_parallels = [
        layer("raw", MIB, &[]),
        layer("parallels", MIB, &[]),
        layer("qcow2", MIB, &[]),
        layer("qcow2", MIB, &[]),
    ];
    let large = [layer("raw", 128 * MIB, &[]), layer("qcow2", 128 * MIB, &[])];
    let raw = [layer("raw", MIB, &[])];
    let encrypted = [
        layer("qcow2", MIB, &[]),
        layer("qcow2", MIB, &["encrypt.format=aes"]),
    ];
    let must = |step| matches!(why(&qcow2, step), Some(Rejection::MustBeRefused(_)));
    assert!(must(
        json!({"step": "write", "writes": [{"offset": MIB - 512, "length": 1024, "byte": 1}]})
    ));
    assert!(must(
        json!({"step": "write_zeroes", "offset": MIB, "length": 512, "unmap": false})
    ));
    assert!(must(
        json!({"step": "discard", "offset": 2 * MIB, "length": 65536})
    ));
    assert!(must(
        json!({"step": "bench", "count": 2, "length": 512, "offset": MIB, "stride": 512, "depth": 1})
    ));
    assert!(must(json!({"step": "refused", "act": {"step": "read"}})));

    let may = |layers, step| matches!(why(layers, step), Some(Rejection::MayBeRefused(_)));
    assert!(may(&over_parallels[..], json!({"step": "commit"})));
    assert!(may(&qcow2, json!({"step": "commit"})));
    assert!(may(&qcow2, json!({"step": "resize", "size": 1_u64 << 60})));
    assert!(may(
        &raw,
        json!({"step": "resize", "size": MIB + 512, "preallocation": "metadata"})
    ));
    assert!(may(&encrypted, json!({"step": "rebase", "onto": 0})));
    assert_eq!(
        why(&encrypted, json!({"step": "rebase", "onto": null})),
        None
    );

    let unsettled = |layers, step| matches!(why(layers, step), Some(Rejection::Unsettled(_)));
    assert!(unsettled(
        &version_2[..],
        json!({"step": "discard", "offset": 0, "length": 65536})
    ));
    assert!(unsettled(
        &qcow2,
        json!({"step": "discard", "offset": 512, "length": 65536})
    ));
    assert!(unsettled(&qcow2, json!({"step": "compare"})));
    let mixed = json!({"step": "write", "writes": [{"offset": 0, "length": 1, "byte": 1}, {"offset": MIB, "length": 1, "byte": 1}]});
    assert!(unsettled(&qcow2, mixed));

    let costly = |layers, step| matches!(why(layers, step), Some(Rejection::Costly(_)));
    assert!(costly(&large[..], json!({"step": "rebase", "onto": null})));
    assert!(costly(&large, json!({"step": "commit"})));
}
