//! The scripts of `docs/findings.md` reproduce their findings with the stated releases, and none of them shows how to crash a tool, hang it
//! or exhaust its memory. No test runs the scripts of `findings/`, because they install software.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use imgduel::case::known::Catalogue;

use crate::ring;

use std::path::PathBuf;
use std::process::Command;

/// Returns the scripts whose names begin with the tool's name.
fn scripts(prefix: &str) -> Vec<PathBuf> {
    let scripts = std::fs::read_dir(ring::package().join("docs/findings")).unwrap();
    let scripts = scripts.map(|entry| entry.unwrap().path());
    let is_about = |path: &PathBuf| name(path).starts_with(prefix);
    scripts.filter(is_about).collect()
}

fn name(path: &std::path::Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Runs every script of a tool. Another release than this one may have fixed the defects, so the test is ignored then.
fn show(prefix: &str, tool: &str, release: &str) {
    let scripts = scripts(prefix);
    assert!(!scripts.is_empty());
    assert_eq!(ring::open(tool).version(), release);
    for script in scripts {
        let status = Command::new("sh").arg(&script).output().unwrap().status;
        assert_eq!(status.code(), Some(0), "{}", name(&script));
    }
}

/// Returns the script paths that `docs/findings.md` links, relative to the package, each with its line.
fn linked() -> Vec<(String, String)> {
    let list = std::fs::read_to_string(ring::package().join("docs/findings.md")).unwrap();
    let mut linked = Vec::new();
    for line in list.lines() {
        for link in line.split("](").skip(1) {
            let (target, _) = link.split_once(')').unwrap();
            if target.ends_with(".sh") {
                let path = target
                    .strip_prefix("../")
                    .map_or(format!("docs/{target}"), str::to_owned);
                linked.push((path, line.to_owned()));
            }
        }
    }
    linked
}

#[test]
fn the_list_of_findings_links_every_script() {
    let linked: Vec<String> = linked().into_iter().map(|(path, _)| path).collect();
    for path in &linked {
        assert!(ring::package().join(path).is_file(), "{path} is linked");
    }
    for folder in ["docs/findings", "findings"] {
        for script in std::fs::read_dir(ring::package().join(folder)).unwrap() {
            let path = format!("{folder}/{}", name(&script.unwrap().path()));
            assert!(linked.contains(&path), "{path} is not in the list");
        }
    }
}

#[test]
fn no_script_shows_how_to_crash_or_to_exhaust_a_tool() {
    let catalogue = Catalogue::built_in().unwrap();
    let entries = || catalogue.entries.iter();
    let deadly = entries().filter(|entry| entry.is_about_exhaustion());
    let deadly: Vec<&str> = deadly.map(|entry| &*entry.id).collect();
    assert!(deadly.len() > 20, "{deadly:?}");
    for (path, line) in linked() {
        let stem = path.rsplit('/').next().unwrap().trim_end_matches(".sh");
        let is_named = |id: &&&str| line.contains(&format!("`{id}`")) || stem == **id;
        let named: Vec<_> = deadly.iter().filter(is_named).collect();
        assert!(named.is_empty(), "{path} belongs to {named:?}");
    }
    // The text of such an entry must not contain commands either.
    for entry in entries().filter(|entry| entry.is_about_exhaustion()) {
        let text = format!("{entry:?}");
        let has_commands = ["qemu-img create ", "qemu-io -", "printf '"]
            .iter()
            .any(|command| text.contains(command));
        assert!(!has_commands, "{}", entry.id);
        assert!(entry.examples.is_empty(), "{} has an example", entry.id);
    }
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_python),
    ignore = "qemu-img or python3 is not here (on Debian and Ubuntu: apt-get install qemu-utils python3)"
)]
#[cfg_attr(
    all(another_qemu_img, not(missing_python)),
    ignore = "these are defects of qemu-img 10.0.2: another release may have fixed them"
)]
fn the_defects_of_qemu_img_show() {
    show("qemu-img-", "qemu-img", "10.0.2");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_7zz),
    ignore = "qemu-img or 7zz is not here (on Debian and Ubuntu: apt-get install qemu-utils 7zip)"
)]
#[cfg_attr(
    all(another_7zz, not(missing_qemu_img)),
    ignore = "these are defects of 7-Zip 25.01: another release may have fixed them"
)]
fn the_defects_of_7_zip_show() {
    show("7zz-", "7zz", "25.01");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_libqcow),
    ignore = "qemu-img or libqcow is not here (on Debian and Ubuntu: apt-get install qemu-utils python3-libqcow)"
)]
#[cfg_attr(
    all(another_libqcow, not(missing_qemu_img)),
    ignore = "these are defects of libqcow 20201213: another release may have fixed them"
)]
fn the_defects_of_libqcow_show() {
    show("libqcow-", "libqcow", "20201213");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_libvmdk),
    ignore = "qemu-img or libvmdk is not here (on Debian and Ubuntu: apt-get install qemu-utils python3-libvmdk)"
)]
#[cfg_attr(
    all(another_libvmdk, not(missing_qemu_img)),
    ignore = "these are defects of libvmdk 20200926: another release may have fixed them"
)]
fn the_defects_of_libvmdk_show() {
    show("libvmdk-", "libvmdk", "20200926");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_libvhdi),
    ignore = "qemu-img or libvhdi is not here (on Debian and Ubuntu: apt-get install qemu-utils python3-libvhdi)"
)]
#[cfg_attr(
    all(another_libvhdi, not(missing_qemu_img)),
    ignore = "these are defects of libvhdi 20210425: another release may have fixed them"
)]
fn the_defects_of_libvhdi_show() {
    show("libvhdi-", "libvhdi", "20210425");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_dissect),
    ignore = "qemu-img or dissect.hypervisor is not here (apt-get install qemu-utils, pip install dissect.hypervisor)"
)]
#[cfg_attr(
    all(another_dissect, not(missing_qemu_img)),
    ignore = "these are defects of dissect.hypervisor 3.21: another release may have fixed them"
)]
fn the_defects_of_dissect_hypervisor_show() {
    show("dissect-", "dissect.hypervisor", "3.21");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_vbox_img),
    ignore = "qemu-img or vbox-img is not here (contrib/unpack-debian.sh virtualbox sid DIR, with COMPONENTS='main contrib')"
)]
fn the_defects_of_vbox_img_show() {
    show("vbox-img-", "vbox-img", "7.2.22");
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_bximage),
    ignore = "qemu-img or bximage is not here (contrib/unpack-debian.sh bximage sid DIR)"
)]
fn the_defects_of_bximage_show() {
    show("bximage-", "bximage", "3.1");
}
