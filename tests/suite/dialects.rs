//! instar's command lines: a stand-in accepts only what instar's documentation lists, and exits with 2 otherwise. Every command line that
//! the generations produce must pass it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::time::Duration;

use imgduel::image::format::Format;
use imgduel::image::options::CreateOptions;
use imgduel::tool::request::{ImageFile, Request, SnapshotKey};
use imgduel::tool::{Reproducer, Support};

/// Cases of every operation alone, with the source images of the earlier and of the later generations.
const CASES: usize = 2;
const LATER_CASES: usize = 3;

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn every_command_line_for_instar_is_documented_by_instar() {
    let workdir = ring::scratch();
    let candidate = format!("instar:{}", ring::stand_in("instar").display());
    let session = ring::session(
        &candidate,
        "qemu-img",
        Duration::from_secs(30),
        workdir.path(),
    );
    for operation in imgduel::case::generation::Generation::usual().operations() {
        let mut matches = 0;
        let early = ring::cases("ops16", 3, &[operation]).take(CASES);
        let late = ring::cases("ops16d", 3, &[operation]).take(LATER_CASES);
        for case in early.chain(late) {
            let record = session.try_case(case).unwrap();
            assert!(
                ["match", "unsupported"].contains(&record.verdict.as_str()),
                "{record:#?}"
            );
            matches += usize::from(record.verdict == "match");
        }
        assert!(matches > 0, "{operation} never got through");
    }
}

/// Returns the reproducer of a request without its program.
fn line(request: &Request) -> Option<String> {
    let instar = ring::open(&format!("instar:{}", ring::stand_in("instar").display()));
    assert_eq!(instar.support(request), Support::Yes, "{request:?}");
    match instar.reproducer(request)? {
        Reproducer::CommandLine(words) => Some(words[1..].join(" ")),
        _ => None,
    }
}

#[test]
fn a_conversion_passes_options_and_snapshots_by_flags() {
    let source = ImageFile::new("a", Format::Qcow2);
    let to = |format, options: &[&str]| {
        ImageFile::new("b", format).with_options(CreateOptions::parse(options).unwrap())
    };
    let convert = |target, compress| Request::Convert {
        source: source.clone(),
        target,
        compress,
        mode: Default::default(),
    };
    let of_snapshot = Request::ConvertSnapshot {
        source: source.clone(),
        target: to(Format::Raw, &[]),
        compress: false,
        snapshot: SnapshotKey::Name("snap with spaces".to_owned()),
    };
    let rows = [
        (
            convert(
                to(Format::Qcow2, &["cluster_size=512", "extended_l2=on"]),
                true,
            ),
            "convert -O qcow2 --compress --cluster-size 512 --extended-l2 a.qcow2 b.qcow2",
        ),
        (
            convert(to(Format::Vmdk, &["subformat=streamOptimized"]), false),
            "convert -O vmdk --compress a.qcow2 b.vmdk",
        ),
        (
            convert(to(Format::Vmdk, &["subformat=monolithicFlat"]), false),
            "convert -O vmdk --subformat monolithicFlat a.qcow2 b.vmdk",
        ),
        (
            convert(to(Format::Vhdx, &["block_size=16M"]), false),
            "convert -O vhdx --block-size 16777216 a.qcow2 b.vhdx",
        ),
        (
            of_snapshot,
            "convert -O raw --snapshot snap with spaces a.qcow2 b.raw",
        ),
    ];
    for (request, wanted) in rows {
        assert_eq!(line(&request).as_deref(), Some(wanted));
    }
}

#[test]
fn a_parent_in_another_folder_is_named_to_commit() {
    let commit = |backing: &str| Request::Commit {
        keeps: false,
        file: ImageFile::new("a", Format::Qcow2)
            .with_options(CreateOptions::parse(&[format!("backing_file={backing}")]).unwrap()),
        base: None,
    };
    assert_eq!(
        line(&commit("base.qcow2")).as_deref(),
        Some("commit a.qcow2")
    );
    let elsewhere = line(&commit("below/base.qcow2"));
    assert_eq!(
        elsewhere.as_deref(),
        Some("commit -b below/base.qcow2 a.qcow2")
    );
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn an_exit_of_63_is_no_refusal_to_be_held_against_a_tool_and_a_dead_guest_is_a_crash() {
    let workdir = ring::scratch();
    for (stand_in, wanted) in [
        ("instar_knows_no_format", "unsupported"),
        ("instar_dies_in_its_guest", "divergence"),
    ] {
        let candidate = format!("instar:{}", ring::stand_in(stand_in).display());
        let limit = Duration::from_secs(30);
        let session = ring::session(&candidate, "qemu-img", limit, workdir.path());
        let cases = ring::cases("ops16", 3, &["check"]);
        let case = cases
            .into_iter()
            .find(|case| case.image.format == Format::Qcow2);
        let record = session.try_case(case.unwrap()).unwrap();
        assert_eq!(record.verdict, wanted, "{record:#?}");
        let is_crash = record.kind.as_deref() == Some("candidate_crash");
        assert_eq!(is_crash, wanted == "divergence", "{record:#?}");
    }
}
