//! Every step of every chain that is drawn, spliced, mutated or shrunk is one that the rules admit: so qemu-img must do it, and where
//! it refuses, that says something.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use imgduel::case::generation::Generation;
use imgduel::case::generation::lineage::Change;
use imgduel::case::{Case, CaseId};
use imgduel::operation::Operation;
use imgduel::operation::chain::{Act, Admission, Chain, Course, Layer, Rejection};
use imgduel::oracle::exchange::Rule;

/// The generations whose cases are chains.
const GENERATIONS: [&str; 5] = [
    "native1",
    "native2",
    "native1_imago",
    "native2_imago",
    "native1_readers",
];

/// How many simpler versions are gone through, one made of the other.
const SHRINKS: usize = 4;

/// What the rules have against a chain.
fn objection(chain: &Chain) -> Option<String> {
    if !chain.is_makeable() {
        return Some("one of its images cannot be made".to_owned());
    }
    for index in 0..chain.layers.len() {
        let bare = Layer {
            acts: Vec::new(),
            ..chain.layers[index].clone()
        };
        let layers: Vec<Layer> = chain.layers[..index]
            .iter()
            .cloned()
            .chain([bare])
            .collect();
        let mut course = Course::start("", &layers);
        for act in &chain.layers[index].acts {
            if !course.admit(act).is_admitted() || !course.is_sure(act) {
                return Some(format!("{act:?} of image {index}: {:?}", course.admit(act)));
            }
            course.go_on(act);
        }
    }
    let mut course = Course::start("", &chain.layers);
    for act in &chain.steps {
        if let Admission::Rejected(why) = course.admit(act) {
            return Some(format!("{act:?}: {why:?}"));
        }
        course.go_on(act);
    }
    None
}

fn chain(case: &Case) -> &Chain {
    match &case.ops[0] {
        Operation::Chain(chain) => chain,
        other => panic!("{}", other.name()),
    }
}

/// So many drawn cases of each generation, as many splices and mutations of them, and as many simpler versions.
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
            .cases(seed, 0, None)
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
fn every_step_of_what_is_drawn_spliced_mutated_and_shrunk_is_admitted() {
    all_are_admitted(41, 8);
}

#[test]
#[ignore = "takes minutes in a debug build: 20,000 cases"]
fn every_step_of_20_000_cases_is_admitted() {
    all_are_admitted(42, 1000);
}

/// A commit over a parallels image that is not the lowest was kept in each of these, and qemu-img refuses it.
#[test]
fn no_child_commits_over_a_parallels_image() {
    for id in [
        "native1_x176_s1_i000000",
        "native1_x286_s1_i000000",
        "native1_x13_s1_i000024",
        "native1_x33_s1_i000024",
    ] {
        let case = Generation::case(&id.parse::<CaseId>().unwrap(), None).unwrap();
        assert_eq!(objection(chain(&case)), None, "{id}");
        let commits = |act: &Act| *act == Act::Commit;
        assert!(!chain(&case).steps.iter().any(commits), "{id}");
    }
}

/// What a commit may have been refused to make grow is of doubtful size from then on, and with it every write behind its old end: version 2
/// cannot hide what a longer backing file holds there.
#[test]
fn what_a_refused_commit_left_small_is_not_written_behind_its_end() {
    let layers = [
        layer("raw", 1 << 20, &[]),
        layer("qcow2", 2048, &["compat=0.10"]),
        layer("qcow2", 1 << 20, &[]),
    ];
    let write = serde_json::json!({"step": "write", "writes": [{"offset": 2048, "length": 512, "byte": 1}]});
    let below = serde_json::json!({"step": "below", "layer": 1, "act": write});
    let below: Act = serde_json::from_value(below).unwrap();
    let mut course = Course::start("", &layers);
    course.go_on(&Act::Commit);
    assert_eq!(course.rule(&below), Rule::GoOn);
}

fn layer(format: &str, size: u64, options: &[&str]) -> Layer {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    let layer = serde_json::json!({"format": format, "size": size, "options": options});
    serde_json::from_value(layer).unwrap()
}

fn why(layers: &[Layer], act: serde_json::Value) -> Option<Rejection> {
    let act: Act = serde_json::from_value(act).unwrap();
    match Course::start("", layers).admit(&act) {
        Admission::Admitted(_) => None,
        Admission::Rejected(why) => Some(why),
    }
}

#[test]
fn what_makes_no_sense_is_told_apart_by_what_a_tool_must_do() {
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
    let must = |act| matches!(why(&qcow2, act), Some(Rejection::MustBeRefused(_)));
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

    let may = |layers, act| matches!(why(layers, act), Some(Rejection::MayBeRefused(_)));
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

    let unsettled = |layers, act| matches!(why(layers, act), Some(Rejection::Unsettled(_)));
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

    let costly = |layers, act| matches!(why(layers, act), Some(Rejection::Costly(_)));
    assert!(costly(&large[..], json!({"step": "rebase", "onto": null})));
    assert!(costly(&large, json!({"step": "commit"})));
}
