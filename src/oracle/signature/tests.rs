//! Unit tests of `signature.rs`.

use super::*;

#[test]
fn a_blank_of_several_bytes_begins_a_word_too() {
    let told = "cannot open\u{3000}/x/candidate/a.qcow2";
    assert_eq!(without_places(told), "cannot open\u{3000}a.qcow2");
}

#[test]
fn numbers_do_not_count() {
    assert_eq!(
        without_numbers("byte 0x1f00 of 4096 after 1.25 s"),
        "byte N of N after N s"
    );
    assert_eq!(
        without_numbers("exit 1. release 10.0.2, 4."),
        "exit N. release N, N."
    );
}

#[test]
fn the_way_to_a_file_does_not_count() {
    assert_eq!(
        without_places("no file \"/dev/shm/imgduel-1f.2-case-re4yeN/candidate/base.raw\""),
        "no file \"base.raw\""
    );
    assert_eq!(without_places("/scratch/reference/a.raw"), "a.raw");
    assert_eq!(
        without_places("a candidate/reference"),
        "a candidate/reference"
    );
}

#[test]
fn a_long_part_is_cut() {
    assert_eq!(without_numbers(&"x".repeat(500)).chars().count(), 120);
}

#[test]
fn the_images_of_a_chain_are_one_whatever_their_numbers() {
    let group = |file: &str| {
        let what = format!("contents of {file}: byte at guest offset 4096");
        let difference = Difference::written(&what, "0x00", "0x1a");
        Group::new("chain_content_divergence", "chain", &[difference], "")
    };
    let first = group("0-chain-0.qcow2");
    assert_eq!(
        first.signature,
        "contents of chain.qcow2: byte at guest offset N"
    );
    assert_eq!(group("0-chain-c0.qcow2"), first);
    assert_eq!(group("3-chain-2.qcow2"), first);
    assert_ne!(group("0-chain-0.vmdk"), first);
}

#[test]
fn a_group_that_an_earlier_version_wrote_down_is_todays() {
    let old = |signature: &str| {
        let signature = signature.to_owned();
        let group = Group {
            kind: "k".to_owned(),
            operation: "chain".to_owned(),
            signature,
        };
        group.of_today().signature
    };
    let today = "contents of chain.qcow2: byte at guest offset N";
    assert_eq!(
        old("contents of N-chain-Nqcow2: byte at guest offset N"),
        today
    );
    assert_eq!(
        old("contents of N-chain-c0.qcow2: byte at guest offset N"),
        today
    );
    assert_eq!(old(today), today);
}

#[test]
fn the_same_difference_at_another_place_is_the_same_group() {
    let at = |place: &str, value: &str| {
        let difference = Difference::written(&format!("contents at {place}"), value, "0x00");
        Group::new("convert_content_divergence", "convert", &[difference], "")
    };
    assert_eq!(at("4096", "0x12"), at("8192", "0xff"));
    let elsewhere = Difference::written("refcount-bits", "1", "16");
    let elsewhere = Group::new("convert_content_divergence", "convert", &[elsewhere], "");
    assert_ne!(at("4096", "0x12"), elsewhere);
}
