//! The cache of the reference's answers: hits and misses, damaged entries, and changed versions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(not(missing_qemu_img))]

use crate::ring;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use imgduel::case::generation::{Generation, Selection};
use imgduel::case::{Case, CaseId};
use imgduel::image::format::Format;
use imgduel::run::record::Record;
use imgduel::tool::cache::{Counts, Store};

const LIMIT: Duration = Duration::from_secs(30);

fn case() -> Case {
    ring::cases("ops16", 5, &["convert", "create", "check"])
        .next()
        .unwrap()
}

/// Runs one case of imago against the qemu-img at the path `reference`, with a cache.
fn try_with(reference: &str, store: &Path) -> (Record, Counts) {
    try_case_with(case(), reference, store)
}

fn try_case_with(case: Case, reference: &str, store: &Path) -> (Record, Counts) {
    let scratch = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(store));
    let session =
        ring::session("imago", reference, LIMIT, scratch.path()).with_cache(Arc::clone(&store));
    let record = session.try_case(case).unwrap();
    (record, store.counts())
}

fn verdicts(record: &Record) -> Vec<String> {
    let operations = record.operations.iter();
    operations
        .map(|operation| {
            format!(
                "{} {} {:?}",
                operation.op, operation.verdict, operation.kind
            )
        })
        .collect()
}

fn entries(store: &Path) -> Vec<PathBuf> {
    fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn cached_answers_are_reused_and_the_verdict_is_the_same() {
    let store = tempfile::tempdir().unwrap();
    let (first, counts) = try_with("qemu-img", store.path());
    assert_eq!((counts.found, counts.dropped), (0, 0));
    assert!(counts.not_found > 0);
    let (second, again) = try_with("qemu-img", store.path());
    assert_eq!((again.not_found, again.dropped), (0, 0));
    assert_eq!(again.found, counts.not_found);
    assert_eq!(verdicts(&first), verdicts(&second));
    assert_eq!(first.verdict, "match");
    assert!(second.tool_calls < first.tool_calls);
}

/// Without fixed random numbers, imago lays out these images differently in each process.
#[test]
fn an_embedded_library_writes_the_same_image_in_each_run() {
    let id: CaseId = "ops7_s1_i000199".parse().unwrap();
    let store = tempfile::tempdir().unwrap();
    let not_found = [(); 3].map(|()| {
        let case = Generation::case(&id, &Selection::ALL).unwrap();
        let (record, counts) = try_case_with(case, "qemu-img", store.path());
        assert_eq!(record.verdict, "match");
        counts.not_found
    });
    assert!(
        not_found[0] > 0 && not_found[1..] == [0, 0],
        "{not_found:?}"
    );
}

#[test]
fn a_damaged_entry_is_detected_and_removed() {
    let store = tempfile::tempdir().unwrap();
    let (first, counts) = try_with("qemu-img", store.path());
    // Flip one bit in each entry.
    for (index, path) in entries(store.path()).into_iter().enumerate() {
        let mut bytes = fs::read(&path).unwrap();
        let place = index * 7919 % bytes.len();
        bytes[place] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let (second, again) = try_with("qemu-img", store.path());
    assert_eq!((again.found, again.dropped), (0, counts.not_found));
    assert_eq!(verdicts(&first), verdicts(&second));
    let (_, mended) = try_with("qemu-img", store.path());
    assert_eq!((mended.found, mended.dropped), (counts.not_found, 0));
}

#[test]
fn entries_of_another_version_are_not_used() {
    let store = tempfile::tempdir().unwrap();
    try_with("qemu-img", store.path());
    // Another program that prints the same version.
    let other = tempfile::tempdir().unwrap();
    let program = other.path().join("qemu-img");
    fs::copy(which::which("qemu-img").unwrap(), &program).unwrap();
    let reference = format!("qemu-img:{}", program.display());
    let (_, counts) = try_with(&reference, store.path());
    assert_eq!(counts.found, 0, "{counts:?}");
}

#[test]
fn an_answer_after_the_time_limit_is_not_cached() {
    let store = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let reference = format!("qemu-img:{}", ring::stand_in("hangs").display());
    let limit = Duration::from_millis(300);
    let answers = Arc::new(Store::open(store.path()));
    let session = ring::session("imago", &reference, limit, scratch.path()).with_cache(answers);
    let mut cases = ring::cases("ops16", 5, &["info"]);
    let case = cases.find(|case| case.image.format == Format::Qcow2);
    let case = case.unwrap();
    let record = session.try_case(case).unwrap();
    assert_eq!(record.verdict, "inconclusive");
    let kept = entries(store.path());
    assert!(!kept.is_empty());
    for path in kept {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        assert!(!text.contains("\"info\""), "{text}");
    }
}
