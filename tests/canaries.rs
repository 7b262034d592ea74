//! Every comparator can fire: for each there is a stand-in that lies in its one way, and is caught with the right kind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ring;

use std::time::Duration;

const CASES_MAX: usize = 300;
const SEED: u64 = 7;

/// The stand-in `lie` is found out by `operation`, as `kind`, within [`CASES_MAX`] cases of that operation.
fn caught(lie: &str, operation: &str, kind: &str) {
    let workdir = tempfile::tempdir().unwrap();
    let candidate = format!("qemu-img:{}", ring::stand_in(lie).display());
    let arena = ring::arena(
        &candidate,
        "qemu-img",
        Duration::from_secs(30),
        workdir.path(),
    );
    let cases = ring::cases("ops7", SEED, &[operation]);
    let record = ring::first_that_differs(&arena, cases, CASES_MAX).expect("the lie is not caught");
    assert_eq!(record.kind.as_deref(), Some(kind), "{record:#?}");
    assert_eq!(record.operation.as_deref(), Some(operation));
    assert_eq!(record.verdict, "divergence");
    assert_eq!(
        std::fs::read_dir(workdir.path()).unwrap().count(),
        0,
        "scratch is left behind"
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
