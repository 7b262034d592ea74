//! instar's command lines: every one that the generations lead to goes through a stand-in that accepts only what
//! instar's documentation lists, and exits 2 at anything else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ring;

use std::time::Duration;

const CASES: usize = 60;

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn every_command_line_for_instar_is_in_its_dialect() {
    let workdir = tempfile::tempdir().unwrap();
    let candidate = format!("instar:{}", ring::stand_in("instar").display());
    let arena = ring::arena(
        &candidate,
        "qemu-img",
        Duration::from_secs(30),
        workdir.path(),
    );
    let generation = imgduel::generation::Generation::newest();
    let mut made = std::collections::BTreeSet::new();
    for case in generation.cases(3, 0, None).unwrap().take(CASES) {
        let record = arena.try_case(case).unwrap();
        assert!(
            ["match", "unsupported"].contains(&record.verdict),
            "{record:#?}"
        );
        let matched = record
            .operations
            .iter()
            .filter(|operation| operation.verdict == "match");
        made.extend(matched.map(|operation| operation.op.clone()));
    }
    let all = generation
        .operations()
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(made, all, "an operation never got through");
}
