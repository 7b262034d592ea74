//! `imgduel report` and `imgduel inspect`: a divergence as a text for a bug tracker, and what lies on disk in a qcow2.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use crate::ring;

fn qemu(directory: &Path, program: &str, words: &[&str]) {
    let mut command = Command::new(program);
    let done = command.args(words).current_dir(directory).output().unwrap();
    assert!(done.status.success(), "{words:?}");
}

/// What `inspect` prints, and its exit code.
fn inspected(directory: &Path, words: &[&str]) -> (String, Option<i32>) {
    let mut command = ring::imgduel();
    let command = command.arg("inspect").args(words).current_dir(directory);
    let done = command.output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    (text.trim_end().to_owned(), done.status.code())
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_report_says_what_differs_how_to_see_it_and_who_is_right() {
    let liar = ring::stand_in("wrong_virtual_size");
    let candidate = format!("qemu-img:{}", liar.display());
    let scratch = ring::scratch();
    let mut command = ring::imgduel();
    command.args(["report", "ops16_s7_i000000", "--ops", "info"]);
    command.args(["--candidate", &candidate]);
    let done = command.current_dir(scratch.path()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    let text = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0), "{said}");
    let parts = [
        "# qemu-img: info: virtual-size",
        "## What differs",
        "| virtual-size |",
        "## Versions",
        "## How to see it\n\n```sh\n#!/bin/sh",
        "## What qemu-img (candidate) does",
        "## What qemu-img (reference) does",
        "## Who is right",
    ];
    let mut rest = text.as_str();
    for part in parts {
        let place = rest.find(part);
        let place = place.unwrap_or_else(|| panic!("no {part} in its place: {text}"));
        rest = &rest[place + part.len()..];
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_qcow2_is_inspected_by_its_own_bytes_and_left_as_it_is() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    for name in ["a", "b"] {
        qemu(
            directory,
            "qemu-img",
            &["create", "-q", "-f", "qcow2", name, "1M"],
        );
    }
    qemu(directory, "qemu-img", &["bitmap", "--add", "a", "noted"]);
    qemu(directory, "qemu-io", &["-c", "write -q -P 1 0 64k", "a"]);
    qemu(directory, "qemu-img", &["snapshot", "-c", "then", "a"]);
    let before = std::fs::read(directory.join("a")).unwrap();
    let printed = |words: &[&str]| inspected(directory, words);
    let is = |text: &str| (text.to_owned(), Some(0));
    assert_eq!(printed(&["a", "--field", "cluster_bits"]), is("16"));
    assert_eq!(printed(&["a", "--field", "nb_snapshots"]), is("1"));
    assert_eq!(printed(&["a", "--bitmap", "noted"]), is("0..1"));
    assert_eq!(printed(&["a", "--bitmap", "other"]), is("no such bitmap"));
    assert_eq!(printed(&["a", "--dates"]).0.lines().count(), 1);
    assert_eq!(printed(&["a", "--against", "a"]), is(""));
    let (place, code) = printed(&["a", "--against", "b"]);
    assert!(place.starts_with("host cluster "), "{place}");
    assert_eq!(code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&printed(&["a", "--metadata"]).0).unwrap();
    assert_eq!(json["problems"], serde_json::json!([]));
    assert_eq!(printed(&["a", "--field", "colour"]).1, Some(2));
    std::fs::write(directory.join("c"), "no qcow2").unwrap();
    assert_eq!(printed(&["c", "--metadata"]).1, Some(2));
    assert_eq!(std::fs::read(directory.join("a")).unwrap(), before);
}
