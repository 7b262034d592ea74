//! Findings: shrinking, storage with the complete case, and acceptance.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use imgduel::case::Case;
use imgduel::case::known::{Catalogue, Range, Said, Sighting};
use imgduel::case::shrink::{Limits, Progress, shrink};
use imgduel::oracle::verdict::{Difference, Subject, SubjectKind};
use imgduel::report::seed_file::SeedFile;
use serde_json::Value;

use crate::ring;

const LIMIT: Duration = Duration::from_secs(30);

fn stand_in(name: &str) -> String {
    format!("qemu-img:{}", ring::stand_in(name).display())
}

fn imgduel(directory: &Path, lie: &str, arguments: &[&str]) -> Command {
    let mut command = ring::imgduel();
    command
        .args(arguments)
        .arg("--candidate")
        .arg(stand_in(lie))
        .arg("--workdir")
        .arg(directory)
        .arg("--findings")
        .arg(directory.join("findings"));
    command
}

fn run(directory: &Path, lie: &str, arguments: &[&str]) -> Output {
    imgduel(directory, lie, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the files in the directory of findings, sorted by name.
fn findings(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("findings"))
        .into_iter()
        .flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_finding = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    let mut paths: Vec<PathBuf> = paths.filter(is_finding).collect();
    paths.sort();
    paths
}

#[test]
fn a_seed_with_a_complete_case_needs_no_generator() {
    let path = ring::package().join("tests/golden/frozen-seed.json");
    let case = SeedFile::read(&path).unwrap().case().unwrap();
    let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(serde_json::to_value(&case).unwrap(), written["case"]);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_frozen_seed_replays_to_its_recorded_verdict() {
    let path = ring::package().join("tests/golden/frozen-seed.json");
    let seed = SeedFile::read(&path).unwrap();
    let (case, seen) = (seed.case().unwrap(), seed.seen.unwrap());
    let workdir = tempfile::tempdir().unwrap();
    let lying = ring::session(
        &stand_in("resize_loses_data"),
        "qemu-img",
        LIMIT,
        workdir.path(),
    );
    let record = lying.try_case(case.clone()).unwrap();
    assert_eq!(record.id, "gone1_s1_i000007");
    assert_eq!(
        (record.verdict.as_str(), record.kind.as_ref()),
        ("divergence", Some(&seen.kind))
    );
    assert_eq!(record.reason.as_ref(), Some(&seen.reason));
    assert_eq!(record.group().unwrap(), seen.group());
    let honest = ring::session("qemu-img", "qemu-img", LIMIT, workdir.path());
    assert_eq!(honest.try_case(case).unwrap().verdict, "match");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_campaign_stores_one_shrunk_case_per_group_and_prints_how_to_rerun_it() {
    let directory = tempfile::tempdir().unwrap();
    let summary = directory.path().join("summary.json");
    let arguments = [
        "fuzz",
        "--verbose",
        "--generation",
        "ops16",
        "--seed",
        "7",
        "--ops",
        "resize",
        "--iterations",
        "4",
        "--summary",
        summary.to_str().unwrap(),
    ];
    let output = run(directory.path(), "resizes_short", &arguments);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let summary: Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
    let groups = summary["groups"].as_array().unwrap();
    let counts: u64 = groups
        .iter()
        .map(|group| group["count"].as_u64().unwrap())
        .sum();
    assert_eq!(Some(counts), summary["divergences_found"].as_u64());
    for field in ["signature", "kind", "operation", "first_id"] {
        assert!(groups[0][field].is_string(), "{groups:?}");
    }
    assert_eq!(
        said.matches("\n  again: imgduel replay ops16_").count(),
        groups.len(),
        "{said}"
    );

    let kept = findings(directory.path());
    assert_eq!(kept.len(), groups.len(), "{kept:?}");
    let seed = SeedFile::read(&kept[0]).unwrap();
    let bulk = seed.case().unwrap().case_size();
    assert_eq!((bulk.operations, bulk.options), (1, 0));
    let again = format!("again: imgduel replay {} --candidate", kept[0].display());
    assert!(said.contains(&again), "{said}");
    let replayed = run(
        directory.path(),
        "resizes_short",
        &["replay", kept[0].to_str().unwrap()],
    );
    assert!(text(&replayed.stdout).contains(&seed.seen.unwrap().reason));

    let second = run(directory.path(), "resizes_short", &arguments);
    assert!(text(&second.stdout).contains("pending since before"));
    assert_eq!(findings(directory.path()), kept);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn without_shrinking_a_finding_is_stored_as_drawn() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = [
        "fuzz",
        "--generation",
        "ops16",
        "--seed",
        "7",
        "--iterations",
        "3",
        "--no-shrink",
    ];
    run(
        directory.path(),
        "finds_a_leak",
        &[&arguments[..], &["--ops", "check"]].concat(),
    );
    let kept = findings(directory.path());
    let case = SeedFile::read(&kept[0]).unwrap().case().unwrap();
    assert!(case.ops.len() > 1, "{case:?}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn interrupted_and_resumed_shrinking_ends_like_an_uninterrupted_run() {
    let whole = tempfile::tempdir().unwrap();
    let case = diverging_map();
    let arguments = ["shrink", &case, "--ops", "map"];
    let whole_output = run(whole.path(), "map_forgets_an_extent", &arguments);
    assert!(
        whole_output.status.success(),
        "{}",
        text(&whole_output.stderr)
    );

    let directory = tempfile::tempdir().unwrap();
    let child = imgduel(directory.path(), "map_forgets_an_extent", &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = || {
        let entries = fs::read_dir(directory.path().join("findings"));
        let mut paths = entries
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path());
        paths.any(|path| path.extension().is_some_and(|ending| ending == "progress"))
    };
    for _ in 0..500 {
        if begun() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    ring::signal(child.id(), "INT");
    let interrupted = child.wait_with_output().unwrap();
    assert_eq!(interrupted.status.code(), Some(130));
    assert!(begun(), "nothing is kept to go on from");

    let resumed = run(directory.path(), "map_forgets_an_extent", &arguments);
    assert_eq!(text(&resumed.stdout), text(&whole_output.stdout));
    let attempts = |output: &Output| text(&output.stderr).lines().next().unwrap().to_owned();
    assert_eq!(attempts(&resumed), attempts(&whole_output));
    assert!(!begun(), "the progress is left behind");
}

/// Returns the id of a map case that detects the stand-in that forgets an extent.
fn diverging_map() -> String {
    let workdir = tempfile::tempdir().unwrap();
    let lying = ring::session(
        &stand_in("map_forgets_an_extent"),
        "qemu-img",
        LIMIT,
        workdir.path(),
    );
    let found = ring::first_that_differs(&lying, ring::cases("ops16", 7, &["map"]), 50);
    found.unwrap().id
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_matching_case_cannot_be_shrunk_and_has_no_script() {
    let directory = tempfile::tempdir().unwrap();
    for command in ["shrink", "script"] {
        let output = run(
            directory.path(),
            "wrong_exit",
            &[command, "ops16_s7_i1", "--ops", "info"],
        );
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        // Notices of every run: the stand-in script is not forked, a witness is not installed.
        let of_the_run =
            |line: &&str| line.ends_with("it is a script") || line.contains("no cross-check by");
        let of_the_case = said.lines().filter(|line| !of_the_run(line));
        assert!(
            said.contains("shows no divergence") && of_the_case.count() == 1,
            "{said}"
        );
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_finding_does_not_shrink_into_one_with_another_error_message() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["fuzz", "--generation", "ops16", "--seed", "7"];
    let arguments = [&arguments[..], &["--ops", "resize", "--iterations", "12"]].concat();
    let output = run(
        directory.path(),
        "refuses_small_resizes_otherwise",
        &arguments,
    );
    let kept = findings(directory.path());
    let seeds = kept.iter().map(|path| SeedFile::read(path).unwrap());
    let large: Vec<SeedFile> = seeds
        .filter(|seed| seed.seen.as_ref().unwrap().reason.contains("table is full"))
        .collect();
    let said = text(&output.stdout);
    assert!(!large.is_empty(), "{said}");
    for seed in large {
        let case = serde_json::to_value(seed.case().unwrap()).unwrap();
        // The smallest size with the same error message.
        assert_eq!(case["ops"][0]["start"], "16M", "{said}");
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn findings_of_two_groups_do_not_shrink_into_one_group() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = [
        "fuzz",
        "--generation",
        "ops16",
        "--seed",
        "7",
        "--ops",
        "convert",
    ];
    let arguments = [&arguments[..], &["--iterations", "5"]].concat();
    run(directory.path(), "flips_a_byte", &arguments);
    let kept = findings(directory.path());
    let targets: Vec<Value> = kept
        .iter()
        .map(|path| SeedFile::read(path).unwrap().case().unwrap())
        .map(|case| serde_json::to_value(&case.ops[0]).unwrap()["target"].clone())
        .collect();
    assert_eq!(targets.len(), 2, "{kept:?}");
    assert_ne!(targets[0], targets[1]);
}

fn accept(arguments: &[&str]) -> Output {
    let mut command = ring::imgduel();
    command.arg("accept").args(arguments).output().unwrap()
}

/// Creates a pending finding, and a seed directory with one seed.
fn pending() -> (tempfile::TempDir, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let (file, seeds) = (
        directory.path().join("finding.json"),
        directory.path().join("seeds"),
    );
    fs::copy(ring::package().join("tests/golden/frozen-seed.json"), &file).unwrap();
    fs::create_dir(&seeds).unwrap();
    let package = ring::package().join("fuzz-seeds");
    let name = "clusters_of_two_mebibytes.json";
    fs::copy(package.join(name), seeds.join(name)).unwrap();
    let [file, seeds] = [file, seeds].map(|path| path.to_str().unwrap().to_owned());
    (directory, file, seeds)
}

#[test]
fn a_finding_is_accepted_under_a_name_that_is_not_a_substring_of_another() {
    let (_directory, file, seeds) = pending();
    for (stem, words) in [
        ("two-words", "is not a valid name for a seed"),
        ("Shrink", "is not a valid name for a seed"),
        ("clusters", "part of each other"),
        ("clusters_of_two_mebibytes", "already"),
    ] {
        let output = accept(&[&file, "--as", stem, "--seeds", &seeds]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains(words),
            "{}",
            text(&output.stderr)
        );
        assert!(Path::new(&file).exists());
    }
    let case = SeedFile::read(Path::new(&file)).unwrap().case().unwrap();
    let output = accept(&[
        &file,
        "--as",
        "shrink_loses_the_start",
        "--why",
        "issue 7",
        "--seeds",
        &seeds,
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!Path::new(&file).exists());
    let seed = SeedFile::read(&Path::new(&seeds).join("shrink_loses_the_start.json")).unwrap();
    assert_eq!((seed.why.as_str(), seed.case().unwrap()), ("issue 7", case));
}

#[test]
fn accepting_a_finding_adds_an_entry_that_matches_only_this_finding() {
    let (directory, file, seeds) = pending();
    let path = directory.path().join("known");
    let own = path.to_str().unwrap();
    let seed = SeedFile::read(Path::new(&file)).unwrap();
    let (case, seen) = (seed.case().unwrap(), seed.seen.unwrap());
    let built_in = Catalogue::built_in().unwrap();
    let first = &built_in.entries[0].id;
    let taken = accept(&[
        &file,
        "--known",
        first,
        "--right",
        "reference",
        "--why",
        "w",
        "--catalogue",
        own,
    ]);
    assert!(text(&taken.stderr).contains("already"));
    let arguments = [
        &file,
        "--known",
        "qemu-img-shrink-start",
        "--right",
        "reference",
        "--why",
        "a lie",
        "--seeds",
        &seeds,
        "--catalogue",
        own,
    ];
    // This record comes from a version that did not record the differing location.
    let output = accept(&arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("in which step and file"));
    assert!(Path::new(&file).exists());
    let output = accept(&[&arguments[..], &["--wide"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let after = Catalogue::read(&path.join("qemu-img.toml")).unwrap();
    let [entry] = &after.entries[..] else {
        panic!("{after:?}");
    };
    assert!(entry.examples.is_empty() && entry.no_example.is_some());
    assert_eq!(entry.when.operation, ["resize"]);
    assert_eq!(entry.when.kind, ["resize_content_divergence"]);
    assert!(entry.when.differences.is_empty());
    assert_eq!(entry.when.subjects, [SubjectKind::Contents]);
    assert_eq!(entry.when.parameters["target"], "qcow2");
    let known = |kind: &str, place: &str, value: &str| {
        let what = format!("contents of 2-resize.qcow2: byte at guest offset {place}");
        let seen = Sighting {
            case: &case,
            index: 2,
            kind,
            blame: seen.blame,
            differences: &[Difference::new(Subject::parse(&what), value, "0x1a")],
            at: &[],
        };
        let tool = ("qemu-img", "10.0.2");
        matches!(after.says(tool, tool, &seen), Some(Said::Known(_)))
    };
    assert_eq!(seen.differences.len(), 1);
    assert!(known("resize_content_divergence", "0", "0x00"));
    assert!(known("resize_content_divergence", "65536", "0x00"));
    assert!(!known("resize_info_divergence", "0", "0x00"));
    assert!(!known("resize_content_divergence", "0", "0x1b"));
    assert!(!Path::new(&file).exists());
}

/// Returns the stored finding of this kind.
fn finding_of(directory: &Path, kind: &str) -> String {
    let mut kept = findings(directory).into_iter();
    let found = kept.find(|path| {
        let seen = SeedFile::read(path).unwrap().seen.unwrap();
        seen.kind == kind
    });
    found.unwrap().to_str().unwrap().to_owned()
}

/// Accepting one wrong byte must not cover a tool that returns zeros: the entry is made from the case as drawn and the observed
/// difference.
#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn an_accepted_entry_applies_at_once_and_hides_no_other_defect() {
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        "fuzz",
        "--generation",
        "ops16",
        "--seed",
        "7",
        "--ops",
        "convert",
        "--iterations",
        "5",
        "--no-shrink",
        "--allow-vacuous",
    ];
    let first = run(directory.path(), "flips_a_byte", &cases);
    assert_eq!(first.status.code(), Some(1), "{}", text(&first.stderr));
    let file = finding_of(directory.path(), "convert_content_divergence");
    let catalogue = directory.path().join("own");
    let own = catalogue.to_str().unwrap();
    let arguments = [
        &file,
        "--known",
        "a-flipped-byte",
        "--right",
        "reference",
        "--why",
        "a lie",
        "--catalogue",
        own,
    ];
    let output = accept(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let words = text(&output.stdout);
    assert!(
        words.contains("effective from now on") && words.contains("of its own group"),
        "{words}"
    );
    assert!(!Path::new(&file).exists());
    let entry = Catalogue::read(&catalogue).unwrap().entries.remove(0);
    assert!(
        !entry.when.at.is_empty() && !entry.when.shows.is_empty(),
        "{entry:?}"
    );
    assert!(entry.versions[0].ends(), "{entry:?}");
    let known = |lie: &str| -> Value {
        let summary = directory.path().join("summary.json");
        let summary = summary.to_str().unwrap();
        let flags = ["--summary", summary, "--catalogue", own];
        run(directory.path(), lie, &[&cases[..], &flags].concat());
        serde_json::from_slice(&fs::read(summary).unwrap()).unwrap()
    };
    let same = known("flips_a_byte");
    assert!(
        same["by_known"]["a-flipped-byte"].as_u64() > Some(0),
        "{same:#}"
    );
    let other = known("converts_to_zeros");
    assert!(
        other["by_known"].get("a-flipped-byte").is_none(),
        "{other:#}"
    );
    assert!(other["divergences_found"].as_u64() > Some(0), "{other:#}");
}

/// An entry for another version of the tool does not match: the finding fails, is listed separately from new ones, and one command extends
/// the entry.
#[test]
fn an_entry_is_extended_to_another_version_with_one_command() {
    let directory = tempfile::tempdir().unwrap();
    let catalogue = directory.path().join("own");
    let own = catalogue.to_str().unwrap();
    let built_in = Catalogue::built_in().unwrap();
    let entry = &built_in.entries[0];
    let extend = |ids: &str, version: &str| accept(&["--extend", ids, version, "--catalogue", own]);
    let output = extend(&entry.id, "999.1");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let extended = Catalogue::open(Some(&catalogue)).unwrap();
    let longer = &extended.entries[0];
    assert_eq!(longer.id, entry.id);
    assert_eq!(
        longer.versions,
        [&entry.versions[..], &[Range::only("999.1")]].concat()
    );
    for (ids, version, words) in [
        (entry.id.as_str(), "999.1", "already"),
        ("no-such-entry", "1", "there is no entry no-such-entry"),
        (&entry.id, ">=2, <1", "no range of versions"),
        (",", "1", "name an entry"),
    ] {
        let output = extend(ids, version);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains(words),
            "{}",
            text(&output.stderr)
        );
    }
    let output = accept(&[]);
    assert_eq!(output.status.code(), Some(2));
}

/// Stand-ins with one defect, and the operation that reveals it.
const LIES: [(&str, &str); 14] = [
    ("wrong_virtual_size", "info"),
    ("flips_a_byte", "convert"),
    ("compresses_into_garbage", "convert_compressed"),
    ("resize_loses_data", "resize"),
    ("create_has_other_refcounts", "create"),
    ("map_forgets_an_extent", "map"),
    ("measures_without_bitmaps", "measure"),
    ("dd_shifts", "dd"),
    ("bitmap_leaks", "bitmap"),
    ("bitmap_does_not_disable", "bitmap"),
    ("amend_does_nothing", "amend"),
    ("bench_writes_nothing", "bench"),
    ("commit_does_nothing", "commit"),
    ("rebase_is_always_unsafe", "rebase"),
];

/// Runs the command with a finding and without `--candidate`.
fn told_by(finding: &Path, arguments: &[&str]) -> Output {
    let mut command = ring::imgduel();
    command.args(arguments).arg(finding);
    command.env_remove("IMGDUEL_CANDIDATE").output().unwrap()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_finding_is_tried_with_the_tool_that_it_was_found_with() {
    let directory = tempfile::tempdir().unwrap();
    let campaign = "fuzz --generation ops16 --seed 7 --ops info --iterations 2 --no-shrink";
    let words: Vec<&str> = campaign.split(' ').collect();
    run(directory.path(), "wrong_virtual_size", &words);
    let found = findings(directory.path());
    let seen = SeedFile::read(&found[0]).unwrap().seen.unwrap();
    for arguments in [&["report"][..], &["script"], &["replay"]] {
        let told = text(&told_by(&found[0], arguments).stdout);
        assert!(told.contains(&seen.kind), "{arguments:?}: {told}");
        assert!(told.contains("wrong_virtual_size"), "{arguments:?}: {told}");
        if arguments != ["replay"] {
            let name = |side: &str| format!("{} ({side})", seen.candidate);
            let both = ["candidate", "reference"].map(name);
            assert!(both.iter().all(|name| told.contains(name)), "{told}");
        }
    }
    // Another tool is tried only where it is named, and a name that stands for no tool is not passed over.
    let mut other: Value = serde_json::from_slice(&fs::read(&found[0]).unwrap()).unwrap();
    other["seen"]["spec"] = "somebodys-images".into();
    let path = directory.path().join("other.json");
    fs::write(&path, other.to_string()).unwrap();
    let refused = told_by(&path, &["report"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(
        said.contains("somebodys-images") && said.contains("--candidate"),
        "{said}"
    );
    let both = told_by(&path, &["replay", found[0].to_str().unwrap()]);
    assert!(text(&both.stderr).contains("all are tried with imago"));
}

#[test]
#[ignore = "takes a minute: shrinks fourteen defects, twice each"]
fn defects_shrink_deterministically_to_one_operation_and_at_most_two_options() {
    let limits = Limits {
        attempts: 400,
        time: Duration::from_secs(60),
    };
    let mut figures = Vec::new();
    for (lie, operation) in LIES {
        let workdir = tempfile::tempdir().unwrap();
        let lying = ring::session(&stand_in(lie), "qemu-img", LIMIT, workdir.path());
        let others = ["info", "convert", "create", operation, operation];
        let mut cases = ring::cases("ops16", 7, &others).take(300);
        let (case, symptom) = cases
            .find_map(|case| {
                let symptoms = lying.try_case(case.clone()).unwrap().symptoms(false);
                let found = symptoms
                    .into_iter()
                    .find(|symptom| symptom.operation == operation)?;
                Some((case, found))
            })
            .unwrap();
        let shrunk = || {
            let mut progress = Progress::new(case.clone(), symptom.clone());
            let shown = |case: &Case| Ok(lying.try_case(case.clone())?.symptoms(false));
            shrink(&mut progress, limits, shown, |_| Ok(())).unwrap();
            progress
        };
        let (once, twice) = (shrunk(), shrunk());
        assert_eq!(once, twice, "{lie}");
        assert!(once.finished, "{lie}");
        let (before, after) = (case.case_size(), once.case.case_size());
        eprintln!(
            "{lie} {}: {before:?} -> {after:?} in {} attempts",
            symptom.kind, once.attempts
        );
        figures.push((after.operations, after.options, once.attempts));
    }
    let median = |of: fn(&(usize, usize, usize)) -> usize| {
        let mut values: Vec<usize> = figures.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    eprintln!("median attempts: {}", median(|figure| figure.2));
    assert_eq!(median(|figure| figure.0), 1);
    assert!(median(|figure| figure.1) <= 2);
}
