//! Reports: JUnit, the HTML page, merged records, GitHub issues and annotations. They come from real campaigns with defective stand-ins.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use imgduel::run::record::Record;
use serde_json::Value;

use crate::ring;

/// Returns the command without the environment variables that the test run itself sets.
fn imgduel(arguments: &[&str]) -> Command {
    let mut command = ring::imgduel();
    command.args(arguments).current_dir(ring::package());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Returns record files, one per campaign, with divergences of several groups, timeouts, matches and unsupported cases.
fn campaigns(directory: &Path) -> Vec<PathBuf> {
    let runs = [
        ("qemu-img:tests/stand_ins/flips_a_byte", "qemu-img", 6),
        ("qemu-img:tests/stand_ins/wrong_virtual_size", "qemu-img", 4),
        ("qemu-img:tests/stand_ins/crashes", "qemu-img", 4),
        ("imago", "qemu-img:tests/stand_ins/hangs", 3),
        ("imago", "qemu-img", 8),
    ];
    let files = runs
        .iter()
        .enumerate()
        .map(|(place, (candidate, reference, count))| {
            let file = directory.join(format!("{place}.jsonl"));
            // The hanging stand-in uses the whole limit each time; the others never reach theirs.
            let limit = if reference.contains("hangs") {
                "0.3"
            } else {
                "30"
            };
            let ids: Vec<String> = (0..*count)
                .map(|iteration| format!("ops7_s3_i{iteration}"))
                .collect();
            // This replays cases, because a campaign starts with a canary, for which the reference must not hang.
            let mut command = imgduel(&["replay"]);
            let output = command
                .args(ids)
                .args([
                    "--candidate",
                    candidate,
                    "--reference",
                    reference,
                    "--timeout",
                    limit,
                ])
                .arg("--json")
                .arg(&file)
                .output()
                .unwrap();
            assert_ne!(output.status.code(), Some(2), "{}", text(&output.stderr));
            file
        });
    files.collect()
}

fn merge(records: &[PathBuf], directory: &Path, more: &[&str]) -> Output {
    imgduel(&["merge"])
        .args(records)
        .arg("--junit")
        .arg(directory.join("junit.xml"))
        .arg("--summary")
        .arg(directory.join("summary.json"))
        .arg("--html")
        .arg(directory.join("page.html"))
        .args(more)
        .output()
        .unwrap()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
#[cfg_attr(
    missing_junit_readers,
    ignore = "junitparser and xmlschema are not here (pip install junitparser xmlschema; then touch build.rs)"
)]
fn two_junit_parsers_count_the_same_as_the_summary() {
    let directory = tempfile::tempdir().unwrap();
    let records = campaigns(directory.path());
    for strict in [false, true] {
        let more: &[&str] = if strict { &["--strict"] } else { &[] };
        let merged = merge(&records, directory.path(), more);
        assert_eq!(merged.status.code(), Some(1), "{}", text(&merged.stderr));
        let summary = json(&directory.path().join("summary.json"));
        let count = |name: &str| summary[name].as_u64().unwrap();
        let inconclusive = count("inconclusive_count");
        assert!(inconclusive > 0 && count("unsupported_count") > 0 && count("matches") > 0);

        let read = Command::new("python3")
            .arg(ring::package().join("tests/golden/read_junit.py"))
            .arg(directory.path().join("junit.xml"))
            .arg(ring::package().join("tests/golden/junit.xsd"))
            .output()
            .unwrap();
        assert!(read.status.success(), "{}", text(&read.stderr));
        let read: Value = serde_json::from_slice(&read.stdout).unwrap();
        let failing = if strict { inconclusive } else { 0 };
        let skipped =
            count("known_count") + count("inconclusive_count") + count("unsupported_count");
        let expected = serde_json::json!({
            "tests": count("iterations_completed"),
            "failures": count("divergences_found") + failing,
            "skipped": skipped - failing,
            "errors": 0,
        });
        for reader in ["schema", "told", "found"] {
            assert_eq!(read[reader], expected, "{reader}");
        }
        assert_eq!(read["reasons_are_in_both"], true);
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_page_contains_every_group_once_and_loads_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let records = campaigns(directory.path());
    merge(&records, directory.path(), &[]);
    let page = std::fs::read_to_string(directory.path().join("page.html")).unwrap();
    for fetching in [
        "<script", "<link", "<img", " src=", "url(", "@import", "<iframe",
    ] {
        assert!(!page.contains(fetching), "{fetching}");
    }
    let mut groups: BTreeMap<String, usize> = BTreeMap::new();
    for record in read(&records) {
        if let Some(group) = record.group().filter(|_| record.verdict == "divergence") {
            *groups.entry(group.signature).or_default() += 1;
        }
    }
    assert!(groups.len() >= 3, "{groups:?}");
    let told = page.matches("<details class=\"finding\"").count();
    let distinct: std::collections::BTreeSet<String> = read(&records)
        .iter()
        .filter(|record| record.verdict == "divergence")
        .filter_map(|record| Some(record.group()?.title()))
        .collect();
    assert_eq!(told, distinct.len());
}

fn read(files: &[PathBuf]) -> Vec<Record> {
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    let records = texts.flat_map(|text| {
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect::<Vec<Record>>()
    });
    records.collect()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_record_survives_its_json_form_and_reproduces_with_the_same_settings() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("records.jsonl");
    let output = imgduel(&[
        "fuzz",
        "--generation",
        "ops7",
        "--seed",
        "3",
        "--iterations",
        "1",
    ])
    .args(["--ops", "info,info", "--timeout", "7.5"])
    .args([
        "--candidate",
        "qemu-img:tests/stand_ins/wrong_virtual_size",
        "--json",
    ])
    .arg(&file)
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line = std::fs::read_to_string(&file).unwrap();
    let record: Record = serde_json::from_str(&line).unwrap();
    assert_eq!(
        format!("{}\n", serde_json::to_string(&record).unwrap()),
        line
    );
    let expected = "imgduel replay ops7_s3_i000000 --ops info,info --candidate qemu-img:tests/stand_ins/wrong_virtual_size --timeout 7.5";
    assert_eq!(record.reproduce, expected);
    assert!(text(&output.stdout).contains(expected));
    let words: Vec<&str> = expected.split(' ').skip(1).collect();
    let again = imgduel(&words).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stdout).contains(record.reason.as_deref().unwrap()));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn merging_uses_the_last_run_of_a_case_and_rejects_invalid_records() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (
        directory.path().join("1.jsonl"),
        directory.path().join("2.jsonl"),
    );
    let run = |file: &Path| {
        let arguments = [
            "fuzz",
            "--generation",
            "ops7",
            "--seed",
            "1",
            "--iterations",
            "3",
            "--json",
        ];
        imgduel(&arguments).arg(file).output().unwrap();
    };
    run(&first);
    run(&second);
    let summary = |records: &[PathBuf]| {
        let output = merge(records, directory.path(), &[]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        json(&directory.path().join("summary.json"))
    };
    let both = summary(&[first.clone(), second.clone()]);
    assert_eq!(both["iterations_completed"], 3);
    assert_eq!(
        (&both["generation"], &both["seed"]),
        (&"ops7".into(), &1.into())
    );

    // A file whose writer died in the middle of a line loses only that line.
    let whole = std::fs::read_to_string(&first).unwrap();
    std::fs::write(&second, &whole[..whole.len() - 20]).unwrap();
    assert_eq!(
        summary(std::slice::from_ref(&second))["iterations_completed"],
        2
    );

    std::fs::write(&second, "{}\n").unwrap();
    for wrong in [second, directory.path().join("missing.jsonl")] {
        let output = merge(std::slice::from_ref(&wrong), directory.path(), &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(wrong.to_str().unwrap()));
    }
}

/// Runs a campaign with a stand-in for `gh`, which keeps its issues in `store`.
fn fuzz_with_gh(store: &Path, path: &str, seed: &str) -> Output {
    fuzz_with_gh_in(store, path, seed, "imgduel")
}

fn fuzz_with_gh_in(store: &Path, path: &str, seed: &str, format: &str) -> Output {
    imgduel(&[
        "fuzz",
        "--generation",
        "ops7",
        "--seed",
        seed,
        "--iterations",
        "3",
        "--ops",
        "info",
    ])
    .args(["--candidate", "qemu-img:tests/stand_ins/wrong_virtual_size"])
    .args([
        "--create-issues",
        "--issue-format",
        format,
        "--workflow-url",
        "https://ci.example/run/7",
    ])
    .env("GH_CONFIG_DIR", store)
    .env("PATH", path)
    .output()
    .unwrap()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_group_gets_one_issue_and_its_second_finding_a_comment() {
    let store = tempfile::tempdir().unwrap();
    let path = format!(
        "{}:{}",
        ring::package().join("tests/stand_ins").display(),
        std::env::var("PATH").unwrap()
    );
    for seed in ["3", "4"] {
        let output = fuzz_with_gh(store.path(), &path, seed);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert!(
            !text(&output.stderr).contains("no issue"),
            "{}",
            text(&output.stderr)
        );
    }
    let titles: Vec<PathBuf> = std::fs::read_dir(store.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "title"))
        .collect();
    assert_eq!(titles.len(), 1, "one group, one issue");
    let title = std::fs::read_to_string(&titles[0]).unwrap();
    assert_eq!(title, "info_output_divergence in info: virtual-size");
    let body = std::fs::read_to_string(titles[0].with_extension("body")).unwrap();
    assert_eq!(body.matches("--- comment").count(), 1);
    assert_eq!(body.matches("https://ci.example/run/7").count(), 2);
    assert!(body.contains("imgduel replay ops7_s3_i00000"), "{body}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn an_issue_for_instar_names_type_seed_and_iteration_and_there_is_one_for_a_group() {
    let store = tempfile::tempdir().unwrap();
    let path = format!(
        "{}:{}",
        ring::package().join("tests/stand_ins").display(),
        std::env::var("PATH").unwrap()
    );
    for seed in ["3", "4"] {
        let output = fuzz_with_gh_in(store.path(), &path, seed, "instar");
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    }
    let read = |name: &str| std::fs::read_to_string(store.path().join(name)).unwrap();
    let title = read("1.title");
    let (kind, origin) = title.split_once(" (seed 3, iter ").unwrap();
    assert_eq!(kind, "Differential fuzz: info_output_divergence");
    let iteration: u64 = origin.strip_suffix(')').unwrap().parse().unwrap();
    assert_eq!(read("1.label"), "security-audit");
    let body = read("1.body");
    let line = format!(
        "python3 scripts/differential-fuzz.py --instar src/target/release/instar --iterations {} --seed 3 --fail-fast --ops info",
        iteration + 1
    );
    for wanted in [
        &*line,
        "**Seed:** `3`",
        "imgduel replay ops7_s3_i00000",
        "https://ci.example/run/7",
    ] {
        assert!(body.contains(wanted), "{wanted}: {body}");
    }
    assert_eq!(body.matches("--- comment").count(), 1);
    assert!(
        !store.path().join("2.title").exists(),
        "one group, one issue"
    );
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_missing_gh_is_reported_in_one_line_and_nothing_is_lost() {
    let store = tempfile::tempdir().unwrap();
    let tools = tempfile::tempdir().unwrap();
    for program in ["qemu-img", "qemu-io", "sh", "dirname", "sed"] {
        let found = which::which(program).unwrap();
        std::os::unix::fs::symlink(found, tools.path().join(program)).unwrap();
    }
    let output = fuzz_with_gh(store.path(), tools.path().to_str().unwrap(), "3");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    let about_gh: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("gh is not installed"))
        .collect();
    assert_eq!(about_gh.len(), 1, "{said}");
    assert!(text(&output.stdout).contains("info_output_divergence"));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn github_gets_annotations_and_a_job_summary() {
    let directory = tempfile::tempdir().unwrap();
    let summary = directory.path().join("summary.md");
    let output = imgduel(&[
        "fuzz",
        "--generation",
        "ops7",
        "--seed",
        "3",
        "--iterations",
        "2",
        "--ops",
        "info",
    ])
    .args(["--candidate", "qemu-img:tests/stand_ins/wrong_virtual_size"])
    .env("GITHUB_ACTIONS", "true")
    .env("GITHUB_STEP_SUMMARY", &summary)
    .output()
    .unwrap();
    let said = text(&output.stdout);
    let annotation =
        "::error title=info_output_divergence in info%3A virtual-size::virtual-size: candidate ";
    assert_eq!(said.matches(annotation).count(), 1, "{said}");
    let summary = std::fs::read_to_string(summary).unwrap();
    assert!(summary.contains("| divergence | 2 |"), "{summary}");
    assert!(
        summary.contains(
            "<details><summary>2 × info_output_divergence in info: virtual-size</summary>"
        )
    );
}

#[test]
fn there_is_one_stub_per_seed() {
    let package = ring::package();
    let seeds = imgduel::report::seed_file::list(&package.join("fuzz-seeds")).unwrap();
    let written =
        std::fs::read_to_string(package.join(imgduel::frontend::stubs::STUBS_FILE)).unwrap();
    assert_eq!(
        written,
        imgduel::frontend::stubs::source(&seeds),
        "a seed has come or gone: run `cargo run -- stubs`"
    );
}

/// Writes the records of a campaign of 50,000 cases with 1% divergences, made from two real records.
fn many_records(directory: &Path) -> PathBuf {
    let few = directory.join("few.jsonl");
    let arguments = [
        "fuzz",
        "--generation",
        "ops7",
        "--seed",
        "4",
        "--iterations",
        "8",
        "--ops",
        "info,check,check,check,measure,measure,measure",
    ];
    imgduel(&arguments)
        .args([
            "--candidate",
            "qemu-img:tests/stand_ins/wrong_virtual_size",
            "--json",
        ])
        .arg(&few)
        .output()
        .unwrap();
    let lines = std::fs::read_to_string(&few).unwrap();
    let parsed = |line: &str| serde_json::from_str::<Record>(line).unwrap();
    let of = |verdict: &str| {
        let mut lines = lines.lines();
        lines.find(|line| parsed(line).verdict == verdict).unwrap()
    };
    let (agreed, diverged) = (of("match"), of("divergence"));
    let ids = [agreed, diverged].map(|line| parsed(line).id);
    let many = directory.join("many.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&many).unwrap());
    for iteration in 0..50_000 {
        let (line, id) = match iteration % 100 {
            0 => (diverged, &ids[1]),
            _ => (agreed, &ids[0]),
        };
        let line = line.replace(id, &format!("ops7_s4_i{iteration:06}"));
        writeln!(file, "{line}").unwrap();
    }
    many
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
#[cfg_attr(
    debug_assertions,
    ignore = "takes long in debug builds: cargo test --release --test suite"
)]
fn fifty_thousand_records_stay_small_in_memory_and_on_the_page() {
    use wait4::Wait4;
    const SECONDS_MAX: f64 = 5.0;
    const PAGE_BYTES_MAX: u64 = 5_000_000;
    const MEMORY_BYTES_MAX: u64 = 100_000_000;
    let directory = tempfile::tempdir().unwrap();
    let many = many_records(directory.path());
    let merge = imgduel(&["merge"])
        .arg(&many)
        .arg("--html")
        .arg(directory.path().join("page.html"))
        .arg("--junit")
        .arg(directory.path().join("junit.xml"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let used = merge.wait4().unwrap();
    assert_eq!(used.status.code(), Some(1));
    let page = std::fs::metadata(directory.path().join("page.html"))
        .unwrap()
        .len();
    assert!(page < PAGE_BYTES_MAX, "{page} bytes");
    assert!(
        used.rusage.maxrss < MEMORY_BYTES_MAX,
        "{} bytes",
        used.rusage.maxrss
    );
    // CPU time of one thread that never waits, so that other load on the machine does not count.
    let seconds = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    assert!(seconds < SECONDS_MAX, "{seconds} s");
    let junit = std::fs::read_to_string(directory.path().join("junit.xml")).unwrap();
    assert!(junit.contains("tests=\"50000\" skipped=\"0\" failures=\"500\" errors=\"0\""));
}
