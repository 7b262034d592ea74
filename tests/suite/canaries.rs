//! Canaries: for each comparator, a stand-in tool with one defect that it must report with the right kind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::time::Duration;

use imgduel::operation::Operation;
use imgduel::operation::snapshot::Element;
use imgduel::oracle::witness::Witnesses;
use imgduel::run::record::Record;
use imgduel::tool::request::SnapshotAction;

const CASES_MAX: usize = 300;
const SEED: u64 = 7;
const LIMIT: Duration = Duration::from_secs(30);

fn stand_in(name: &str) -> String {
    format!("qemu-img:{}", ring::stand_in(name).display())
}

/// Asserts that `operation` detects the defect of the stand-in `lie` as `kind` within [`CASES_MAX`] cases.
fn caught(lie: &str, operation: &str, kind: &str) {
    caught_against("qemu-img", lie, operation, kind);
}

fn caught_against(reference: &str, lie: &str, operation: &str, kind: &str) {
    let workdir = ring::scratch();
    let session = ring::session(&stand_in(lie), reference, LIMIT, workdir.path());
    let cases = ring::cases("ops16", SEED, &[operation]);
    let record =
        ring::first_that_differs(&session, cases, CASES_MAX).expect("the defect is not detected");
    assert_eq!(record.kind.as_deref(), Some(kind), "{record:#?}");
    assert_eq!(record.operation.as_deref(), Some(operation));
    let verdict = if kind.starts_with("inconclusive") {
        "inconclusive"
    } else {
        "divergence"
    };
    assert_eq!(record.verdict, verdict);
    assert_eq!(
        std::fs::read_dir(workdir.path()).unwrap().count(),
        0,
        "scratch is left behind"
    );
}

/// Stand-ins in the place of the reference.
macro_rules! against {
    ($($name:ident: $lie:literal against $reference:literal in $operation:literal is $kind:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { caught_against(&stand_in($reference), $lie, $operation, $kind); }
        )*
    };
}

against! {
    two_unrelated_error_messages_are_caught: "bench_complains" against "bench_complains_otherwise" in "bench" is "bench_validation_divergence";
    two_refusals_for_different_reasons_are_caught: "finds_no_image" against "may_not_read" in "info" is "refusal_class_divergence";
    a_leak_on_both_sides_is_inconclusive: "convert_leaks" against "convert_leaks" in "convert" is "inconclusive_reference_unsound";
    a_reference_that_cannot_read_its_own_output_is_inconclusive: "convert_has_no_version" against "convert_has_no_version" in "convert" is "inconclusive_reference_unsound";
    data_that_contradicts_the_recipe_on_both_sides_is_caught: "dd_shifts" against "dd_shifts" in "dd" is "dd_recipe_divergence";
    a_reference_that_cannot_check_a_damaged_image_is_inconclusive: "check_is_no_json" against "check_is_no_json" in "repair" is "inconclusive_repair_no_baseline";
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn output_that_an_older_release_lacks_on_either_side_is_not_a_difference() {
    let workdir = ring::scratch();
    let old = stand_in("is_of_the_year_2022");
    for (candidate, reference) in [(&*old, "qemu-img"), ("qemu-img", &*old)] {
        let session = ring::session(candidate, reference, LIMIT, workdir.path());
        let case = ring::cases("ops16", SEED, &["info"]).next().unwrap();
        let record = session.try_case(case).unwrap();
        assert_eq!(record.verdict, "match", "{record:#?}");
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn opening_an_input_for_writing_is_not_a_difference_and_a_writing_reference_affects_only_itself() {
    let workdir = ring::scratch();
    let opens = stand_in("opens_its_input");
    let changes = stand_in("changes_its_input");
    for (candidate, reference) in [(&*opens, "qemu-img"), ("qemu-img", &*changes)] {
        let session = ring::session(candidate, reference, LIMIT, workdir.path());
        // The bytes that it writes there would break any other format.
        let case = ring::cases("ops16", SEED, &["info"])
            .find(|case| case.image.format.name() == "raw")
            .unwrap();
        let record = session.try_case(case).unwrap();
        assert_eq!(record.verdict, "match", "{record:#?}");
    }
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_python),
    ignore = "qemu-img or python3 is not here (on Debian and Ubuntu: apt-get install qemu-utils python3)"
)]
fn a_tool_that_writes_to_its_input_through_a_mapping_is_caught() {
    caught("maps_its_input", "info", "input_changed_divergence");
}

/// Asserts that a divergence of a witness is reported even if the candidate and the reference agree.
fn a_lying_witness_is_reported(operation: &str, format: &str, kind: &str) {
    let workdir = ring::scratch();
    let mut runner = ring::runner("qemu-img", "qemu-img", LIMIT, workdir.path());
    runner.witnesses = Witnesses::find_in(&ring::stand_in("witnesses"), LIMIT);
    let session = imgduel::run::session::Session::new(runner, ring::empty_catalogue());
    let cases =
        ring::cases("ops16", SEED, &[operation]).filter(|case| case.image.format.name() == format);
    let record = ring::first_that_differs(&session, cases, 3).expect("the witness is not reported");
    assert_eq!(record.kind.as_deref(), Some(kind), "{record:#?}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_witness_that_reads_another_size_is_reported() {
    a_lying_witness_is_reported("info", "qcow2", "libyal_info_divergence");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_witness_that_cannot_read_an_image_that_check_finds_sound_is_reported() {
    a_lying_witness_is_reported("check", "vmdk", "libyal_check_divergence");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_conversion_larger_than_measured_is_detected_even_if_the_reference_cannot_measure() {
    let workdir = ring::scratch();
    let liar = ring::stand_in("instar_foretells_nothing");
    let session = ring::session(
        &format!("instar:{}", liar.display()),
        "qemu-img",
        LIMIT,
        workdir.path(),
    );
    let targets_vhdx = |case: &imgduel::case::Case| {
        let text = serde_json::to_string(&case.ops[0]).unwrap();
        text.contains("vhdx")
    };
    let cases = ring::cases("ops16", SEED, &["measure"]).filter(targets_vhdx);
    let record =
        ring::first_that_differs(&session, cases, CASES_MAX).expect("the defect is not detected");
    assert_eq!(
        record.kind.as_deref(),
        Some("measure_above_fully_allocated_bound"),
        "{record:#?}"
    );
}

/// Asserts that a wrong reading of a dmg, which no other operation than info compares, is reported.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_flipped_byte_in_a_reading_of_a_dmg_is_caught() {
    let workdir = ring::scratch();
    let liar = stand_in("reads_wrongly");
    let session = ring::session(&liar, "qemu-img", LIMIT, workdir.path());
    let cases = ring::cases("ops16d", SEED, &["info"]);
    let cases = cases.filter(|case| case.image.format.name() == "dmg");
    let record = ring::first_that_differs(&session, cases, 3).expect("the lie is not detected");
    assert_eq!(
        record.kind.as_deref(),
        Some("info_reading_divergence"),
        "{record:#?}"
    );
}

macro_rules! canaries {
    ($($name:ident: $lie:literal in $operation:literal is $kind:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { caught($lie, $operation, $kind); }
        )*
    };
}

canaries! {
    a_wrong_virtual_size_is_caught: "wrong_virtual_size" in "info" is "info_output_divergence";
    a_wrong_cluster_size_is_caught: "wrong_cluster_size" in "info" is "info_output_divergence";
    missing_children_in_a_release_that_supports_them_are_caught: "describes_the_image_alone" in "info" is "info_output_divergence";
    a_description_that_is_not_json_is_caught: "info_is_no_json" in "info" is "info_output_divergence";
    a_tool_that_writes_to_its_input_is_caught: "changes_its_input" in "info" is "input_changed_divergence";
    a_tool_that_replaces_its_input_is_caught: "replaces_its_input" in "info" is "input_changed_divergence";
    a_crash_is_caught: "crashes" in "info" is "candidate_crash";
    an_error_message_in_another_encoding_is_caught: "says_it_in_latin1" in "info" is "exit_code_divergence";
    an_invented_leak_is_caught: "finds_a_leak" in "check" is "check_output_divergence";
    a_wrong_exit_is_caught: "wrong_exit" in "check" is "exit_code_divergence";
    a_wrong_measure_is_caught: "wrong_measure" in "measure" is "measure_numeric_divergence";
    a_measure_without_bitmaps_is_caught: "measures_without_bitmaps" in "measure" is "measure_bitmaps_presence_divergence";
    a_measure_that_is_not_json_is_caught: "measure_is_no_json" in "measure" is "measure_json_parse_failure";
    a_flipped_byte_is_caught: "flips_a_byte" in "convert" is "convert_content_divergence";
    a_flipped_byte_under_compression_is_caught: "flips_a_byte" in "convert_compressed" is "convert_content_divergence";
    an_output_that_cannot_be_described_is_caught: "convert_is_unreadable" in "convert" is "convert_info_divergence";
    an_output_with_other_clusters_is_caught: "converts_with_other_clusters" in "convert" is "convert_info_divergence";
    an_output_that_nobody_can_open_is_caught: "convert_has_no_version" in "convert" is "convert_info_readback_failure";
    a_leaked_cluster_is_caught: "convert_leaks" in "convert" is "convert_check_divergence";
    an_image_with_other_refcounts_is_caught: "create_has_other_refcounts" in "create" is "create_info_divergence";
    an_image_created_with_data_is_caught: "creates_with_data" in "create" is "create_content_divergence";
    a_create_that_is_refused_is_caught: "refuses_create" in "create" is "exit_code_divergence";
    a_resize_seed_that_is_refused_is_caught: "refuses_create" in "resize" is "resize_create_seed_divergence";
    a_resize_that_falls_short_is_caught: "resizes_short" in "resize" is "resize_info_divergence";
    a_resize_that_loses_data_is_caught: "resize_loses_data" in "resize" is "resize_content_divergence";
    a_tool_that_reads_wrongly_is_caught: "reads_wrongly" in "convert" is "convert_reading_divergence";
    a_tool_that_cannot_read_is_caught: "cannot_read" in "convert" is "convert_reading_refused";
    an_amend_that_does_nothing_is_caught: "amend_does_nothing" in "amend" is "amend_info_divergence";
    an_amend_that_loses_data_is_caught: "amend_loses_data" in "amend" is "amend_content_divergence";
    an_amend_that_leaks_is_caught: "amend_leaks" in "amend" is "amend_check_divergence";
    an_amend_that_leaves_nothing_readable_is_caught: "amend_breaks" in "amend" is "amend_info_readback_failure";
    a_rebase_that_does_nothing_is_caught: "rebase_does_nothing" in "rebase" is "rebase_info_divergence";
    a_rebase_that_copies_nothing_is_caught: "rebase_is_always_unsafe" in "rebase" is "rebase_content_divergence";
    a_rebase_that_is_refused_is_caught: "rebase_is_refused" in "rebase" is "exit_code_divergence";
    a_commit_that_does_nothing_is_caught: "commit_does_nothing" in "commit" is "commit_backing_content_divergence";
    a_commit_that_changes_the_overlay_is_caught: "commit_grows_the_overlay" in "commit" is "commit_overlay_info_divergence";
    a_commit_that_changes_the_backing_file_is_caught: "commit_grows_the_base" in "commit" is "commit_backing_info_divergence";
    a_map_with_a_wrong_field_is_caught: "map_lies_about_zeros" in "map" is "map_field_divergence";
    a_map_that_lacks_an_extent_is_caught: "map_forgets_an_extent" in "map" is "map_extent_count_divergence";
    a_map_of_another_shape_is_caught: "map_is_no_array" in "map" is "map_json_shape_divergence";
    a_map_that_is_not_json_is_caught: "map_is_no_json" in "map" is "map_json_parse_failure";
    a_map_without_the_file_s_holes_has_its_own_kind: "map_sees_no_holes" in "map" is "map_host_holes_divergence";
    a_dd_that_shifts_is_caught: "dd_shifts" in "dd" is "dd_info_divergence";
    a_dd_that_flips_a_byte_is_caught: "dd_flips_a_byte" in "dd" is "dd_content_divergence";
    compressed_data_that_nobody_can_unpack_is_caught: "compresses_into_garbage" in "convert_compressed" is "convert_content_readback_failure";
    a_bitmap_that_stays_enabled_is_caught: "bitmap_does_not_disable" in "bitmap" is "bitmap_info_divergence";
    a_bitmap_that_leaks_is_caught: "bitmap_leaks" in "bitmap" is "bitmap_check_divergence";
    a_bench_with_a_wrong_header_is_caught: "bench_counts_wrongly" in "bench" is "bench_header_divergence";
    a_bench_that_writes_wrong_data_is_caught: "bench_writes_nothing" in "bench" is "bench_write_divergence";
    a_bench_that_leaks_is_caught: "bench_leaks" in "bench" is "bench_check_divergence";
    a_snapshot_that_is_not_deleted_is_caught: "refuses_to_delete_snapshots" in "snapshot" is "exit_code_divergence";
    another_byte_in_the_snapshot_table_is_caught: "snapshot_writes_a_byte" in "snapshot" is "snapshot_byte_divergence";
    a_snapshot_that_loses_a_refcount_is_caught: "snapshot_loses_a_refcount" in "snapshot" is "snapshot_byte_divergence";
    a_tail_behind_a_snapshot_is_caught: "snapshot_leaves_a_tail" in "snapshot" is "snapshot_byte_divergence";
    an_invalid_snapshot_table_is_caught: "snapshot_breaks_its_table" in "snapshot" is "snapshot_normalize_failed";
    a_snapshot_of_another_time_is_caught: "snapshot_is_of_another_time" in "snapshot" is "snapshot_date_divergence";
    a_delete_that_leaks_is_caught: "snapshot_delete_leaks" in "snapshot" is "snapshot_byte_divergence";
    a_list_that_lies_is_caught: "lists_other_snapshots" in "snapshot" is "snapshot_list_divergence";
    a_repair_that_repairs_nothing_is_caught: "repairs_nothing" in "repair" is "repair_completeness_divergence";
    a_repair_that_loses_data_is_caught: "repair_loses_data" in "repair" is "repair_data_divergence";
    a_repair_that_makes_it_worse_is_caught: "repair_makes_it_worse" in "repair" is "repair_safety_divergence";
    a_repair_that_reports_itself_incomplete_is_inconclusive: "repair_is_never_complete" in "repair" is "inconclusive_repair_conservative";
}

/// Asserts that a defect of applying snapshots is detected as `kind` in a case whose snapshot steps satisfy `chains`. Other cases before
/// it may detect the defect as another kind, in the bytes after the next create or delete.
fn caught_after_an_apply(lie: &str, chains: Chains, kind: &str) {
    let workdir = ring::scratch();
    let session = ring::session(&stand_in(lie), "qemu-img", LIMIT, workdir.path());
    let mut cases = ring::cases("ops16", SEED, &["snapshot"])
        .filter(|case| case.ops.iter().any(|operation| fits(operation, chains)))
        .take(CASES_MAX);
    let mut record = None;
    while record
        .as_ref()
        .and_then(|record: &Record| record.kind.as_deref())
        != Some(kind)
    {
        let found = ring::first_that_differs(&session, cases.by_ref(), CASES_MAX);
        let found =
            found.unwrap_or_else(|| panic!("the defect is not detected, but as {record:#?}"));
        assert_eq!(found.verdict, "divergence", "{found:#?}");
        record = Some(found);
    }
}

/// Decides from the names of the snapshot steps whether they can reveal a defect.
type Chains = fn(&[&str]) -> bool;

fn apply_at_last(chain: &[&str]) -> bool {
    chain.last() == Some(&"apply")
}

fn apply_of_overwritten_data(chain: &[&str]) -> bool {
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

macro_rules! applies {
    ($($name:ident: $lie:literal in $chains:ident is $kind:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { caught_after_an_apply($lie, $chains, $kind); }
        )*
    };
}

applies! {
    an_apply_that_leaks_is_caught: "snapshot_apply_leaks" in apply_at_last is "snapshot_check_divergence";
    an_apply_of_the_wrong_data_is_caught: "snapshot_applies_wrong_data" in apply_at_last is "snapshot_compare_divergence";
    an_apply_that_changes_the_image_s_version_is_caught: "snapshot_apply_loses_its_version" in apply_at_last is "snapshot_info_divergence";
    an_apply_that_damages_another_snapshot_is_caught: "snapshot_apply_damages_another" in apply_of_overwritten_data is "snapshot_contents_divergence";
    an_apply_that_locks_the_image_is_caught: "snapshot_apply_locks_the_image" in apply_before_a_write is "snapshot_write_failed";
}
