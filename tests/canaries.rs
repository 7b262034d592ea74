//! Every comparator can fire: for each there is a stand-in that lies in its one way, and is caught with the right kind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ring;

use std::time::Duration;

use imgduel::operation::Operation;
use imgduel::operation::snapshot::Element;
use imgduel::request::SnapshotAction;

const CASES_MAX: usize = 300;
const SEED: u64 = 7;

/// The stand-in `lie` is found out by `operation`, as `kind`, within [`CASES_MAX`] cases of that operation: in the first
/// that differs. Only with `chains`, which passes over the cases that have no such chain of snapshots, may it be found out
/// otherwise before.
fn caught(lie: &str, generation: &str, operation: &str, kind: &str, chains: Option<Chains>) {
    let workdir = tempfile::tempdir().unwrap();
    let candidate = format!("qemu-img:{}", ring::stand_in(lie).display());
    let arena = ring::arena(
        &candidate,
        "qemu-img",
        Duration::from_secs(30),
        workdir.path(),
    );
    let mut cases = ring::cases(generation, SEED, &[operation])
        .filter(|case| {
            chains.is_none_or(|chains| case.ops.iter().any(|operation| fits(operation, chains)))
        })
        .take(CASES_MAX);
    loop {
        let record = ring::first_that_differs(&arena, cases.by_ref(), CASES_MAX)
            .expect("the lie is not caught");
        assert_eq!(record.operation.as_deref(), Some(operation));
        assert_eq!(record.verdict, "divergence", "{record:#?}");
        if chains.is_some() && record.kind.as_deref() != Some(kind) {
            continue;
        }
        assert_eq!(record.kind.as_deref(), Some(kind), "{record:#?}");
        break;
    }
    assert_eq!(
        std::fs::read_dir(workdir.path()).unwrap().count(),
        0,
        "scratch is left behind"
    );
}

/// Which chains of snapshots a lie can be found out in, from the names of their elements.
type Chains = fn(&[&str]) -> bool;

fn apply_at_last(chain: &[&str]) -> bool {
    chain.last() == Some(&"apply")
}

fn apply_of_what_was_written_over(chain: &[&str]) -> bool {
    chain.ends_with(&["write", "create", "apply"])
}

fn apply_before_a_write(chain: &[&str]) -> bool {
    chain.windows(2).any(|pair| pair == ["apply", "write"])
}

fn fits(operation: &Operation, chains: Chains) -> bool {
    let Operation::Snapshot(snapshot) = operation else {
        return false;
    };
    let names = snapshot.chain.iter().map(|element| match element {
        Element::Named(SnapshotAction::Create, _) => "create",
        Element::Named(SnapshotAction::Delete, _) => "delete",
        Element::Named(SnapshotAction::Apply, _) => "apply",
        Element::Write(..) => "write",
    });
    chains(&names.collect::<Vec<&str>>())
}

macro_rules! canaries {
    ($($name:ident: $lie:literal in $operation:literal is $kind:literal;)*) => {
        canaries! { of "ops7", in None; $($name: $lie in $operation is $kind;)* }
    };
    (of $generation:literal, in $chains:expr; $($name:ident: $lie:literal in $operation:literal is $kind:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { caught($lie, $generation, $operation, $kind, $chains); }
        )*
    };
}

canaries! {
    a_wrong_virtual_size_is_caught: "wrong_virtual_size" in "info" is "info_output_divergence";
    a_wrong_cluster_size_is_caught: "wrong_cluster_size" in "info" is "info_output_divergence";
    a_description_that_is_no_json_is_caught: "info_is_no_json" in "info" is "info_output_divergence";
    a_tool_that_writes_to_its_input_is_caught: "changes_its_input" in "info" is "input_changed_divergence";
    a_tool_that_dies_is_caught: "crashes" in "info" is "candidate_crash";
    a_refusal_in_no_known_encoding_is_caught: "says_it_in_latin1" in "info" is "exit_code_divergence";
    an_invented_leak_is_caught: "finds_a_leak" in "check" is "check_output_divergence";
    a_wrong_exit_is_caught: "wrong_exit" in "check" is "exit_code_divergence";
    a_wrong_measure_is_caught: "wrong_measure" in "measure" is "measure_numeric_divergence";
    a_measure_without_bitmaps_is_caught: "measures_without_bitmaps" in "measure" is "measure_bitmaps_presence_divergence";
    a_measure_that_is_no_json_is_caught: "measure_is_no_json" in "measure" is "measure_json_parse_failure";
    a_flipped_byte_is_caught: "flips_a_byte" in "convert" is "convert_content_divergence";
    a_flipped_byte_under_compression_is_caught: "flips_a_byte" in "convert_compressed" is "convert_content_divergence";
    an_output_that_cannot_be_described_is_caught: "convert_is_unreadable" in "convert" is "convert_info_divergence";
    an_output_with_other_clusters_is_caught: "converts_with_other_clusters" in "convert" is "convert_info_divergence";
    an_output_that_nobody_can_open_is_caught: "convert_has_no_version" in "convert" is "convert_info_readback_failure";
    a_leaked_cluster_is_caught: "convert_leaks" in "convert" is "convert_check_divergence";
    an_image_created_otherwise_is_caught: "create_has_other_refcounts" in "create" is "create_info_divergence";
    an_image_created_with_data_is_caught: "creates_with_data" in "create" is "create_content_divergence";
    a_create_that_is_refused_is_caught: "refuses_create" in "create" is "exit_code_divergence";
    a_resize_seed_that_is_refused_is_caught: "refuses_create" in "resize" is "resize_create_seed_divergence";
    a_resize_that_falls_short_is_caught: "resizes_short" in "resize" is "resize_info_divergence";
    a_resize_that_loses_data_is_caught: "resize_loses_data" in "resize" is "resize_content_divergence";
    a_tool_that_reads_wrongly_is_caught: "reads_wrongly" in "convert" is "convert_reading_divergence";
    a_tool_that_cannot_read_is_caught: "cannot_read" in "convert" is "convert_reading_refused";
}

canaries! {
    of "ops16", in None;
    a_snapshot_that_is_not_deleted_is_caught: "refuses_to_delete_snapshots" in "snapshot" is "exit_code_divergence";
    another_byte_in_the_snapshot_table_is_caught: "snapshot_writes_a_byte" in "snapshot" is "snapshot_byte_divergence";
    a_snapshot_that_loses_a_refcount_is_caught: "snapshot_loses_a_refcount" in "snapshot" is "snapshot_byte_divergence";
    a_tail_behind_a_snapshot_is_caught: "snapshot_leaves_a_tail" in "snapshot" is "snapshot_byte_divergence";
    a_snapshot_table_that_makes_no_sense_is_caught: "snapshot_breaks_its_table" in "snapshot" is "snapshot_normalize_failed";
    a_snapshot_of_another_time_is_caught: "snapshot_is_of_another_time" in "snapshot" is "snapshot_date_divergence";
    a_delete_that_leaks_is_caught: "snapshot_delete_leaks" in "snapshot" is "snapshot_byte_divergence";
    a_list_that_lies_is_caught: "lists_other_snapshots" in "snapshot" is "snapshot_list_divergence";
    a_repair_that_repairs_nothing_is_caught: "repairs_nothing" in "repair" is "repair_completeness_divergence";
    a_repair_that_loses_data_is_caught: "repair_loses_data" in "repair" is "repair_data_divergence";
    a_repair_that_makes_it_worse_is_caught: "repair_makes_it_worse" in "repair" is "repair_safety_divergence";
}

// What an apply did wrong is found at the end, or before that in the bytes after the next create or delete.
canaries! {
    of "ops16", in Some(apply_at_last);
    an_apply_that_leaks_is_caught: "snapshot_apply_leaks" in "snapshot" is "snapshot_check_divergence";
    an_apply_of_the_wrong_data_is_caught: "snapshot_applies_wrong_data" in "snapshot" is "snapshot_compare_divergence";
    an_apply_that_changes_the_image_s_version_is_caught: "snapshot_apply_loses_its_version" in "snapshot" is "snapshot_info_divergence";
}

canaries! {
    of "ops16", in Some(apply_of_what_was_written_over);
    an_apply_that_damages_another_snapshot_is_caught: "snapshot_apply_damages_another" in "snapshot" is "snapshot_contents_divergence";
}

canaries! {
    of "ops16", in Some(apply_before_a_write);
    an_apply_that_locks_the_image_is_caught: "snapshot_apply_locks_the_image" in "snapshot" is "snapshot_write_failed";
}

/// What comes of the first repair that is no match.
fn repaired(candidate: &str, reference: &str) -> imgduel::record::Record {
    let workdir = tempfile::tempdir().unwrap();
    let arena = ring::arena(
        candidate,
        reference,
        Duration::from_secs(30),
        workdir.path(),
    );
    let cases = ring::cases("ops16", SEED, &["repair"]);
    ring::first_that_differs(&arena, cases, CASES_MAX).expect("every repair matched")
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_repair_that_says_it_is_incomplete_is_no_divergence_and_no_match() {
    let candidate = format!(
        "qemu-img:{}",
        ring::stand_in("repair_is_never_complete").display()
    );
    let record = repaired(&candidate, "qemu-img");
    assert_eq!(record.verdict, "inconclusive");
    let kind = record.kind.as_deref();
    assert_eq!(kind, Some("inconclusive_repair_conservative"));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_repair_of_which_nothing_was_known_before_is_not_judged() {
    let reference = format!("qemu-img:{}", ring::stand_in("check_is_no_json").display());
    let record = repaired("qemu-img", &reference);
    assert_eq!(record.verdict, "inconclusive");
    let kind = record.kind.as_deref();
    assert_eq!(kind, Some("inconclusive_repair_no_baseline"));
}
