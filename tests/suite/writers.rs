//! Images that tools write for a case: who writes, who reads, and that a lie about them is caught.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Output;

use crate::ring;

/// A campaign of writers3 with these flags.
fn fuzz(words: &[&str]) -> Output {
    let scratch = ring::scratch();
    let mut command = ring::imgduel();
    command.args([
        "fuzz",
        "--generation",
        "writers3",
        "--seed",
        "1",
        "--no-shrink",
    ]);
    command.args(words).arg("--findings").arg(scratch.path());
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_seed_of_writers3_is_the_same_case_for_ever() {
    let golden = include_str!("../golden/writers3.jsonl");
    let mut command = ring::imgduel();
    let output = command
        .args(["show", "writers3_s1_i0..11"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), golden);
}

#[test]
#[cfg(all(feature = "qcow2-core", feature = "vhdx-core", feature = "vdi"))]
fn libraries_read_what_the_model_wrote_and_nothing_is_installed() {
    let words = [
        "--writer",
        "model",
        "--reference",
        "model",
        "--iterations",
        "12",
    ];
    let output = fuzz(&[&words[..], &["--candidate", "qcow2-core,vhdx-core,vdi"]].concat());
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("divergences_found 0"), "{said}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_reader_that_lies_about_what_another_tool_wrote_is_caught() {
    let liar = format!("qemu-img:{}", ring::stand_in("reads_wrongly").display());
    let words = [
        "--writer",
        "model",
        "--iterations",
        "3",
        "--candidate",
        &liar,
    ];
    let output = fuzz(&words);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("written_content_divergence"), "{said}");
}

#[test]
#[cfg(feature = "vdi")]
fn a_reader_may_be_the_reference_of_images_that_others_wrote() {
    let words = [
        "--writer",
        "model",
        "--reference",
        "vdi",
        "--iterations",
        "4",
    ];
    let output = fuzz(&[&words[..], &["--candidate", "model", "--allow-vacuous"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_vbox_img),
    ignore = "qemu-img or vbox-img is not here (contrib/unpack-debian.sh virtualbox sid DIR, with COMPONENTS='main contrib')"
)]
fn vbox_img_reads_what_it_wrote_itself() {
    let words = [
        "--writer",
        "vbox-img",
        "--candidate",
        "vbox-img",
        "--iterations",
        "15",
    ];
    let output = fuzz(&words);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("matches 15"), "{said}");
}

/// Two readers see in the images of a tool what the raw file had.
fn is_read_right(writer: &str, format: &str) {
    are_read_right(writer, format, 1);
}

fn are_read_right(writer: &str, format: &str, forms: usize) {
    let mut command = ring::imgduel();
    let words = [
        "grid",
        "--json",
        "--tool",
        "qemu-img,fs-explorer",
        "--writer",
    ];
    let output = command.args(words).arg(writer).output().unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = rows.as_array().unwrap().iter();
    let made: Vec<_> = rows.filter(|row| row["is_made"] == true).collect();
    assert_eq!(made.len(), forms, "{made:#?}");
    for row in made {
        assert_eq!(row["format"], format);
        assert_eq!(row["not_made"], serde_json::json!([]));
        for cell in row["cells"].as_array().unwrap() {
            assert_eq!(cell["standing"], "right", "{cell:#?}");
        }
    }
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_fs_explorer, missing_vmdkstream),
    ignore = "qemu-img, fs-explorer or vmdkstream is not here (apt-get install python3-vmdkstream)"
)]
fn what_vmdkstream_makes_of_a_raw_file_is_read_right() {
    is_read_right("vmdkstream", "vmdk");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_fs_explorer, missing_pyvhd),
    ignore = "qemu-img, fs-explorer or pyvhd is not here (pip install pyvhd)"
)]
fn what_pyvhd_makes_of_a_raw_file_is_read_right() {
    is_read_right("pyvhd", "vpc");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_fs_explorer, missing_xo_qcow2),
    ignore = "qemu-img, fs-explorer or xo-qcow2 is not here (npm install -g @xen-orchestra/qcow2 @vates/read-chunk)"
)]
fn what_xo_qcow2_makes_of_a_raw_file_is_read_right() {
    is_read_right("xo-qcow2", "qcow2");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_fs_explorer, missing_vhdx_rs),
    ignore = "qemu-img, fs-explorer or imgduel-vhdx-rs is not on PATH (contrib/writers/build)"
)]
fn what_vhdx_rs_makes_of_a_raw_file_is_read_right() {
    are_read_right("vhdx-rs", "vhdx", 2);
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_fs_explorer, missing_qcow2_rs),
    ignore = "qemu-img, fs-explorer or imgduel-qcow2-rs is not on PATH (contrib/writers/build)"
)]
fn what_qcow2_rs_makes_of_a_raw_file_is_read_right() {
    is_read_right("qcow2-rs", "qcow2");
}
