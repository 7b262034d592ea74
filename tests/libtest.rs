//! The test target is compatible with libtest: it has the same flags, lists and events as a plain libtest binary with the same trials.
//!
//! This target has its own harness. With an environment variable set, it is a test target with the trials of `tests/plain/shape.rs`.
//! Otherwise it runs the comparisons, which start it in that mode.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::Parser;
use imgduel::frontend::libtest::{self, Flags, Outcome, Trial};

/// With this variable, the program is a test target with the trials of `tests/plain/shape.rs`.
const SHAPE: &str = "IMGDUEL_TEST_SHAPE";

/// The variable with the path of a file for which the trial `a_passes` waits.
const GATE: &str = "IMGDUEL_TEST_GATE";

#[derive(Parser)]
#[command(args_override_self = true)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    let Arguments { flags } = Arguments::parse();
    let trials = match std::env::var_os(SHAPE) {
        Some(_) => shape(),
        None => comparisons(),
    };
    let conclusion = libtest::run(&flags, trials, 0, None, false).unwrap();
    // The file exists only if a comparison compiled it.
    let _ = std::fs::remove_file(plain_program());
    match conclusion.failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(101),
    }
}

fn trial(
    name: &str,
    ignored: Option<&str>,
    run: impl FnOnce() -> Outcome + Send + 'static,
) -> Trial {
    Trial {
        name: name.to_owned(),
        ignored: ignored.map(str::to_owned),
        source: None,
        run: Box::new(run),
    }
}

fn shape() -> Vec<Trial> {
    let passes = || Outcome::Passed;
    vec![
        trial("a_passes", None, || {
            let gate = std::env::var_os(GATE).map(PathBuf::from);
            let opened = gate.is_none_or(|gate| wait_for(|| gate.exists()));
            match opened {
                true => Outcome::Passed,
                false => Outcome::Failed("nobody saw that it was started".to_owned()),
            }
        }),
        trial("b_fails", None, || Outcome::Failed("told".to_owned())),
        trial("c_is_ignored", Some("the \"reason\""), passes),
        trial("d_is_ignored_without_a_reason", Some(""), passes),
        trial("inner::e_passes", None, passes),
        trial("inner::f_passes", None, passes),
    ]
}

fn wait_for(condition: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

macro_rules! comparisons {
    ($($name:ident)*) => {
        fn comparisons() -> Vec<Trial> {
            vec![$(trial(stringify!($name), None, || {
                $name();
                Outcome::Passed
            })),*]
        }
    };
}

comparisons! {
    the_event_stream_equals_that_of_a_plain_libtest_binary
    lists_equal_those_of_a_plain_libtest_binary
    flags_that_test_runners_pass_are_accepted
    a_trial_is_announced_before_it_runs
    totals_add_up_in_the_human_readable_format
    an_unknown_flag_is_an_error
    a_shuffled_run_prints_its_seed_and_can_be_repeated
}

fn ours() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(SHAPE, "1");
    command
}

/// Returns the plain libtest binary, which is compiled once.
fn plain() -> Command {
    static PLAIN: OnceLock<PathBuf> = OnceLock::new();
    let program = PLAIN.get_or_init(|| {
        let program = plain_program();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plain/shape.rs");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let compiled = Command::new(rustc)
            .args(["--test", "--edition", "2024", "-o"])
            .arg(&program)
            .arg(source)
            .output()
            .unwrap();
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        program
    });
    let mut command = Command::new(program);
    command
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUST_BACKTRACE", "0");
    command
}

fn plain_program() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("plain-{}", std::process::id()))
}

fn said(mut command: Command, arguments: &str) -> (String, Option<i32>) {
    let output: Output = command.args(arguments.split_whitespace()).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    (stdout, output.status.code())
}

/// Removes from the event stream what differs between runs: times and failure messages.
fn without_chance(stream: &str) -> Vec<String> {
    let lines = stream.lines().map(|line| {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "no JSON: {line}"
        );
        let line = emptied(line, "\"exec_time\": ", [',', ' ']);
        emptied(&line, "\"stdout\": \"", ['"', '"'])
    });
    lines.collect()
}

/// Replaces the value after `key`, up to the first of `ends` that is not escaped, by `…`.
fn emptied(line: &str, key: &str, ends: [char; 2]) -> String {
    let Some((head, rest)) = line.split_once(key) else {
        return line.to_owned();
    };
    let mut escaped = false;
    let end = rest.find(|letter| {
        let is_end = !escaped && ends.contains(&letter);
        escaped = letter == '\\' && !escaped;
        is_end
    });
    format!("{head}{key}…{}", &rest[end.unwrap()..])
}

fn the_event_stream_equals_that_of_a_plain_libtest_binary() {
    let stream = "-Z unstable-options --format json --test-threads 1";
    for more in [
        "",
        "--report-time",
        "a_passes",
        "inner a_passes",
        "--exact inner::e_passes",
        "--exact inner",
        "--skip b_ --skip inner",
        "--ignored",
        "--include-ignored",
        "--bench",
        "--shuffle-seed 5 b_fails",
        "nothing_is_called_this",
    ] {
        let (own, own_code) = said(ours(), &format!("{stream} {more}"));
        let (libtests, libtests_code) = said(plain(), &format!("{stream} {more}"));
        assert_eq!(without_chance(&own), without_chance(&libtests), "{more}");
        assert_eq!(own_code, libtests_code, "{more}");
    }
}

fn lists_equal_those_of_a_plain_libtest_binary() {
    for arguments in [
        "--list",
        "--list --format terse",
        "--list --format terse --ignored",
        "--list --quiet inner",
        "--list --exact a_passes",
        "--list nothing_is_called_this",
    ] {
        assert_eq!(
            said(ours(), arguments),
            said(plain(), arguments),
            "{arguments}"
        );
    }
    // The source locations differ; only the order of keys is compared.
    let keys = |list: &str| -> Vec<Vec<String>> {
        let keys = |line: &str| {
            let words = line.split('"').map(str::to_owned).enumerate();
            let words = words.filter(|(place, _)| place % 2 == 1);
            let words = words.map(|(_, word)| word);
            words.filter(|word| !word.contains("rs")).collect()
        };
        list.lines().map(keys).collect()
    };
    let arguments = "-Z unstable-options --list --format json a_passes";
    let (own, libtests) = (said(ours(), arguments).0, said(plain(), arguments).0);
    let without_path = |list: &str| emptied_source(list);
    assert_eq!(keys(&without_path(&own)), keys(&without_path(&libtests)));
}

fn emptied_source(list: &str) -> String {
    let lines = list
        .lines()
        .map(|line| emptied(line, "\"source_path\": \"", ['"', '"']));
    lines.collect::<Vec<_>>().join("\n")
}

fn flags_that_test_runners_pass_are_accepted() {
    for arguments in [
        // rust-analyzer's test explorer and its code lens
        "a_passes -Z unstable-options --format=json --nocapture",
        "inner::e_passes --exact --nocapture --include-ignored",
        // intellij-rust
        "inner -Z unstable-options --format=json --show-output",
        // VS Code's rust-test-adapter
        "--list",
        "a_passes -- --exact",
        // rust-analyzer.vs
        "--list --format json -Z unstable-options",
        // nextest
        "--list --format terse",
        "--list --format terse --ignored",
        "--exact a_passes --nocapture",
        "--exact c_is_ignored --nocapture --ignored",
        // people and scripts
        "a_passes inner --test-threads=2 --color=always -q",
        "a_passes --no-capture --report-time --ensure-time -Zunstable-options",
        "a_passes --shuffle --format=pretty --color never",
        "a_passes --nocapture --nocapture --format terse --format pretty",
        "a_passes --test --force-run-in-process --exclude-should-panic",
        "a_passes --format junit -Z unstable-options",
    ] {
        let arguments = arguments.replace(" -- ", " ");
        let (stdout, code) = said(ours(), &arguments);
        assert_eq!(code, Some(0), "{arguments}: {stdout}");
    }
    let output = ours()
        .arg("a_passes")
        .env("RUST_TEST_THREADS", "many")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let output = ours()
        .arg("inner")
        .env("RUST_TEST_THREADS", "1")
        .output()
        .unwrap();
    assert!(output.status.success());
}

/// The trial waits until the comparison has read its start event.
fn a_trial_is_announced_before_it_runs() {
    for threads in ["1", "2"] {
        let directory = tempfile::tempdir().unwrap();
        let gate = directory.path().join("gate");
        let mut child = ours()
            .args(["--format", "json", "--test-threads", threads, "a_passes"])
            .env(GATE, &gate)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut events = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let event: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            if event["type"] == "test" {
                events.push(event["event"].as_str().unwrap().to_owned());
                std::fs::write(&gate, "").unwrap();
            }
        }
        assert!(child.wait().unwrap().success());
        assert_eq!(events, ["started", "ok"]);
    }
}

fn totals_add_up_in_the_human_readable_format() {
    let (stdout, code) = said(ours(), "a_passes c_is inner::e --test-threads 1");
    let total = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out;";
    assert!(stdout.contains(total), "{stdout}");
    assert!(
        stdout.contains("ignored (the \"reason\")"),
        "the reason is shown: {stdout}"
    );
    assert_eq!(code, Some(0));
    let (stdout, code) = said(ours(), "--skip inner");
    assert!(
        stdout.contains("1 passed; 1 failed; 2 ignored; 0 measured; 2 filtered out;"),
        "{stdout}"
    );
    assert_eq!(code, Some(101));
}

fn an_unknown_flag_is_an_error() {
    let output = ours().arg("--no-such-flag").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}

fn a_shuffled_run_prints_its_seed_and_can_be_repeated() {
    let order = |arguments: &str| {
        let (stdout, _) = said(ours(), arguments);
        let lines = stdout.lines().filter(|line| line.contains("started"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let first = order("--format json --test-threads 1 --shuffle");
    let seed = first[0].split("\"shuffle_seed\": ").nth(1).unwrap();
    let seed = seed.trim_end_matches(" }");
    let again = order(&format!(
        "--format json --test-threads 1 --shuffle-seed {seed}"
    ));
    assert_eq!(first, again);
}
