//! How fast cases are tried, beside the peer: a plain Python loop over the same seeds, one process at a time.
//!
//! `cargo bench --bench throughput`, with the peer's path in `IMGDUEL_PEER` (it is no part of this repository; without it, only our
//! own figures are printed). The contestants take turns, so that whatever else the machine does falls on all of them; figures
//! are medians over the rounds. `IMGDUEL_BENCH_ROUNDS` (3), `IMGDUEL_BENCH_ITERATIONS` (60), `IMGDUEL_BENCH_SEED` (59095591) and
//! `IMGDUEL_BENCH_JOBS` (the number of processors) change the terms.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures, and fails by panicking"
)]

use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use imgduel::base::phase::{PHASES, totals};
use imgduel::campaign::candidate_set::CandidateSet;
use imgduel::campaign::settings::Settings;
use imgduel::campaign::{self, Pace};
use imgduel::case::generation::Selection;
use imgduel::oracle::verdict::VerdictName;
use imgduel::run::record::Summary;
use imgduel::tool::ToolEnv;

/// What one run of one contestant came to.
#[derive(Clone, Debug)]
struct Figures {
    cases: f64,
    wall: f64,
    calls: f64,
    tool_cpu: f64,
    own_cpu: f64,
    /// Operations that were made.
    operations: f64,
    /// Seconds by phase.
    phases: Vec<f64>,
}

/// The settings, as on a command line.
#[derive(Parser)]
struct Terms {
    #[command(flatten)]
    settings: Settings,
}

const CONTESTANTS: [(&str, &[&str]); 3] = [
    (
        "qemu-img on both sides, spawned",
        &["--candidate", "qemu-img", "--exec-mode", "spawn"],
    ),
    (
        "qemu-img on both sides, forked",
        &["--candidate", "qemu-img", "--exec-mode", "fork"],
    ),
    (
        "imago against qemu-img, forked",
        &["--candidate", "imago", "--exec-mode", "fork"],
    ),
];

fn number(name: &str, usual: u64) -> u64 {
    let told = std::env::var(name).ok();
    told.and_then(|told| told.parse().ok()).unwrap_or(usual)
}

fn main() {
    let rounds = number("IMGDUEL_BENCH_ROUNDS", 3);
    let iterations = number("IMGDUEL_BENCH_ITERATIONS", 60);
    let seed = number("IMGDUEL_BENCH_SEED", 59095591);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = number("IMGDUEL_BENCH_JOBS", processors as u64);
    let peer = std::env::var_os("IMGDUEL_PEER");
    println!(
        "ops7, seed {seed}, {iterations} cases, {rounds} rounds, {jobs} at a time on {processors} processors"
    );
    if peer.is_none() {
        println!(
            "no peer: its path belongs into IMGDUEL_PEER; our own figures only, without ratios"
        );
    }
    let mut peers = Vec::new();
    let mut ours: Vec<Vec<Figures>> = vec![Vec::new(); CONTESTANTS.len()];
    for _ in 0..rounds {
        peers.extend(peer.as_ref().map(|peer| run_peer(peer, seed, iterations)));
        for (index, (_, flags)) in CONTESTANTS.iter().enumerate() {
            ours[index].push(run(flags, seed, iterations, jobs));
        }
    }
    println!(
        "\n{:<33}{:>9}{:>12}{:>14}{:>13}{:>11}{:>14}",
        "", "cases/s", "calls/case", "tool CPU/case", "own CPU/case", "own/tool", "wall/(tool/n)"
    );
    let peer = (!peers.is_empty()).then(|| line("the peer", &peers, 1.0));
    for ((name, _), figures) in CONTESTANTS.iter().zip(&ours) {
        line(name, figures, jobs as f64);
    }
    if let Some(peer_rate) = peer {
        println!();
        // The peer makes every operation of a case; what a candidate cannot do is not made here.
        let all = median(&ours[0], |figures| figures.operations / figures.cases);
        for ((name, _), figures) in CONTESTANTS.iter().zip(&ours) {
            let cases = median(figures, |figures| figures.cases / figures.wall) / peer_rate;
            let made = median(figures, |figures| figures.operations / figures.cases);
            println!(
                "{name}: {cases:.1} times the peer's cases/s, with {:.0} % of their operations",
                100.0 * made / all
            );
        }
    }
    for ((name, _), figures) in CONTESTANTS.iter().zip(&ours) {
        println!("\nwhere the time of a case goes, {name}:");
        let total = median(figures, |figures| figures.phases.iter().sum());
        for (index, (_, phase)) in PHASES.iter().enumerate() {
            let seconds = median(figures, |figures| figures.phases[index]);
            let share = 100.0 * seconds / total;
            println!(
                "  {phase:<16}{:>9.2} ms {share:>5.1} %",
                1e3 * seconds / iterations as f64
            );
        }
    }
}

/// Prints the medians of a contestant; its cases a second.
fn line(name: &str, figures: &[Figures], jobs: f64) -> f64 {
    let rate = median(figures, |figures| figures.cases / figures.wall);
    println!(
        "{name:<33}{rate:>9.2}{:>12.1}{:>11.1} ms{:>10.1} ms{:>9.1} %{:>14.2}",
        median(figures, |figures| figures.calls / figures.cases),
        median(figures, |figures| 1e3 * figures.tool_cpu / figures.cases),
        median(figures, |figures| 1e3 * figures.own_cpu / figures.cases),
        median(figures, |figures| 100.0 * figures.own_cpu
            / figures.tool_cpu),
        median(figures, |figures| figures.wall / (figures.tool_cpu / jobs)),
    );
    rate
}

fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One run of ours, in this process; only the worker of imago is the command.
fn run(flags: &[&str], seed: u64, iterations: u64, jobs: u64) -> Figures {
    let words = ["throughput", "--generation", "ops7"].iter().chain(flags);
    let mut words: Vec<String> = words.map(|word| (*word).to_owned()).collect();
    words.extend(["--jobs".to_owned(), jobs.to_string()]);
    let Terms { settings } = Terms::parse_from(words);
    let tool_env = ToolEnv {
        worker_program: env!("CARGO_BIN_EXE_imgduel").into(),
        ..ToolEnv::of_this_program(settings.timeout, settings.launcher()).unwrap()
    };
    let contest = Arc::new(CandidateSet::open(&settings, &tool_env).unwrap());
    let cases = settings
        .generation()
        .unwrap()
        .cases(seed, 0, &Selection::ALL)
        .unwrap();
    let cases = cases.take(iterations as usize).map(Ok);
    let pace = Pace {
        jobs: jobs as usize,
        fail_fast: false,
        until: None,
    };
    let summary = Summary::new(None, Some(seed), iterations);
    let mut operations = 0;
    let before = totals();
    let ended = campaign::run(&contest, cases, pace, summary, |record| {
        let made = |verdict: &VerdictName| *verdict != VerdictName::Unsupported;
        let verdicts = record.operations.iter().map(|operation| operation.verdict);
        operations += verdicts.filter(made).count();
        Ok(())
    });
    assert!(ended.cut_short.is_none(), "{:?}", ended.cut_short);
    let spent = totals()
        .into_iter()
        .zip(before)
        .map(|(after, before)| after - before);
    let summary = ended.summary;
    Figures {
        cases: iterations as f64,
        wall: summary.elapsed_seconds,
        calls: summary.tool_calls as f64,
        tool_cpu: summary.tool_cpu_seconds,
        own_cpu: summary.harness_cpu_seconds,
        operations: operations as f64,
        phases: spent.map(|spent: Duration| spent.as_secs_f64()).collect(),
    }
}

/// The peer prints one line of JSON.
fn run_peer(peer: &OsString, seed: u64, iterations: u64) -> Figures {
    // Where ours is, too.
    let scratch = tempfile::tempdir_in(imgduel::run::scratch_dir::Place::usual(1).path).unwrap();
    let output = Command::new("python3")
        .arg(peer)
        .args([seed.to_string(), iterations.to_string()])
        .arg(scratch.path())
        .output()
        .unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "the peer: {error}: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    let figure = |name: &str| said[name].as_f64().unwrap();
    Figures {
        cases: figure("iterations"),
        wall: figure("wall_s"),
        calls: figure("tool_calls"),
        tool_cpu: figure("tool_cpu_s"),
        own_cpu: figure("own_cpu_s"),
        operations: 0.0,
        phases: Vec::new(),
    }
}
