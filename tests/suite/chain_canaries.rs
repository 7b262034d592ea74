//! Lies told in the middle of a chain are caught, and the candidate is blamed: two honest witnesses stand against it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::time::Duration;

const CASES_MAX: usize = 60;
const SEED: u64 = 7;
const LIMIT: Duration = Duration::from_secs(30);

/// The stand-in `lie` is found out by chains of these kinds of steps alone, in this layer. What comes before the iteration `start`
/// is known to miss it, and passed over to save time.
fn caught(lie: &str, acts: &[&str], start: usize, layer: &str) {
    let workdir = ring::scratch();
    let program = ring::stand_in("chain").join(lie).join("qemu-img");
    let candidate = format!("qemu-img:{}", program.display());
    let arena = ring::arena(&candidate, "qemu-img", LIMIT, workdir.path());
    let cases = ring::cases("native1", SEED, acts).skip(start);
    let record = ring::first_that_differs(&arena, cases, CASES_MAX).expect("the lie is not caught");
    assert_eq!(record.verdict, "divergence", "{record:#?}");
    let blame = record.blame.map(|blame| blame.name());
    assert_eq!(blame, Some("candidate"), "{record:#?}");
    assert_eq!(
        record.layer.map(|layer| layer.name()),
        Some(layer),
        "{record:#?}"
    );
}

macro_rules! canaries {
    ($($name:ident: $lie:literal among $acts:expr, from $start:literal, in $layer:literal;)*) => {
        $(
            #[test]
            #[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)")]
            fn $name() { caught($lie, &$acts, $start, $layer); }
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
    rubbish_in_what_a_resize_adds_is_blamed: "grows_with_rubbish" among ["resize"], from 5, in "contents";
    a_cluster_leaked_by_a_shrink_is_blamed: "leaks_when_shrinking" among ["resize"], from 0, in "metadata";
    a_snapshot_that_was_not_applied_is_blamed: "applies_no_snapshot" among ["write", "snapshot"], from 15, in "contents";
    a_backing_file_read_past_its_end_is_blamed: "reads_backing_files_past_their_end" among ["rebase"], from 0, in "contents";
    a_commit_without_its_last_sector_is_blamed: "commits_without_the_last_sector" among ["write", "commit"], from 11, in "contents";
    a_conversion_without_its_last_sector_is_blamed: "converts_without_the_last_sector" among ["convert"], from 3, in "contents";
    data_mapped_as_zeros_is_blamed: "maps_data_as_zeros" among ["map"], from 0, in "allocation";
    a_size_told_wrongly_midway_is_blamed: "describes_another_size" among ["info"], from 0, in "facts";
    a_bitmap_that_was_not_added_is_blamed: "forgets_bitmaps" among ["bitmap"], from 2, in "exit";
    a_file_left_behind_is_blamed: "leaves_a_file" among ["convert"], from 0, in "host";
    a_touched_input_is_blamed: "touches_what_it_checks" among ["check"], from 1, in "host";
    wasted_space_on_the_host_is_blamed: "takes_too_much_space" among ["convert"], from 0, in "host";
    a_wrong_reading_of_either_s_output_is_blamed: "reads_outputs_wrongly" among ["write"], from 0, in "cross_reading";
    a_feature_bit_that_nobody_asked_for_is_blamed: "sets_a_feature_bit" among ["convert"], from 2, in "metadata";
    a_bitmap_that_forgets_is_blamed: "forgets_what_is_dirty" among ["bitmap", "write"], from 13, in "metadata";
}

/// What both tools leave in the same way, and the recipe does not: both are blamed, and in the words of the look that is for it.
fn both_are_blamed(candidate: &str, reference: &str, acts: &[&str], start: usize, what: &str) {
    let workdir = ring::scratch();
    let spec = |lie: &str| format!("qemu-img:{}", ring::stand_in(lie).display());
    let candidate = match candidate {
        "" => "qemu-img".to_owned(),
        lie => spec(lie),
    };
    let arena = ring::arena(&candidate, &spec(reference), LIMIT, workdir.path());
    let cases = ring::cases("native1", SEED, acts).skip(start);
    let record = ring::first_that_differs(&arena, cases, CASES_MAX).expect("the lie is not caught");
    let blame = record.blame.map(|blame| blame.name());
    assert_eq!(blame, Some("both"), "{record:#?}");
    let evidence = record.evidence.as_ref().unwrap();
    let differs = &evidence.differences[0].what;
    assert!(differs.starts_with(what), "{differs}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn snapshots_that_both_lose_are_missed() {
    let lie = "chain/makes_no_snapshots/qemu-img";
    both_are_blamed(lie, lie, &["snapshot"], 0, "snapshots of ");
}

/// What is found wrong on both sides, and our own reading does not find: here because it is not so.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_check_that_finds_the_same_wrong_on_both_sides_is_told() {
    both_are_blamed("", "finds_a_leak", &["resize"], 0, "check of ");
}
