//! instar's command lines: a stand-in accepts only what instar's documentation lists, and exits with 2 otherwise. Every command line that
//! the generations produce must pass it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::time::Duration;

/// Cases of every operation alone.
const CASES: usize = 3;

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn every_command_line_for_instar_is_documented_by_instar() {
    let workdir = ring::scratch();
    let candidate = format!("instar:{}", ring::stand_in("instar").display());
    let session = ring::session(
        &candidate,
        "qemu-img",
        Duration::from_secs(30),
        workdir.path(),
    );
    for operation in imgduel::case::generation::Generation::usual().operations() {
        let mut matches = 0;
        for case in ring::cases("ops16", 3, &[operation]).take(CASES) {
            let record = session.try_case(case).unwrap();
            assert!(
                ["match", "unsupported"].contains(&record.verdict.as_str()),
                "{record:#?}"
            );
            matches += usize::from(record.verdict == "match");
        }
        assert!(matches > 0, "{operation} never got through");
    }
}
