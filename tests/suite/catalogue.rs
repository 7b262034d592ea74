//! The examples of the catalogue: each fires its entry and no other, with the tools that are here in a version that the entry speaks of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use imgduel::case::known::{Catalogue, Entry};
use imgduel::run::record::Record;

use crate::ring;

/// The candidate with which an entry's examples are replayed.
fn candidate(entry: &Entry) -> &str {
    entry.example_with.as_deref().unwrap_or(&entry.tool)
}

/// What is wrong with an example's record, if anything is.
fn objection(catalogue: &Catalogue, entry: &Entry, record: &Record) -> Option<String> {
    let named = |tool: &'static str, known: &Option<String>| format!("{tool} {known:?}");
    let Some(seen) = record.sighting() else {
        return Some(named("no divergence,", &record.kind));
    };
    if record.known.as_ref() != Some(&entry.id) {
        return Some(named("known as", &record.known));
    }
    let [ours, theirs] = [&record.candidate, &record.reference]
        .map(|tool| (tool.name.as_str(), tool.version.as_str()));
    let fits = |other: &&Entry| other.is_about(ours, theirs) && other.when.holds(&seen);
    let fitting = catalogue.entries.iter().filter(fits);
    let fitting: Vec<&str> = fitting.map(|entry| &*entry.id).collect();
    (fitting.len() > 1).then(|| format!("fires {fitting:?}"))
}

/// Replays the examples of all entries that are tried with this candidate.
fn replayed(tool: &str) {
    let catalogue = Catalogue::built_in().unwrap();
    // An nbdkit may lack the filter.
    if tool == "nbdkit" && imgduel::tool::open(&tool.parse().unwrap(), &ring::tool_env()).is_err() {
        return;
    }
    let (ours, theirs) = (ring::open(tool), ring::open("qemu-img"));
    let [ours, theirs] = [&ours, &theirs].map(|tool| (tool.name(), tool.version()));
    let entries: Vec<&Entry> = catalogue
        .entries
        .iter()
        .filter(|entry| candidate(entry) == tool && entry.is_about(ours, theirs))
        .collect();
    // Their images are written by other tools.
    let writers = ["vbox-img", "bximage", "vmdkstream", "pyvhd", "xo-qcow2"]
        .map(|name| name.parse().unwrap());
    let mut writers = writers.iter();
    let are_here = writers.all(|spec| imgduel::tool::open(spec, &ring::tool_env()).is_ok());
    let can_be_tried = |id: &&String| are_here || !id.starts_with("writers3_");
    let ids: BTreeSet<&String> = entries
        .iter()
        .flat_map(|entry| &entry.examples)
        .filter(can_be_tried)
        .collect();
    if ids.is_empty() {
        return;
    }
    let directory = ring::scratch();
    let records = directory.path().join("records.jsonl");
    let output = ring::imgduel()
        .current_dir(ring::package().join("known"))
        .arg("replay")
        .args(&ids)
        .args(["--candidate", tool, "--jobs", "1", "--json"])
        .arg(&records)
        .arg("--workdir")
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(
        records.is_file(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let records = std::fs::read_to_string(records).unwrap();
    let records: BTreeMap<String, Record> = records
        .lines()
        .map(|line| serde_json::from_str::<Record>(line).unwrap())
        .map(|record| (record.id.clone(), record))
        .collect();
    let mut wrong = Vec::new();
    for entry in entries {
        for id in entry.examples.iter().filter(can_be_tried) {
            let record = records
                .get(id)
                .unwrap_or_else(|| panic!("{id} has no record"));
            let objection = objection(&catalogue, entry, record);
            wrong.extend(objection.map(|words| format!("{}: {id}: {words}", entry.id)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A test for each candidate: what must be here for it.
macro_rules! examples {
    ($($name:ident: $tool:literal, $missing:meta;)*) => {
        $(
            #[test]
            #[cfg_attr(
                any(missing_qemu_img, $missing),
                ignore = "qemu-img or the tool is not here (imgduel tools says what to install)"
            )]
            fn $name() {
                replayed($tool);
            }
        )*
    };
}

examples! {
    every_example_of_imago_fires_its_entry_alone: "imago", missing_qemu_img;
    every_example_of_qemu_img_fires_its_entry_alone: "qemu-img", missing_qemu_img;
    every_example_of_7_zip_fires_its_entry_alone: "7zz", missing_7zz;
    every_example_of_rqcow2_fires_its_entry_alone: "rqcow2", missing_rqcow2;
    every_example_of_libqcow_fires_its_entry_alone: "libqcow", missing_libqcow;
    every_example_of_libvmdk_fires_its_entry_alone: "libvmdk", missing_libvmdk;
    every_example_of_libvhdi_fires_its_entry_alone: "libvhdi", missing_libvhdi;
    every_example_of_dissect_fires_its_entry_alone: "dissect.hypervisor", missing_dissect;
    every_example_of_fs_explorer_fires_its_entry_alone: "fs-explorer", missing_fs_explorer;
    every_example_of_vbox_img_fires_its_entry_alone: "vbox-img", missing_vbox_img;
    every_example_of_bximage_fires_its_entry_alone: "bximage", missing_bximage;
    every_example_of_nbdkit_fires_its_entry_alone: "nbdkit", missing_nbdkit;
    every_example_of_qcow2_core_fires_its_entry_alone: "qcow2-core", not(feature = "qcow2-core");
    every_example_of_vdi_fires_its_entry_alone: "vdi", not(feature = "vdi");
    every_example_of_vhd_core_fires_its_entry_alone: "vhd-core", not(feature = "vhd-core");
    every_example_of_vhdx_core_fires_its_entry_alone: "vhdx-core", not(feature = "vhdx-core");
    every_example_of_vmdk_core_fires_its_entry_alone: "vmdk-core", not(feature = "vmdk-core");
}

#[test]
fn every_entry_has_an_example_or_says_why_not() {
    let catalogue = Catalogue::built_in().unwrap();
    for entry in &catalogue.entries {
        let (has, reason) = (!entry.examples.is_empty(), entry.no_example.as_deref());
        let id = &entry.id;
        match entry.is_about_exhaustion() {
            // Nothing here shows how to crash, hang or exhaust a tool.
            true => assert!(
                !has,
                "{id} is about a crash, a hang or exhaustion, and has an example"
            ),
            false => assert!(
                has != reason.is_some(),
                "{id}: an example, or the reason why not"
            ),
        }
        assert!(
            reason.is_none_or(|reason| reason.len() >= 10),
            "{id}: {reason:?}"
        );
    }
}

/// The canary: an example that is another entry's, or fires two, or none, is found.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn an_example_that_fires_another_entry_or_two_is_found() {
    let workdir = ring::scratch();
    let limit = Duration::from_secs(30);
    let liar = format!(
        "qemu-img:{}",
        ring::stand_in("wrong_virtual_size").display()
    );
    let session = ring::session(&liar, "qemu-img", limit, workdir.path());
    let mut cases = ring::cases("ops16", 7, &["info"]);
    let mut record = session.try_case(cases.next().unwrap()).unwrap();
    let text = |ids: &[&str]| {
        let head = format!(
            "tool = \"qemu-img\"\nversions = \"={}\"\n",
            record.candidate.version
        );
        let entry = |id: &&str| {
            let kind = record.kind.as_deref().unwrap();
            format!(
                "[[known]]\nid = \"{id}\"\noperation = \"info\"\nkind = \"{kind}\"\ndiffers = \"*\"\ncandidate = \"c\"\n\
                 reference = \"r\"\nright = \"both\"\nspecification = \"s\"\nwhy = \"w\"\n"
            )
        };
        head + &ids.iter().map(entry).collect::<String>()
    };
    let of = |ids: &[&str]| Catalogue::parse("known/liar.toml", &text(ids)).unwrap();
    let (alone, two) = (of(&["one"]), of(&["one", "two"]));
    record.known = Some("one".to_owned());
    assert_eq!(objection(&alone, &alone.entries[0], &record), None);
    let words = objection(&two, &two.entries[0], &record).unwrap();
    assert!(words.contains("\"one\", \"two\""), "{words}");
    let words = objection(&two, &two.entries[1], &record).unwrap();
    assert!(words.contains("known as Some(\"one\")"), "{words}");
    record.operation_index = None;
    assert!(objection(&alone, &alone.entries[0], &record).is_some());
}
