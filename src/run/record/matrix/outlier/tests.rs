//! Unit tests of `outlier.rs`.

use super::*;

fn verdict(stands: &[(&str, CellOutcome)]) -> String {
    let cells = stands.iter().map(|(tool, stand)| {
        let cell = Cell {
            stand: *stand,
            value: None,
            count: u64::from(stand.is_wrong()),
        };
        ((*tool).to_owned(), cell)
    });
    who(&cells.collect(), "qemu-img 10.0.2")
}

#[test]
fn the_first_release_with_another_behaviour_is_named() {
    let stands = [
        ("qemu-img 7.2.22", CellOutcome::Crashes),
        ("qemu-img 9.1.0", CellOutcome::Agrees),
        ("qemu-img 10.0.2", CellOutcome::Agrees),
        ("qemu-img 10.0.2 (candidate)", CellOutcome::Agrees),
    ];
    assert_eq!(
        verdict(&stands),
        "qemu-img 9.1.0 is the first to behave otherwise than qemu-img 7.2.22"
    );
    assert_eq!(
        verdict(&[stands[3], stands[0]]),
        "qemu-img 10.0.2 is the first to behave otherwise than qemu-img 7.2.22"
    );
}

#[test]
fn several_changes_between_releases_are_all_listed() {
    let stands = [
        ("qemu-img 5.2.0", CellOutcome::Differs),
        ("qemu-img 7.2.22", CellOutcome::Differs),
        ("qemu-img 10.0.2", CellOutcome::Agrees),
        ("qemu-img 10.0.13", CellOutcome::Differs),
        ("qemu-img 11.1.3", CellOutcome::Agrees),
    ];
    assert_eq!(
        verdict(&stands),
        "qemu-img changes 3 times: from 7.2.22 (differs) to 10.0.2 (agrees), from 10.0.2 (agrees) to 10.0.13 (differs), \
         from 10.0.13 (differs) to 11.1.3 (agrees)"
    );
    assert_eq!(
        verdict(&stands[..4]),
        "qemu-img changes 2 times: from 7.2.22 (differs) to 10.0.2 (agrees), from 10.0.2 (agrees) to 10.0.13 (differs)"
    );
    assert_eq!(
        verdict(&stands[1..3]),
        "qemu-img 10.0.2 is the first to behave otherwise than qemu-img 7.2.22"
    );
}

#[test]
fn a_change_is_placed_between_the_nearest_releases_with_known_outcomes() {
    let stands = [
        ("qemu-img 7.2.22", CellOutcome::Crashes),
        ("qemu-img 10.0.2", CellOutcome::Elsewhere),
        ("qemu-img 10.0.13", CellOutcome::NotAsked),
        ("qemu-img 11.1.3", CellOutcome::Agrees),
    ];
    assert_eq!(
        verdict(&stands),
        "qemu-img changes once: from 7.2.22 (crashes) to 11.1.3 (agrees; 10.0.2 diverges elsewhere; 10.0.13 skipped)"
    );
    assert_eq!(verdict(&stands[..2]), "qemu-img 7.2.22 is the odd one out");
}

#[test]
fn releases_are_ordered_by_number_and_not_as_text() {
    let stands = [
        ("qemu-img 10.0.13", CellOutcome::Refuses),
        ("qemu-img 10.0.2", CellOutcome::Agrees),
        ("qemu-img 9.2.4", CellOutcome::Agrees),
        ("qemu-img 11.1.3", CellOutcome::Refuses),
    ];
    assert_eq!(
        verdict(&stands),
        "qemu-img 10.0.13 is the first to behave otherwise than qemu-img 10.0.2"
    );
}

#[test]
fn a_skipped_release_is_passed_over() {
    let stands = [
        ("qemu-img 5.2.0", CellOutcome::Agrees),
        ("qemu-img 7.2.22", CellOutcome::NotAsked),
        ("qemu-img 10.0.2", CellOutcome::Agrees),
        ("qemu-img 11.1.3", CellOutcome::Differs),
    ];
    assert_eq!(
        verdict(&stands),
        "qemu-img 11.1.3 is the first to behave otherwise than qemu-img 10.0.2"
    );
}

#[test]
fn the_reference_is_alone_when_all_others_agree_with_each_other() {
    let mut stands = vec![
        ("vhd-core 0.1.4", CellOutcome::Accepts),
        ("7zz 25.01", CellOutcome::Accepts),
        ("qemu-img 10.0.2", CellOutcome::Agrees),
    ];
    assert_eq!(
        verdict(&stands),
        "the reference is alone against 7zz 25.01, vhd-core 0.1.4"
    );
    stands.push(("libvhdi 20210425", CellOutcome::Agrees));
    assert_eq!(
        verdict(&stands),
        "two camps: 7zz 25.01, vhd-core 0.1.4 against libvhdi 20210425, qemu-img 10.0.2"
    );
}

#[test]
fn a_release_that_contradicts_itself_is_not_a_change_between_releases() {
    let stands = [
        ("qemu-img 7.2.22", CellOutcome::Agrees),
        ("qemu-img 10.0.2", CellOutcome::Agrees),
        ("qemu-img 10.0.2 (candidate)", CellOutcome::Differs),
    ];
    assert_eq!(
        verdict(&stands),
        "qemu-img 10.0.2 (candidate) is the odd one out"
    );
}

#[test]
fn releases_with_the_same_outcome_are_not_a_change() {
    let stands = [
        ("qemu-img 7.2.22", CellOutcome::Crashes),
        ("qemu-img 10.0.2", CellOutcome::Crashes),
        ("imago 0.2.6", CellOutcome::Agrees),
    ];
    assert!(!verdict(&stands).contains("first"), "{}", verdict(&stands));
}
