//! The comparison of host space works on every file system: images that the reference created on both sides never differ, and a tool that
//! allocates too much is detected.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::{Value, json};

use crate::ring;

/// Returns scratch directories on disk and in memory, as far as both exist.
fn places() -> Vec<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let memory = memory.is_dir().then(|| tempfile::tempdir_in(memory));
    let places = std::iter::once(tempfile::tempdir()).chain(memory);
    places.map(Result::unwrap).collect()
}

/// Returns the JSON of a case with one image and these steps.
fn case(layer: Value, steps: Value) -> Value {
    json!({
        "generation": "native1", "seed": 1, "iteration": 0, "iter_seed": 1, "words_used": 0,
        "image": {"format": "raw", "virtual_size": "1M", "pattern": "zeros"},
        "ops": [{"op": "chain", "layers": [layer], "steps": steps}],
    })
}

/// Replays cases with their scratch directories in `place` and returns the records.
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
fn images_that_the_reference_made_on_both_sides_take_equal_space_on_every_file_system() {
    const SIZE: u64 = 64 << 20;
    let plain = || json!({"format": "qcow2", "size": SIZE});
    let preallocated = |mode: &str| json!({"format": "qcow2", "size": SIZE, "options": [format!("preallocation={mode}")]});
    let cases = [
        // Version 2 has no zero clusters, so a downgrade allocates preallocated zero clusters with a separate call.
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
fn a_tool_that_allocates_too_much_is_detected_on_every_file_system() {
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
