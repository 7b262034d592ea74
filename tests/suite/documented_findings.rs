//! The scripts of `docs/findings.md` show what they say, with the releases that they say it of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::path::PathBuf;
use std::process::Command;

/// The scripts about one tool: their names begin with its.
fn scripts(prefix: &str) -> Vec<PathBuf> {
    let scripts = std::fs::read_dir(ring::package().join("docs/findings")).unwrap();
    let scripts = scripts.map(|entry| entry.unwrap().path());
    let is_about = |path: &PathBuf| name(path).starts_with(prefix);
    scripts.filter(is_about).collect()
}

fn name(path: &std::path::Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Every one of them, when the tool is of this release: another may have mended it.
fn show(prefix: &str, tool: &str, release: &str) {
    let scripts = scripts(prefix);
    assert!(!scripts.is_empty());
    if ring::open(tool).version() != release {
        return;
    }
    for script in scripts {
        let status = Command::new("sh").arg(&script).output().unwrap().status;
        assert_eq!(status.code(), Some(0), "{}", name(&script));
    }
}

#[test]
fn every_script_is_told_of_in_the_list() {
    let list = std::fs::read_to_string(ring::package().join("docs/findings.md")).unwrap();
    let scripts = scripts("");
    for script in &scripts {
        let name = name(script);
        assert!(list.contains(&format!("findings/{name}")), "{name}");
    }
    assert_eq!(list.matches("](findings/").count(), scripts.len());
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_defects_of_qemu_img_show() {
    show("qemu-img-", "qemu-img", "10.0.2");
}

/// Where a qemu-img of 7.2 is, which a machine seldom has beside its own.
const OLDER: &str = "IMGDUEL_QEMU_IMG_7_2";

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn the_defects_of_an_older_qemu_img_show() {
    let Some(program) = std::env::var_os(OLDER) else {
        return;
    };
    for script in scripts("qemu-7.2-") {
        let mut command = Command::new("sh");
        let status = command.arg(&script).env("QEMU_IMG", &program).status();
        assert_eq!(status.unwrap().code(), Some(0), "{}", name(&script));
    }
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_7zz),
    ignore = "qemu-img or 7zz is not here (on Debian and Ubuntu: apt-get install qemu-utils 7zip)"
)]
fn the_defects_of_7_zip_show() {
    show("7zz-", "7zz", "25.01");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_rqcow2),
    ignore = "qemu-img or rqcow2 is not here (apt-get install qemu-utils, cargo install qcow2-rs)"
)]
fn the_defects_of_rqcow2_show() {
    show("rqcow2-", "rqcow2", "0.1.6");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_libqcow),
    ignore = "qemu-img or libqcow is not here (on Debian and Ubuntu: apt-get install qemu-utils python3-libqcow)"
)]
fn the_defects_of_libqcow_show() {
    show("libqcow-", "libqcow", "20201213");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_libvmdk),
    ignore = "qemu-img or libvmdk is not here (on Debian and Ubuntu: apt-get install qemu-utils python3-libvmdk)"
)]
fn the_defects_of_libvmdk_show() {
    show("libvmdk-", "libvmdk", "20200926");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_libvhdi),
    ignore = "qemu-img or libvhdi is not here (on Debian and Ubuntu: apt-get install qemu-utils python3-libvhdi)"
)]
fn the_defects_of_libvhdi_show() {
    show("libvhdi-", "libvhdi", "20210425");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_dissect),
    ignore = "qemu-img or dissect.hypervisor is not here (apt-get install qemu-utils, pip install dissect.hypervisor)"
)]
fn the_defects_of_dissect_hypervisor_show() {
    show("dissect-", "dissect.hypervisor", "3.21");
}
