//! Unit tests of `provenance.rs`.

use serde_json::{Value, json};

use super::*;
use crate::operation::Perform;
use crate::oracle::observations::{SideRun, StepResult};
use crate::tool::request::Exit;

/// Returns the facts about a place in a chain whose steps were all performed by the candidate's own tool.
fn facts(layers: Value, steps: Value, place: &Place) -> Vec<String> {
    let chain = json!({"layers": layers, "steps": steps});
    let chain: Chain = serde_json::from_value(chain).unwrap();
    let recipe = Chain::no_source();
    let context = StepContext {
        source: ImageFile::new("image", recipe.format),
        recipe: &recipe,
        stem: "0-chain".to_owned(),
        salt: 1,
    };
    let step_results = chain.steps(&context).into_iter().map(|step| StepResult {
        step,
        by: Side::Candidate,
        answer: Exit::Success.into(),
        file_bytes: None,
        changed_files: Vec::new(),
        scratch_bytes: 0,
        measured_again: None,
    });
    let side_run = SideRun {
        step_results: step_results.collect(),
        ..SideRun::default()
    };
    let observations = Observations {
        candidate: side_run.clone(),
        reference: Some(side_run),
        ..Observations::default()
    };
    let outputs = chain.outputs(&context, &observations);
    chain.facts(&context, &observations, &outputs, place)
}

fn qcow2(options: &[&str]) -> Value {
    json!({"format": "qcow2", "size": 1 << 20, "options": options})
}

#[track_caller]
fn assert_facts(facts: &[String], are: &[&str], are_not: &[&str]) {
    for fact in are {
        assert!(facts.contains(&(*fact).to_owned()), "{fact}: {facts:?}");
    }
    for fact in are_not {
        assert!(!facts.contains(&(*fact).to_owned()), "{fact}: {facts:?}");
    }
}

#[test]
fn the_facts_of_a_step_have_its_file_its_backing_images_and_its_history() {
    let layers = json!([qcow2(&["encrypt.format=luks"]), qcow2(&[])]);
    let steps = json!([{"step": "resize", "size": 2 << 20}, {"step": "read"}]);
    // The first two steps create the layers.
    let read = facts(layers, steps, &Place::step(3));
    let are = [
        "step=read",
        "step=contents",
        "by=candidate",
        "file=qcow2",
        "file=backed",
        "below=encryption",
        "origin=encryption",
        "own=grow",
        "before=grow",
    ];
    assert_facts(
        &read,
        &are,
        &["file=encryption", "own=shrink", "step=left", "done=read_"],
    );
}

#[test]
fn later_steps_add_no_facts() {
    let steps = json!([{"step": "read"}, {"step": "discard", "offset": 0, "length": 512}]);
    let read = facts(json!([qcow2(&[])]), steps, &Place::step(1));
    assert_facts(
        &read,
        &["step=read"],
        &["done=discard", "own=discard", "before=discard"],
    );
}

#[test]
fn a_copy_inherits_the_origin_of_its_data_and_not_the_steps_on_its_source() {
    let layers = json!([qcow2(&["encrypt.format=luks"])]);
    let steps = json!([
        {"step": "discard", "offset": 0, "length": 512},
        {"step": "convert", "format": "raw", "options": [], "compress": false, "target_is_zero": false},
        {"step": "read"},
    ]);
    let read = facts(layers, steps, &Place::step(3));
    let are = [
        "file=raw",
        "origin=encryption",
        "before=discard",
        "done=convert",
    ];
    assert_facts(
        &read,
        &are,
        &["file=encryption", "done=discard", "own=discard"],
    );
}

#[test]
fn the_history_of_a_committed_overlay_counts_for_its_backing_image() {
    let layers = json!([qcow2(&[]), qcow2(&["data_file=beside"])]);
    let steps = json!([{"step": "resize", "size": 2 << 20}, {"step": "commit"}]);
    let lower = facts(layers, steps, &Place::file("0-chain-0.qcow2"));
    let are = [
        "step=left",
        "done=committed_into",
        "origin=data_file",
        "before=grow",
        "own_before=grow",
    ];
    assert_facts(&lower, &are, &["file=data_file", "done=grow", "own=grow"]);
}

#[test]
fn the_history_of_an_overlay_does_not_count_for_its_backing_image() {
    let bitmap = json!({"step": "bitmap", "flags": ["--add"], "name": "b"});
    let below = json!({"format": "qcow2", "size": 1 << 20, "acts": [bitmap]});
    let layers = json!([below, qcow2(&["encrypt.format=luks"])]);
    let steps = json!([{"step": "discard", "offset": 0, "length": 512}]);
    let lower = facts(layers, steps, &Place::file("0-chain-0.qcow2"));
    assert_facts(
        &lower,
        &["done=bitmap", "file=qcow2"],
        &["origin=encryption", "before=discard", "done=discard"],
    );
}
