//! Tests that every subject is parsed as it is written, and that no two are written alike.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use super::*;
use crate::tool::request::SnapshotAction;

#[test]
fn every_subject_is_read_back_from_its_text() {
    let mut texts = BTreeSet::new();
    for subject in samples() {
        let text = subject.to_string();
        assert_eq!(Subject::parse(&text), subject, "{text}");
        assert!(texts.insert(text));
        let json = serde_json::to_string(&subject).unwrap();
        assert_eq!(serde_json::from_str::<Subject>(&json).unwrap(), subject);
    }
    assert_eq!(texts.len() + 1, SubjectKind::ALL.len());
}

#[test]
fn every_request_and_every_place_is_read_back() {
    let places = [
        ContentPlace::Size,
        ContentPlace::Byte(0),
        ContentPlace::Byte(u64::MAX),
        ContentPlace::Block {
            bytes: 4096,
            offset: 1 << 40,
        },
    ];
    let file = || "0-chain-c1.qcow2".to_owned();
    let of_contents = places.map(|place| Subject::Contents {
        file: file(),
        place,
    });
    let of_exits = RequestKind::ALL
        .iter()
        .map(|request| Subject::Exit { request: *request });
    let inspections = RequestKind::ALL
        .iter()
        .map(|request| Subject::ExitOfReading {
            file: file(),
            request: *request,
        });
    let after = || SnapshotStep::Snapshot {
        action: SnapshotAction::Create,
        argument: "a: name, in words".to_owned(),
    };
    let clusters = [
        HostPlace::ClusterSize,
        HostPlace::Cluster {
            index: 1,
            offset: 0xf,
        },
    ];
    let host = clusters.map(|place| Subject::HostClusters {
        region: HostRegion::Tail,
        after: after(),
        place,
    });
    let other = Subject::SnapshotTable {
        after: SnapshotStep::Other(RequestKind::Write),
    };
    let all = of_contents
        .into_iter()
        .chain(of_exits)
        .chain(inspections)
        .chain(host)
        .chain([other]);
    for subject in all {
        assert_eq!(Subject::parse(&subject.to_string()), subject, "{subject}");
    }
}

#[test]
fn every_kind_of_subject_has_a_name_of_its_own_by_which_it_is_found() {
    let names: BTreeSet<&str> = SubjectKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), SubjectKind::ALL.len());
    for kind in SubjectKind::ALL {
        assert_eq!(SubjectKind::named(kind.name()), Some(*kind));
    }
    assert_eq!(SubjectKind::named("no_such_subject"), None);
}

#[test]
fn a_text_of_another_version_is_kept_as_it_is() {
    for text in [
        "exit of levitation",
        "the colour of 0-convert.raw",
        "exit of",
    ] {
        let subject = Subject::parse(text);
        assert_eq!(subject.kind(), SubjectKind::Other, "{text}");
        assert_eq!(subject.to_string(), text);
    }
}

#[test]
fn the_texts_are_those_that_records_have_always_held() {
    let file = || "0-chain-0.qcow2".to_owned();
    let texts = [
        (
            Subject::IntermediateContents {
                file: file(),
                place: ContentPlace::Byte(7),
            },
            "contents of 0-chain-0.qcow2, read midway: byte at guest offset 7",
        ),
        (
            Subject::ContentsOnBothSides {
                file: file(),
                place: ContentPlace::Size,
            },
            "contents of 0-chain-0.qcow2, on both sides,: guest-visible size",
        ),
        (
            Subject::Reading {
                owner: Side::Reference,
                file: file(),
                place: ContentPlace::Block {
                    bytes: 4096,
                    offset: 8192,
                },
            },
            "the reference's 0-chain-0.qcow2, as the candidate reads it: 4096 bytes at guest offset 8192",
        ),
        (
            Subject::RefusalReason {
                request: RequestKind::Snapshot,
                candidate: RefusalClass::NotThere,
                reference: RefusalClass::NoSpace,
            },
            "why snapshot is refused (NotThere or NoSpace)",
        ),
        (
            Subject::HostClusters {
                region: HostRegion::Prefix,
                after: SnapshotStep::Snapshot {
                    action: SnapshotAction::Create,
                    argument: "alpha".to_owned(),
                },
                place: HostPlace::Cluster {
                    index: 3,
                    offset: 0x30000,
                },
            },
            "prefix_mismatch after snapshot -c alpha: host cluster 3 at file offset 0x30000",
        ),
        (
            Subject::CheckAfterRepair {
                tier: RepairTier::Leaks,
                corruption: FieldMutation::StaleCopied,
                exit: "exit 2: no (really)".to_owned(),
            },
            "check after leaks of stale_copied (exit 2: no (really))",
        ),
    ];
    for (subject, text) in texts {
        assert_eq!(subject.to_string(), text);
        assert_eq!(Subject::parse(text), subject);
    }
}
