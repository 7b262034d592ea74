//! Canaries for chains: defects in the middle of a chain are detected and blamed on the candidate.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::time::Duration;

use imgduel::case::Case;
use imgduel::case::shrink::{Limits, Progress, shrink};
use imgduel::run::record::Record;
use imgduel::run::session::Session;
use tempfile::TempDir;

const CASES_MAX: usize = 60;
const SEED: u64 = 7;
const LIMIT: Duration = Duration::from_secs(30);

/// Asserts that chains of only these kinds of steps detect the stand-in `lie`, in this layer. Iterations before `start` are known to miss
/// the defect and are skipped to save time.
fn caught(lie: &str, steps: &[&str], start: usize, layer: &str) {
    let (_, record, _) = found("native1", lie, steps, start);
    assert_eq!(
        record.aspect.map(|aspect| aspect.name()),
        Some(layer),
        "{record:#?}"
    );
}

/// Runs cases of a generation until one detects the defect. Returns the session, the record that blames the candidate, and the scratch
/// directory.
fn found(generation: &str, lie: &str, steps: &[&str], start: usize) -> (Session, Record, TempDir) {
    let workdir = ring::scratch();
    let program = ring::stand_in("chain").join(lie).join("qemu-img");
    let candidate = format!("qemu-img:{}", program.display());
    let session = ring::session(&candidate, "qemu-img", LIMIT, workdir.path());
    let cases = ring::cases(generation, SEED, steps).skip(start);
    let record =
        ring::first_that_differs(&session, cases, CASES_MAX).expect("the defect is not detected");
    assert_eq!(record.verdict, "divergence", "{record:#?}");
    let blame = record.blame.map(|blame| blame.name());
    assert_eq!(blame, Some("candidate"), "{record:#?}");
    (session, record, workdir)
}

macro_rules! canaries {
    ($($name:ident: $lie:literal among $steps:expr, from $start:literal, in $layer:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { caught($lie, &$steps, $start, $layer); }
        )*
    };
}

canaries! {
    a_wrong_byte_at_a_cluster_s_edge_is_blamed: "writes_over_a_cluster_s_edge" among ["write"], from 0, in "contents";
    zeros_that_were_not_written_are_blamed: "zeroes_nothing" among ["write", "write_zeroes"], from 0, in "contents";
    a_zero_too_many_is_blamed: "zeroes_a_byte_too_many" among ["write", "write_zeroes"], from 3, in "contents";
    a_discard_that_keeps_its_data_is_blamed: "discards_nothing" among ["write", "discard"], from 0, in "contents";
    a_write_lost_after_a_snapshot_is_blamed: "loses_a_write_after_a_snapshot" among ["snapshot", "write"], from 11, in "contents";
    a_write_lost_in_a_resize_is_blamed: "loses_the_last_write_when_resizing" among ["write", "resize"], from 3, in "contents";
    garbage_in_space_added_by_a_resize_is_blamed: "grows_with_rubbish" among ["resize"], from 5, in "contents";
    a_cluster_leaked_by_a_shrink_is_blamed: "leaks_when_shrinking" among ["resize"], from 0, in "metadata";
    a_snapshot_that_was_not_applied_is_blamed: "applies_no_snapshot" among ["write", "snapshot"], from 15, in "contents";
    a_backing_file_read_past_its_end_is_blamed: "reads_backing_files_past_their_end" among ["rebase"], from 0, in "contents";
    a_commit_without_its_last_sector_is_blamed: "commits_without_the_last_sector" among ["write", "commit"], from 11, in "contents";
    a_conversion_without_its_last_sector_is_blamed: "converts_without_the_last_sector" among ["convert"], from 3, in "contents";
    data_mapped_as_zeros_is_blamed: "maps_data_as_zeros" among ["map"], from 0, in "allocation";
    a_wrong_size_in_the_middle_of_a_chain_is_blamed: "describes_another_size" among ["info"], from 0, in "facts";
    a_bitmap_that_was_not_added_is_blamed: "forgets_bitmaps" among ["bitmap"], from 2, in "exit";
    a_file_left_behind_is_blamed: "leaves_a_file" among ["convert"], from 0, in "host";
    a_touched_input_is_blamed: "touches_what_it_checks" among ["check"], from 1, in "host";
    wasted_space_on_the_host_is_blamed: "takes_too_much_space" among ["convert"], from 0, in "host";
    a_wrong_reading_of_either_s_output_is_blamed: "reads_outputs_wrongly" among ["write"], from 0, in "cross_reading";
    an_unrequested_feature_bit_is_blamed: "sets_a_feature_bit" among ["convert"], from 2, in "metadata";
    a_bitmap_that_loses_dirty_granules_is_blamed: "forgets_what_is_dirty" among ["bitmap", "write"], from 13, in "metadata";
}

/// The canaries of steps that only `native2` draws. Each row: the kinds of steps to draw, the first iteration that detects the defect, and
/// what the JSON of the shrunk case must still contain.
const DEEP: [(&str, &[&str], usize, &[&str]); 4] = [
    (
        "converts_what_is_current",
        &["write", "convert_snapshot"],
        31,
        &["convert_snapshot"],
    ),
    (
        "commit_loses_the_snapshots_below",
        &["write", "commit", "below"],
        2,
        &["commit", "snapshot"],
    ),
    (
        "rebase_drops_a_bitmap_below",
        &["rebase", "below"],
        13,
        &["rebase", "bitmap"],
    ),
    (
        "zeroes_a_sector_over_an_encrypted_image",
        &["write"],
        20,
        &["encrypt.format=aes"],
    ),
];

fn deep(lie: &str) -> (Session, Record, TempDir) {
    let (_, steps, start, _) = DEEP.iter().find(|(name, ..)| *name == lie).unwrap();
    found("native2", lie, steps, *start)
}

macro_rules! deep_canaries {
    ($($name:ident: $lie:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { deep($lie); }
        )*
    };
}

deep_canaries! {
    a_commit_that_loses_snapshots_of_the_backing_image_is_blamed: "commit_loses_the_snapshots_below";
    a_rebase_that_drops_a_bitmap_of_a_backing_image_is_blamed: "rebase_drops_a_bitmap_below";
    a_sector_lost_above_an_encrypted_backing_image_is_blamed: "zeroes_a_sector_over_an_encrypted_image";
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn measuring_the_current_contents_instead_of_the_snapshot_is_blamed() {
    let steps = ["write", "snapshot", "measure"];
    let (_, record, _workdir) = found("native3", "measures_what_is_current", &steps, 500);
    assert_eq!(record.kind.as_deref(), Some("chain_measure_divergence"));
}

/// Shrinks the case in at most `attempts` attempts. Returns the case and its JSON.
fn shrunk(session: &Session, record: &Record, attempts: usize) -> (Case, String) {
    let limits = Limits {
        attempts,
        time: Duration::from_secs(120),
    };
    let symptom = record.symptoms(false).remove(0);
    let mut progress = Progress::new(record.case_shown().unwrap().clone(), symptom);
    let shown = |case: &Case| Ok(session.try_case(case.clone())?.symptoms(false));
    shrink(&mut progress, limits, shown, |_| Ok(())).unwrap();
    let text = serde_json::to_string(&progress.case.ops).unwrap();
    (progress.case, text)
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn converting_the_current_contents_instead_of_the_snapshot_is_blamed_and_shrunk() {
    let (session, record, _workdir) = deep("converts_what_is_current");
    let (case, text) = shrunk(&session, &record, 10);
    assert!(case.case_size().operations < record.case_shown().unwrap().case_size().operations);
    assert!(text.contains("convert_snapshot"), "{text}");
}

#[test]
#[ignore = "takes minutes: shrinks every defect of backing images"]
fn each_defect_of_backing_images_shrinks_to_the_steps_it_needs() {
    for (lie, _, _, has) in DEEP {
        let (session, record, _workdir) = deep(lie);
        let (case, text) = shrunk(&session, &record, 400);
        println!("{lie}: {} {text}", record.kind.unwrap_or_default());
        assert!(case.case_size().operations <= 4, "{lie}: {text}");
        assert!(has.iter().all(|word| text.contains(word)), "{lie}: {text}");
    }
}

/// Asserts that both tools are blamed if they agree but contradict the recipe, and that the final check of this kind reports it.
fn both_are_blamed(candidate: &str, reference: &str, steps: &[&str], start: usize, what: &str) {
    let workdir = ring::scratch();
    let spec = |lie: &str| format!("qemu-img:{}", ring::stand_in(lie).display());
    let candidate = match candidate {
        "" => "qemu-img".to_owned(),
        lie => spec(lie),
    };
    let session = ring::session(&candidate, &spec(reference), LIMIT, workdir.path());
    let cases = ring::cases("native1", SEED, steps).skip(start);
    let record =
        ring::first_that_differs(&session, cases, CASES_MAX).expect("the defect is not detected");
    let blame = record.blame.map(|blame| blame.name());
    assert_eq!(blame, Some("both"), "{record:#?}");
    let evidence = record.evidence.as_ref().unwrap();
    let differs = &evidence.differences[0].subject.to_string();
    assert!(differs.starts_with(what), "{differs}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn snapshots_that_both_tools_lose_are_reported() {
    let lie = "chain/makes_no_snapshots/qemu-img";
    both_are_blamed(lie, lie, &["snapshot"], 0, "snapshots of ");
}

/// `check` reports an error on both sides that the harness's own audit does not find, because there is none.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_check_that_reports_the_same_error_on_both_sides_is_recorded() {
    both_are_blamed("", "finds_a_leak", &["resize"], 0, "check of ");
}
