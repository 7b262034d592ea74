//! Compares guided and unguided campaigns, and generations: the same number of cases of the same seeds, qemu-img against itself. Prints the coverage, the CPU
//! time of the tools, and the case that finds each rare lie.
//!
//! A case that triggers a rare lie runs once more against the stand-in with this lie: the lie counts as found if that run diverges and blames
//! the candidate. Up to that case, a campaign against the stand-in would have been the same. `IMGDUEL_CASES` sets the number of cases of
//! each campaign.

use std::collections::{BTreeMap, BTreeSet};

use imgduel::campaign::CaseSource;
use imgduel::campaign::guide::Guide;
use imgduel::case::generation::{Generation, Selection};
use imgduel::run::session::Session;

use crate::catalogue::LIES;
use crate::foresight::foreseen;
use crate::hunt::{LIMIT, Liars, is_caught};
use crate::ring;

const SEEDS: [u64; 3] = [1, 2, 3];
const CASES: u64 = 500;
/// The maximum number of cases that run against a stand-in to find its lie.
const TRIES_MAX: usize = 10;

/// The result of a campaign.
#[derive(Default)]
struct Outcome {
    behaviours: BTreeSet<u32>,
    /// After each case: the tools' CPU time in seconds, and the number of coverage items seen.
    chain_state: Vec<(f64, usize)>,
    /// For each rare lie: the number of the case that found it, from 1, and the tools' CPU time until then.
    found: BTreeMap<&'static str, (usize, f64)>,
}

impl Outcome {
    fn cpu_seconds(&self) -> f64 {
        self.chain_state.last().map_or(0.0, |(seconds, _)| *seconds)
    }

    /// Returns the number of coverage items and of rare lies found within this CPU time.
    fn within(&self, seconds: f64) -> (usize, usize) {
        let reached = self
            .chain_state
            .iter()
            .take_while(|(cpu, _)| *cpu <= seconds);
        let found = self.found.values().filter(|(_, cpu)| *cpu <= seconds);
        (reached.last().map_or(0, |(_, seen)| *seen), found.count())
    }
}

/// The stand-ins, each opened on first use.
struct TestSession {
    liars: Liars,
    sessions: BTreeMap<&'static str, Session>,
}

impl TestSession {
    fn session(&mut self, lie: &'static str) -> &Session {
        let liars = &self.liars;
        self.sessions
            .entry(lie)
            .or_insert_with(|| liars.session(lie))
    }
}

fn campaign(stage: &mut TestSession, seed: u64, cases: u64, is_guided: bool) -> Outcome {
    let honest = ring::open("qemu-img");
    let workdir = ring::scratch();
    let session = ring::session("qemu-img", "qemu-img", LIMIT, workdir.path());
    let generation = Generation::named("native1").unwrap();
    let mut supply: Box<dyn CaseSource> = match is_guided {
        true => Box::new(Guide::new(generation, seed, 0, &Selection::ALL, cases).unwrap()),
        false => {
            let drawn = generation.cases(seed, 0, &Selection::ALL).unwrap();
            Box::new(drawn.take(cases as usize).map(Ok))
        }
    };
    let mut outcome = Outcome::default();
    let mut tries: BTreeMap<&str, usize> = BTreeMap::new();
    while let Some(case) = supply.next() {
        let case = case.unwrap();
        let record = session.try_case(case.clone()).unwrap();
        supply.learn(&case, &record);
        outcome.behaviours.extend(&record.behaviours);
        let cpu = outcome.cpu_seconds() + record.tool_cpu_ms / 1000.0;
        outcome.chain_state.push((cpu, outcome.behaviours.len()));
        let number = outcome.chain_state.len();
        for lie in foreseen(&case, &*honest).1 {
            let is_rare = LIES.iter().any(|known| known.name == lie && known.is_rare);
            let tried = tries.entry(lie).or_default();
            if !is_rare || outcome.found.contains_key(lie) || *tried == TRIES_MAX {
                continue;
            }
            *tried += 1;
            if is_caught(&stage.session(lie).try_case(case.clone()).unwrap()) {
                outcome.found.insert(lie, (number, cpu));
            }
        }
    }
    outcome
}

/// Runs the campaigns and prints the tables.
pub fn compare() {
    let given = std::env::var("IMGDUEL_CASES").ok();
    let cases = given.and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let liars = Liars::new();
    let mut stage = TestSession {
        liars,
        sessions: BTreeMap::new(),
    };
    let mut outcomes = Vec::new();
    println!("seed | | cases | behaviours | tool CPU, s | rare lies found");
    for seed in SEEDS {
        let pair = [false, true].map(|is_guided| {
            let outcome = campaign(&mut stage, seed, cases, is_guided);
            let mode = if is_guided { "guided" } else { "unguided" };
            println!(
                "{seed} | {mode} | {cases} | {} | {:.1} | {}",
                outcome.behaviours.len(),
                outcome.cpu_seconds(),
                outcome.found.len()
            );
            outcome
        });
        outcomes.push(pair);
    }
    println!(
        "seed | in as much tool CPU, s | unguided: behaviours, lies | guided: behaviours, lies"
    );
    for (seed, pair) in SEEDS.iter().zip(&outcomes) {
        let least = pair.each_ref().map(Outcome::cpu_seconds);
        let least = least[0].min(least[1]);
        let [unguided, guided] = pair.each_ref().map(|outcome| outcome.within(least));
        println!("{seed} | {least:.1} | {unguided:?} | {guided:?}");
    }
    println!("rare lie | found in case, of each seed: unguided / guided");
    for lie in LIES.iter().filter(|lie| lie.is_rare) {
        let told = |outcome: &Outcome| match outcome.found.get(lie.name) {
            Some((number, _)) => number.to_string(),
            None => "-".to_owned(),
        };
        let of_seeds = outcomes.iter();
        let row =
            of_seeds.map(|[unguided, guided]| format!("{} / {}", told(unguided), told(guided)));
        println!("{} | {}", lie.name, row.collect::<Vec<_>>().join(" | "));
    }
}

/// The generations whose lies' CPU time is compared, the older one first.
const GENERATIONS: [&str; 2] = ["native1", "native3"];

/// Runs campaigns of both generations, guided and unguided, and prints for each lie the tools' CPU time until a case tells it, as a ratio. No
/// stand-in runs: the other lies of this file are found by the first or second case that tells them. `IMGDUEL_CASES` cases each, with
/// `IMGDUEL_SEEDS` seeds.
pub fn generations() {
    let number = |name: &str, usual: u64| {
        let given = std::env::var(name).ok();
        given.and_then(|text| text.parse().ok()).unwrap_or(usual)
    };
    let (cases, seeds) = (number("IMGDUEL_CASES", 200), number("IMGDUEL_SEEDS", 3));
    let mut until: BTreeMap<(&str, bool, &str), Vec<f64>> = BTreeMap::new();
    for (seed, is_guided) in (1..=seeds).flat_map(|seed| [(seed, false), (seed, true)]) {
        for name in GENERATIONS {
            let (told, spent) = told(name, seed, cases, is_guided);
            println!(
                "{name}, seed {seed}, guided {is_guided}: {} of {} lies, {spent:.1} s",
                told.len(),
                LIES.len()
            );
            for lie in LIES {
                // Never told: it takes longer than the whole campaign.
                let cpu = told.get(lie.name).copied().unwrap_or(spent);
                until
                    .entry((name, is_guided, lie.name))
                    .or_default()
                    .push(cpu);
            }
        }
    }
    let mean = |name, is_guided, lie: &'static str| {
        let all = &until[&(name, is_guided, lie)];
        all.iter().sum::<f64>() / all.len() as f64
    };
    for is_guided in [false, true] {
        let [old, new] = GENERATIONS.map(|name| {
            let mut means: Vec<f64> = LIES
                .iter()
                .map(|lie| mean(name, is_guided, lie.name))
                .collect();
            means.sort_unstable_by(f64::total_cmp);
            (means[means.len() / 2], means.iter().sum::<f64>())
        });
        println!(
            "guided {is_guided}: median {:.2} s and {:.2} s, sum {:.0} s and {:.0} s",
            old.0, new.0, old.1, new.1
        );
        let mut ratios: Vec<(f64, &str)> = LIES
            .iter()
            .map(|lie| {
                (
                    mean("native3", is_guided, lie.name) / mean("native1", is_guided, lie.name),
                    lie.name,
                )
            })
            .collect();
        ratios.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        println!(
            "median ratio {:.2}; {ratios:.2?}",
            ratios[ratios.len() / 2].0
        );
    }
}

/// Returns the CPU time until each lie is told, and of the whole campaign, in seconds.
fn told(name: &str, seed: u64, cases: u64, is_guided: bool) -> (BTreeMap<&'static str, f64>, f64) {
    let honest = ring::open("qemu-img");
    let workdir = ring::scratch();
    let session = ring::session("qemu-img", "qemu-img", LIMIT, workdir.path());
    let generation = Generation::named(name).unwrap();
    let mut supply: Box<dyn CaseSource> = match is_guided {
        true => Box::new(Guide::new(generation, seed, 0, &Selection::ALL, cases).unwrap()),
        false => {
            let drawn = generation.cases(seed, 0, &Selection::ALL).unwrap();
            Box::new(drawn.take(cases as usize).map(Ok))
        }
    };
    let (mut told, mut cpu) = (BTreeMap::new(), 0.0);
    while let Some(case) = supply.next() {
        let case = case.unwrap();
        let record = session.try_case(case.clone()).unwrap();
        supply.learn(&case, &record);
        cpu += record.tool_cpu_ms / 1000.0;
        let is_compared = |name: &&str| LIES.iter().any(|lie| lie.name == *name);
        for lie in foreseen(&case, &*honest).1.into_iter().filter(is_compared) {
            told.entry(lie).or_insert(cpu);
        }
    }
    (told, cpu)
}
