//! Canaries of the snapshot-bearing recipes: for each comparison a stand-in with one defect, in commit, rebase and bench.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::time::Duration;

const CASES_MAX: usize = 60;
const SEED: u64 = 7;
const LIMIT: Duration = Duration::from_secs(30);

/// The operations that have such recipes.
const OPERATIONS: [&str; 3] = ["commit", "rebase", "bench"];

/// Asserts that each operation detects the defect of the stand-in `lie`, as `OPERATION_snapshot_ENDING`.
fn caught_in_each(lie: &str, ending: &str) {
    let workdir = ring::scratch();
    let candidate = format!("qemu-img:{}", ring::stand_in(lie).display());
    let session = ring::session(&candidate, "qemu-img", LIMIT, workdir.path());
    for operation in OPERATIONS {
        let cases = ring::cases("cow_soak", SEED, &[operation]);
        let record = ring::first_that_differs(&session, cases, CASES_MAX)
            .unwrap_or_else(|| panic!("the defect is not detected in {operation}"));
        let kind = format!("{operation}_snapshot_{ending}");
        assert_eq!(record.kind.as_deref(), Some(&*kind), "{record:#?}");
        assert_eq!(record.operation.as_deref(), Some(operation));
        assert_eq!(record.verdict, "divergence");
    }
}

macro_rules! canaries {
    ($($name:ident: $lie:literal is $ending:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { caught_in_each($lie, $ending); }
        )*
    };
}

canaries! {
    one_lost_cluster_of_a_snapshot_is_caught: "snapshot_cluster_is_lost" is "readback_divergence";
    a_snapshot_that_cannot_be_read_is_caught: "snapshot_becomes_unreadable" is "readback_error";
    a_shared_cluster_that_is_counted_once_is_caught: "shared_refcount_is_lost" is "refcount_divergence";
    a_leak_beside_snapshots_is_caught: "shared_clusters_leak" is "check_divergence";
    a_wrong_sector_beside_snapshots_is_caught: "loses_what_it_writes" is "compare_divergence";
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn qemu_img_agrees_with_itself_about_images_with_snapshots() {
    let workdir = ring::scratch();
    let session = ring::session("qemu-img", "qemu-img", LIMIT, workdir.path());
    for case in ring::cases("cow_soak", SEED, &OPERATIONS).take(12) {
        let record = session.try_case(case).unwrap();
        assert_eq!(record.verdict, "match", "{record:#?}");
    }
}
