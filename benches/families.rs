//! What the families of cases cost in this build, beside another build.
//!
//! `IMGDUEL_BASELINE=PATH cargo bench --bench families`, with the path of another `imgduel`; without it, this build's figures only. Both try
//! the same cases in turn, so that whatever else the machine does falls on both; figures are medians over the rounds, of the tools and of
//! imgduel together. `IMGDUEL_BENCH_ROUNDS` (3), `IMGDUEL_BENCH_ITERATIONS` (100), `IMGDUEL_BENCH_SEED` (1) and `IMGDUEL_BENCH_FAMILIES`
//! (names with commas) change the terms. A family that the other build does not have is left out there.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures, and fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The families: a generation and the candidates of its cases.
const FAMILIES: [(&str, &str); 8] = [
    ("ops7", "qemu-img"),
    ("ops16", "qemu-img"),
    ("native1", "qemu-img"),
    ("native3", "qemu-img"),
    ("native1_imago", "imago"),
    ("native1_readers", "all"),
    ("malformed1", "qemu-img"),
    ("malformed1_readers", "all"),
];

/// Ticks a second in `/proc/self/stat` (proc(5), `sysconf(_SC_CLK_TCK)` on Linux).
const TICKS: f64 = 100.0;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// CPU seconds of the tools.
    tool_cpu: f64,
    /// CPU seconds of the program itself.
    own_cpu: f64,
    calls: f64,
    /// Page faults and bytes of the program and what it waited for.
    faults: f64,
    read: f64,
    written: f64,
}

/// One figure of a run.
type Of = fn(&Figures) -> f64;

/// The names and units of the figures, by case.
const COLUMNS: [(&str, Of); 6] = [
    ("tool CPU ms", |figures| figures.tool_cpu * 1000.0),
    ("own CPU ms", |figures| figures.own_cpu * 1000.0),
    ("calls", |figures| figures.calls),
    ("page faults", |figures| figures.faults),
    ("KiB read", |figures| figures.read / 1024.0),
    ("KiB written", |figures| figures.written / 1024.0),
];

fn number(name: &str, usual: u64) -> u64 {
    let told = std::env::var(name).ok();
    told.and_then(|told| told.parse().ok()).unwrap_or(usual)
}

/// Returns the page faults of all children that were waited for, and the bytes read and written by them and this process.
fn usage() -> [f64; 3] {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let io = fs::read_to_string("/proc/self/io").unwrap();
    let of = |name: &str| {
        let line = io.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse::<f64>().unwrap()
    };
    // The field cminflt is the eleventh, the eighth after the state.
    [fields[8].parse().unwrap(), of("rchar:"), of("wchar:")]
}

/// Returns the CPU seconds of all children that were waited for.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(13) + ticks(14)) / TICKS
}

/// Tries the cases; `None` if the program has no such generation or tool.
fn run(
    program: &Path,
    (generation, candidate): (&str, &str),
    seed: u64,
    iterations: u64,
) -> Option<Figures> {
    let (before, spent) = (usage(), cpu());
    let output = Command::new(program)
        .args([
            "fuzz",
            "--generation",
            generation,
            "--candidate",
            candidate,
            "--no-shrink",
        ])
        .args([
            "--seed",
            &seed.to_string(),
            "--iterations",
            &iterations.to_string(),
        ])
        .output()
        .unwrap();
    let (after, spent) = (usage(), cpu() - spent);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    // As in "200 of 200 cases in 33.6 s (6.0/s), 4898 tool calls, 28.6 s tool CPU, 2.1 s own CPU".
    let line = text.lines().find(|line| line.contains(" tool calls, "))?;
    let word_before = |unit: &str| {
        let (before, _) = line.split_once(unit)?;
        before.rsplit(' ').next()?.parse::<f64>().ok()
    };
    let cases = line.split(' ').next()?.parse::<f64>().ok()?;
    let tool_cpu = word_before(" s tool CPU")?;
    let [faults, read, written] = [0, 1, 2].map(|index| (after[index] - before[index]) / cases);
    Some(Figures {
        tool_cpu: tool_cpu / cases,
        own_cpu: (spent - tool_cpu).max(word_before(" s own CPU")?) / cases,
        calls: word_before(" tool calls")? / cases,
        faults,
        read,
        written,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let (rounds, iterations) = (
        number("IMGDUEL_BENCH_ROUNDS", 3),
        number("IMGDUEL_BENCH_ITERATIONS", 100),
    );
    let seed = number("IMGDUEL_BENCH_SEED", 1);
    let chosen = std::env::var("IMGDUEL_BENCH_FAMILIES").ok();
    let is_chosen = |name: &str| {
        chosen
            .as_ref()
            .is_none_or(|chosen| chosen.split(',').any(|one| one == name))
    };
    let own = PathBuf::from(env!("CARGO_BIN_EXE_imgduel"));
    let other = std::env::var_os("IMGDUEL_BASELINE").map(PathBuf::from);
    let builds: Vec<&Path> = [Some(&own), other.as_ref()]
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
        .collect();
    println!(
        "{rounds} rounds of {iterations} cases from seed {seed}; per case: this build, the other build, and how many times more the other needs"
    );
    for family in FAMILIES.into_iter().filter(|(name, _)| is_chosen(name)) {
        let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); builds.len()];
        for round in 0..rounds {
            for (build, figures) in builds.iter().zip(&mut figures) {
                figures.extend(run(build, family, seed + round, iterations));
            }
        }
        let (generation, candidate) = family;
        println!("\n{generation} with {candidate}");
        let columns = COLUMNS.iter().map(|(name, of)| (*name, *of));
        let all: (&str, Of) = ("all CPU ms", |figures| {
            (figures.tool_cpu + figures.own_cpu) * 1000.0
        });
        for (name, of) in columns.chain([all]) {
            let medians: Vec<Option<f64>> = figures
                .iter()
                .map(|runs| (!runs.is_empty()).then(|| median(runs.iter().map(of).collect())))
                .collect();
            let shown = medians
                .iter()
                .map(|value| value.map_or("-".to_owned(), |value| format!("{value:.1}")));
            let ratio = match medians[..] {
                [Some(own), Some(other)] if own > 0.0 => format!("{:.2}", other / own),
                _ => String::new(),
            };
            println!(
                "{name:>12} | {} | {ratio}",
                shown.collect::<Vec<_>>().join(" | ")
            );
        }
    }
}
