//! Steps that must be refused: the case matches if both tools refuse and change nothing. A tool that performs the step or changes something is
//! blamed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use imgduel::case::Case;
use imgduel::run::record::Record;
use serde_json::{Value, json};

use crate::ring;

const MIB: u64 = 1 << 20;

/// Returns a case with an image of 1 MiB and these steps.
fn case(format: &str, steps: &[Value]) -> Case {
    let layer =
        json!({"format": format, "size": MIB, "writes": [{"offset": 0, "length": 512, "byte": 7}]});
    let case = json!({
        "generation": "native1", "seed": 1, "iteration": 0, "iter_seed": 1, "words_used": 0,
        "image": {"format": "raw", "virtual_size": "1M", "pattern": "zeros"},
        "ops": [{"op": "chain", "layers": [layer], "steps": steps}],
    });
    serde_json::from_value(case).unwrap()
}

fn tried(candidate: &str, case: Case) -> Record {
    let workdir = ring::scratch();
    let limit = Duration::from_secs(30);
    let session = ring::session(candidate, "qemu-img", limit, workdir.path());
    session.try_case(case).unwrap()
}

fn liar(name: &str) -> String {
    let program = ring::stand_in("chain").join(name).join("qemu-img");
    format!("qemu-img:{}", program.display())
}

/// Returns steps beyond the end of an image of 1 MiB.
fn out_of_the_image() -> Vec<Value> {
    vec![
        json!({"step": "write", "writes": [{"offset": MIB, "length": 512, "byte": 1}]}),
        json!({"step": "write", "writes": [{"offset": MIB - 512, "length": 1024, "byte": 1}]}),
        json!({"step": "write_zeroes", "offset": 2 * MIB, "length": 65536, "unmap": false}),
        json!({"step": "write_zeroes", "offset": MIB - 512, "length": 65536, "unmap": true}),
        json!({"step": "discard", "offset": MIB, "length": 65536}),
        json!({"step": "bench", "count": 1, "length": 4096, "offset": MIB, "stride": 4096, "depth": 1, "byte": 9}),
    ]
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn steps_beyond_the_end_of_the_image_that_both_refuse_match() {
    for format in ["qcow2", "raw"] {
        let mut steps = out_of_the_image();
        steps.push(json!({"step": "read"}));
        steps.push(
            json!({"step": "write", "writes": [{"offset": MIB - 512, "length": 512, "byte": 2}]}),
        );
        for candidate in ["qemu-img", "imago"] {
            let record = tried(candidate, case(format, &steps));
            assert_eq!(record.verdict, "match", "{candidate}: {record:#?}");
        }
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_tool_that_performs_a_step_that_must_be_refused_is_blamed() {
    for step in out_of_the_image().into_iter().take(5) {
        let record = tried(&liar("accepts_what_it_must_refuse"), case("qcow2", &[step]));
        assert_eq!(
            record.kind.as_deref(),
            Some("exit_code_divergence"),
            "{record:#?}"
        );
        let blame = record.blame.map(|blame| blame.name());
        assert_eq!(blame, Some("candidate"), "{record:#?}");
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_tool_that_refuses_a_step_but_changes_the_image_is_blamed() {
    let step = out_of_the_image().swap_remove(0);
    let record = tried(&liar("changes_what_it_refuses"), case("raw", &[step]));
    let kind = record.kind.clone().unwrap_or_default();
    assert!(kind.contains("content"), "{record:#?}");
    let blame = record.blame.map(|blame| blame.name());
    assert_eq!(blame, Some("candidate"), "{record:#?}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_recipe_may_require_that_a_step_is_refused() {
    let refused = |step: Value| json!({"step": "refused", "act": step});
    let right = refused(
        json!({"step": "convert_snapshot", "name": "none", "by": "name", "format": "raw", "compress": false}),
    );
    let record = tried("qemu-img", case("qcow2", &[right, json!({"step": "read"})]));
    assert_eq!(record.verdict, "match", "{record:#?}");
    let wrong = refused(json!({"step": "check"}));
    let record = tried("qemu-img", case("qcow2", &[wrong]));
    assert_eq!(
        record.kind.as_deref(),
        Some("recipe_exit_divergence"),
        "{record:#?}"
    );
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_step_that_qemu_img_cannot_perform_matches_if_both_refuse_it() {
    let over_parallels = json!({
        "generation": "native1", "seed": 1, "iteration": 0, "iter_seed": 1, "words_used": 0,
        "image": {"format": "raw", "virtual_size": "1M", "pattern": "zeros"},
        "ops": [{"op": "chain", "layers": [
            {"format": "parallels", "size": MIB}, {"format": "qcow2", "size": MIB}, {"format": "qcow2", "size": MIB},
        ], "steps": [{"step": "commit"}, {"step": "read"}]}],
    });
    let case: Case = serde_json::from_value(over_parallels).unwrap();
    let record = tried("qemu-img", case);
    assert_eq!(record.verdict, "match", "{record:#?}");
}
