//! What images take of the host is compared alike wherever the scratch lies: what the reference made on both sides never differs, and a
//! tool that takes too much is found out in each place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::{Value, json};

use crate::ring;

/// A disk and memory, where both are here.
fn places() -> Vec<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let memory = memory.is_dir().then(|| tempfile::tempdir_in(memory));
    let places = std::iter::once(tempfile::tempdir()).chain(memory);
    places.map(Result::unwrap).collect()
}

/// A case that is written out: one image, and what is done with it.
fn case(layer: Value, steps: Value) -> Value {
    json!({
        "generation": "native1", "seed": 1, "iteration": 0, "iter_seed": 1, "words_used": 0,
        "image": {"format": "raw", "virtual_size": "1M", "pattern": "zeros"},
        "ops": [{"op": "chain", "layers": [layer], "steps": steps}],
    })
}

/// The records of cases that are replayed with their scratch in this place, and nowhere else.
fn replayed(place: &Path, candidate: &str, cases: &[Value]) -> Vec<Value> {
    let records = place.join("records.jsonl");
    let files = cases.iter().enumerate().map(|(index, case)| {
        let path = place.join(format!("case{index}.json"));
        std::fs::write(&path, case.to_string()).unwrap();
        path
    });
    let output = ring::imgduel()
        .arg("replay")
        .args(files)
        .args(["--candidate", candidate, "--jobs", "1", "--workdir"])
        .arg(place)
        .arg("--json")
        .arg(&records)
        .env("TMPDIR", place)
        .output()
        .unwrap();
    let text = std::fs::read_to_string(records).unwrap_or_else(|_| panic!("{output:?}"));
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn what_the_reference_made_on_both_sides_takes_the_same_wherever_it_lies() {
    const SIZE: u64 = 64 << 20;
    let plain = || json!({"format": "qcow2", "size": SIZE});
    let preallocated = |mode: &str| json!({"format": "qcow2", "size": SIZE, "options": [format!("preallocation={mode}")]});
    let cases = [
        // Clusters that are zero and have a place get it, by a call of their own, when version 2 cannot mark them any more.
        case(
            preallocated("metadata"),
            json!([
                {"step": "write_zeroes", "offset": 0, "length": SIZE, "unmap": false},
                {"step": "info"},
                {"step": "amend", "options": ["compat=0.10"]},
            ]),
        ),
        case(preallocated("falloc"), json!([{"step": "read"}])),
        case(
            plain(),
            json!([
                {"step": "resize", "size": 2 * SIZE, "preallocation": "falloc"},
                {"step": "read"},
                {"step": "write", "writes": [{"offset": SIZE, "length": 65536, "byte": 1}]},
            ]),
        ),
        case(
            preallocated("full"),
            json!([
                {"step": "discard", "offset": 0, "length": SIZE},
                {"step": "write_zeroes", "offset": 0, "length": SIZE / 2, "unmap": true},
            ]),
        ),
    ];
    for place in places() {
        for record in replayed(place.path(), "qcow2-core", &cases) {
            let place = place.path().display();
            assert_eq!(record["verdict"], "match", "{place}: {record:#}");
        }
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_tool_that_takes_too_much_is_found_out_in_each_place() {
    let candidate = ring::stand_in("chain/takes_too_much_space/qemu-img");
    let candidate = format!("qemu-img:{}", candidate.display());
    let steps = json!([{"step": "convert", "format": "qcow2", "compress": false}]);
    let case = case(json!({"format": "qcow2", "size": 1 << 20}), steps);
    for place in places() {
        for record in replayed(place.path(), &candidate, std::slice::from_ref(&case)) {
            let place = place.path().display();
            assert_eq!(
                record["kind"], "chain_host_divergence",
                "{place}: {record:#}"
            );
            assert_eq!(record["blame"], "candidate", "{place}: {record:#}");
        }
    }
}
