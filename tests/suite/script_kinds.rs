//! Reproducer scripts for every kind of finding: each shows the divergence with the defective stand-in, and not with a correct tool.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use imgduel::case::Case;
use imgduel::oracle::verdict::Subject;
use imgduel::oracle::witness::Witnesses;
use imgduel::report::script::script;
use imgduel::run::record::Record;
use imgduel::run::session::Session;

use crate::ring;

const CASES_MAX: usize = 150;
const SEED: u64 = 7;
const LIMIT: Duration = Duration::from_secs(30);

/// The script variables of each side: qemu-img, and the qemu-io that belongs to it.
const IO: [(&str, &str); 2] = [("CANDIDATE", "CANDIDATE_IO"), ("REFERENCE", "REFERENCE_IO")];

/// Runs the script with the programs in `own`, or `honest` in the place of one variable. Returns its exit code.
fn exit_code(path: &Path, own: &[(&str, String)], honest: Option<(&str, &str)>) -> Option<i32> {
    let mut command = Command::new("sh");
    let places = ring::path_with_stand_ins(&ring::stand_in("."));
    let reader = Path::new(ring::PROGRAM).parent().unwrap();
    command.env("PATH", format!("{places}:{}", reader.display()));
    command
        .arg(path)
        .envs(own.iter().map(|(name, value)| (*name, value)))
        .envs(honest);
    let beside = IO
        .iter()
        .find(|(variable, _)| honest.is_some_and(|(wanted, _)| wanted == *variable));
    command.envs(beside.map(|(_, io)| (io, "qemu-io")));
    command.output().unwrap().status.code()
}

/// Returns the record of the first case with a divergence of this kind.
fn found(session: &Session, kind: &str, cases: impl Iterator<Item = Case>) -> Record {
    let mut records = cases
        .take(CASES_MAX)
        .map(|case| session.try_case(case).unwrap());
    let is_wanted = |record: &Record| record.kind.as_deref() == Some(kind);
    let found = records.find(is_wanted);
    found.unwrap_or_else(|| panic!("the defect is not detected as {kind}"))
}

/// Returns the script variables for the programs of both sides. Without them, the script uses the programs on PATH.
fn programs(session: &Session) -> Vec<(&'static str, String)> {
    let sides = std::iter::zip(IO, [session.candidate(), session.reference()]);
    let named = sides.filter_map(|((variable, io_variable), tool)| {
        let program = tool.program()?;
        let io = program.with_file_name("qemu-io");
        let io = io.exists().then(|| (io_variable, io.display().to_string()));
        Some([Some((variable, program.display().to_string())), io])
    });
    named.flatten().flatten().collect()
}

/// What only a reading of the file itself shows: the script needs this program for it.
fn is_on_disk(subject: &Subject) -> bool {
    matches!(
        subject,
        Subject::HeaderField { .. }
            | Subject::BitmapGranules { .. }
            | Subject::BitmapGranulesBelow { .. }
            | Subject::SnapshotCount { .. }
            | Subject::HostClusters { .. }
            | Subject::SnapshotDate { .. }
    )
}

/// Asserts that the script of a record reproduces it, and does not with a correct program in the place of the variable.
fn shows(session: &Session, record: &Record, honest: (&str, &str)) {
    let text = script(record, session.candidate(), session.reference(), LIMIT).unwrap();
    let differences = &record.evidence.as_ref().unwrap().differences;
    assert_eq!(
        text.contains("command -v imgduel"),
        is_on_disk(&differences[0].subject),
        "{text}"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script.sh");
    std::fs::write(&path, &text).unwrap();
    let own = &programs(session);
    assert_eq!(exit_code(&path, own, None), Some(0), "{text}");
    assert_eq!(exit_code(&path, own, Some(honest)), Some(1), "{text}");
}

/// Asserts that these operations or kinds of steps detect the stand-in as `kind` and that the script reproduces it. Iterations before `start`
/// are known to miss the defect and are skipped to save time.
fn defect_is_reproduced(
    lie: &str,
    generation: &str,
    operations: &[&str],
    start: usize,
    kind: &str,
) {
    let workdir = tempfile::tempdir().unwrap();
    let candidate = format!("qemu-img:{}", ring::stand_in(lie).display());
    let session = ring::session(&candidate, "qemu-img", LIMIT, workdir.path());
    let cases = ring::cases(generation, SEED, operations).skip(start);
    let record = found(&session, kind, cases);
    shows(&session, &record, ("CANDIDATE", "qemu-img"));
}

macro_rules! scripts {
    ($($name:ident: $lie:literal in $operations:expr, $generation:literal, from $start:literal, is $kind:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { defect_is_reproduced($lie, $generation, &$operations, $start, $kind); }
        )*
    };
}

scripts! {
    a_lost_cluster_of_a_snapshot_has_a_script: "snapshot_cluster_is_lost" in ["rebase"], "cow_soak", from 0, is "rebase_snapshot_readback_divergence";
    a_snapshot_that_cannot_be_read_has_a_script: "snapshot_becomes_unreadable" in ["bench"], "cow_soak", from 0, is "bench_snapshot_readback_error";
    a_shared_cluster_that_is_counted_once_has_a_script: "shared_refcount_is_lost" in ["commit"], "cow_soak", from 0, is "commit_snapshot_refcount_divergence";
    a_leak_beside_snapshots_has_a_script: "shared_clusters_leak" in ["commit"], "cow_soak", from 1, is "commit_snapshot_check_divergence";
    a_wrong_sector_beside_snapshots_has_a_script: "loses_what_it_writes" in ["bench"], "cow_soak", from 0, is "bench_snapshot_compare_divergence";
    wrong_contents_in_the_middle_of_a_chain_are_reproduced: "chain/discards_nothing/qemu-img" in ["write", "discard", "read"], "native1", from 10, is "chain_content_divergence";
    a_wrong_map_in_the_middle_of_a_chain_is_reproduced: "chain/maps_data_as_zeros/qemu-img" in ["map"], "native1", from 0, is "chain_map_divergence";
    a_wrong_size_in_the_middle_of_a_chain_is_reproduced: "chain/describes_another_size/qemu-img" in ["info"], "native1", from 0, is "chain_info_divergence";
    a_leak_is_reproduced: "chain/leaks_when_shrinking/qemu-img" in ["resize"], "native1", from 0, is "chain_metadata_divergence";
    a_header_field_is_reproduced: "chain/sets_a_feature_bit/qemu-img" in ["convert"], "native1", from 2, is "chain_header_metadata_divergence";
    wrong_dirty_bitmap_granules_are_reproduced: "chain/forgets_what_is_dirty/qemu-img" in ["bitmap", "write"], "native1", from 13, is "chain_dirty_metadata_divergence";
    a_file_left_behind_is_reproduced: "chain/leaves_a_file/qemu-img" in ["convert"], "native1", from 0, is "chain_host_divergence";
    a_lost_snapshot_of_a_backing_image_is_reproduced: "chain/commit_loses_the_snapshots_below/qemu-img" in ["write", "commit", "below"], "native2", from 2, is "chain_backing_contents_divergence";
    a_lost_bitmap_of_a_backing_image_is_reproduced: "chain/rebase_drops_a_bitmap_below/qemu-img" in ["rebase", "below"], "native2", from 14, is "chain_backing_info_divergence";
    a_wrong_reading_in_a_session_is_reproduced: "chain/reads_wrongly_in_a_session/qemu-img" in ["session"], "native3", from 0, is "chain_session_divergence";
    a_wrong_size_of_an_image_in_a_directory_is_reproduced: "chain/describes_another_size/qemu-img" in ["info", "opened"], "native4", from 9, is "chain_info_divergence";
    an_absolute_name_without_its_directory_is_reproduced: "records_absolute_names_without_their_directory" in ["info"], "native4", from 9, is "chain_info_divergence";
    a_refusal_in_a_session_is_reproduced: "chain/refuses_in_a_session/qemu-img" in ["session"], "native3", from 0, is "chain_session_divergence";
    a_wrong_reading_of_an_image_of_our_own_is_reproduced: "reads_wrongly" in ["contents"], "readers3", from 0, is "written_content_divergence";
    a_wrong_size_of_an_image_of_our_own_is_reproduced: "wrong_virtual_size" in ["info"], "readers3", from 0, is "written_info_divergence";
    a_wrong_check_of_an_image_of_our_own_is_reproduced: "finds_a_leak" in ["check"], "readers3", from 0, is "written_check_divergence";
    a_refusal_of_an_image_of_our_own_is_reproduced: "cannot_read" in ["contents"], "readers3", from 0, is "written_image_refused";
    a_change_of_an_image_of_our_own_is_reproduced: "changes_its_input" in ["info"], "readers3", from 3, is "input_changed_divergence";
    a_map_of_an_image_of_our_own_is_reproduced: "map_lies_about_zeros" in ["map"], "readers3", from 13, is "written_map_divergence";
    a_repair_that_loses_data_is_reproduced: "repair_loses_data" in ["repair"], "ops16", from 0, is "repair_data_divergence";
}

/// Its script makes the image with Python.
#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_python),
    ignore = "qemu-img or python3 is not here (on Debian and Ubuntu: apt-get install qemu-utils python3)"
)]
fn a_wrong_reading_of_a_dmg_has_a_script() {
    defect_is_reproduced(
        "reads_wrongly",
        "ops16d",
        &["info"],
        0,
        "info_reading_divergence",
    );
}

/// The stand-ins of the slow test, and the kinds as which they are detected.
const OTHERS: [(&str, &str, &[&str], &str); 25] = [
    (
        "chain/converts_what_is_current/qemu-img",
        "native2",
        &["write", "convert_snapshot"],
        "chain_content_divergence",
    ),
    (
        "chain/zeroes_a_sector_over_an_encrypted_image/qemu-img",
        "native2",
        &["write"],
        "chain_content_divergence",
    ),
    (
        "chain/touches_what_it_checks/qemu-img",
        "native1",
        &["check"],
        "input_changed_divergence",
    ),
    (
        "chain/takes_too_much_space/qemu-img",
        "native1",
        &["convert"],
        "chain_host_divergence",
    ),
    (
        "chain/writes_over_a_cluster_s_edge/qemu-img",
        "native1",
        &["write"],
        "chain_content_divergence",
    ),
    (
        "chain/zeroes_nothing/qemu-img",
        "native1",
        &["write", "write_zeroes"],
        "chain_content_divergence",
    ),
    (
        "chain/loses_a_write_after_a_snapshot/qemu-img",
        "native1",
        &["snapshot", "write"],
        "chain_content_divergence",
    ),
    (
        "chain/grows_with_rubbish/qemu-img",
        "native1",
        &["resize"],
        "chain_content_divergence",
    ),
    (
        "chain/applies_no_snapshot/qemu-img",
        "native1",
        &["write", "snapshot"],
        "chain_content_divergence",
    ),
    (
        "chain/reads_backing_files_past_their_end/qemu-img",
        "native1",
        &["rebase"],
        "chain_content_divergence",
    ),
    (
        "chain/commits_without_the_last_sector/qemu-img",
        "native1",
        &["write", "commit"],
        "chain_backing_content_divergence",
    ),
    (
        "chain/converts_without_the_last_sector/qemu-img",
        "native1",
        &["convert"],
        "chain_content_divergence",
    ),
    (
        "chain/forgets_bitmaps/qemu-img",
        "native1",
        &["bitmap"],
        "exit_code_divergence",
    ),
    (
        "snapshot_loses_a_refcount",
        "ops16",
        &["snapshot"],
        "snapshot_byte_divergence",
    ),
    (
        "snapshot_leaves_a_tail",
        "ops16",
        &["snapshot"],
        "snapshot_byte_divergence",
    ),
    (
        "snapshot_delete_leaks",
        "ops16",
        &["snapshot"],
        "snapshot_byte_divergence",
    ),
    (
        "snapshot_breaks_its_table",
        "ops16",
        &["snapshot"],
        "snapshot_normalize_failed",
    ),
    (
        "snapshot_is_of_another_time",
        "ops16",
        &["snapshot"],
        "snapshot_date_divergence",
    ),
    (
        "lists_other_snapshots",
        "ops16",
        &["snapshot"],
        "snapshot_list_divergence",
    ),
    (
        "snapshot_apply_damages_another",
        "ops16",
        &["snapshot"],
        "snapshot_contents_divergence",
    ),
    (
        "snapshot_applies_wrong_data",
        "ops16",
        &["snapshot"],
        "snapshot_compare_divergence",
    ),
    (
        "repairs_nothing",
        "ops16",
        &["repair"],
        "repair_completeness_divergence",
    ),
    (
        "repair_makes_it_worse",
        "ops16",
        &["repair"],
        "repair_safety_divergence",
    ),
    (
        "chain/forgets_bitmaps/qemu-img",
        "native1",
        &["bitmap"],
        "chain_info_divergence",
    ),
    (
        "snapshot_writes_a_byte",
        "ops16",
        &["snapshot"],
        "snapshot_byte_divergence",
    ),
];

#[test]
#[ignore = "takes five minutes: twenty-five defects"]
fn every_other_defect_has_a_script_that_reproduces_it() {
    let mut failed = Vec::new();
    for (lie, generation, operations, kind) in OTHERS {
        let shown =
            std::panic::catch_unwind(|| defect_is_reproduced(lie, generation, operations, 0, kind));
        eprintln!("{lie} {kind}: {}", shown.is_ok());
        failed.extend(shown.is_err().then_some((lie, kind)));
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// The correct witness agrees with both tools.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_divergence_of_a_witness_has_a_script() {
    let lying = ring::stand_in("witnesses");
    for (operation, format, witness, kind) in [
        ("info", "qcow2", "qcowinfo", "libyal_info_divergence"),
        ("check", "vmdk", "vmdkinfo", "libyal_check_divergence"),
    ] {
        let workdir = tempfile::tempdir().unwrap();
        let mut runner = ring::runner("qemu-img", "qemu-img", LIMIT, workdir.path());
        runner.witnesses = Witnesses::find_in(&lying, LIMIT);
        let session = Session::new(runner, ring::empty_catalogue());
        let cases = ring::cases("ops16", SEED, &[operation]);
        let cases = cases.filter(|case| case.image.format.name() == format);
        let record = found(&session, kind, cases);
        let text = script(&record, session.candidate(), session.reference(), LIMIT).unwrap();
        let path = workdir.path().join("script.sh");
        std::fs::write(&path, &text).unwrap();
        let liar = lying.join(witness).display().to_string();
        assert_eq!(
            exit_code(&path, &[], Some(("WITNESS", &liar))),
            Some(0),
            "{text}"
        );
        let without = Some(("WITNESS", "/nonexistent"));
        assert_eq!(exit_code(&path, &[], without), Some(2), "{text}");
        // If the correct witness is not installed, the defective one of that name is found on PATH.
        if which::which(witness).is_ok() {
            assert_eq!(exit_code(&path, &[], None), Some(1), "{text}");
        }
    }
}

/// The reference does not support this, so the script runs only the candidate.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_conversion_larger_than_measured_has_a_script() {
    let workdir = tempfile::tempdir().unwrap();
    let liar = ring::stand_in("instar_foretells_nothing");
    let candidate = format!("instar:{}", liar.display());
    let session = ring::session(&candidate, "qemu-img", LIMIT, workdir.path());
    let cases = ring::cases("ops16", SEED, &["measure"]).filter(|case| {
        let text = serde_json::to_string(&case.ops[0]).unwrap();
        text.contains("vhdx")
    });
    let record = found(&session, "measure_above_fully_allocated_bound", cases);
    let honest = ring::stand_in("instar").display().to_string();
    shows(&session, &record, ("CANDIDATE", &honest));
}

/// Two tools with the same defect agree, but contradict the data that was written.
#[test]
#[ignore = "takes fifteen seconds"]
fn a_divergence_of_both_tools_from_the_recipe_has_a_script() {
    let lies = [
        ("dd_shifts", "ops16", "dd", "dd_recipe_divergence"),
        (
            "chain/grows_with_rubbish/qemu-img",
            "native1",
            "resize",
            "chain_recipe_divergence",
        ),
    ];
    for (lie, generation, operation, kind) in lies {
        let workdir = tempfile::tempdir().unwrap();
        let liar = format!("qemu-img:{}", ring::stand_in(lie).display());
        let session = ring::session(&liar, &liar, LIMIT, workdir.path());
        let record = found(&session, kind, ring::cases(generation, SEED, &[operation]));
        shows(&session, &record, ("CANDIDATE", "qemu-img"));
    }
}

/// Only the reference maps the final images, so its map is wrong for both sides.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_map_of_the_final_image_has_a_script() {
    let workdir = tempfile::tempdir().unwrap();
    let liar = ring::stand_in("chain/maps_data_as_zeros/qemu-img");
    let reference = format!("qemu-img:{}", liar.display());
    let session = ring::session("qemu-img", &reference, LIMIT, workdir.path());
    let cases = ring::cases("native1", SEED, &["write"]);
    let record = found(&session, "chain_map_divergence", cases);
    shows(&session, &record, ("REFERENCE", "qemu-img"));
}
