//! Guided against unguided on the same number of cases: distinct behaviours, and rare lies that were told.
//!
//! Nothing is run: behaviours and lies are those that follow from the steps of a case. So it can be made on thousands of cases; what only a
//! run shows (complaints, shapes of maps) guides nothing here.

use std::collections::BTreeSet;

use imgduel::campaign::Supply;
use imgduel::campaign::guide::Guide;
use imgduel::case::Case;
use imgduel::generation::Generation;
use imgduel::record::{FORMAT_VERSION, Record};

use crate::catalogue::LIES;
use crate::foresight::foreseen;
use crate::ring;

const SEEDS: [u64; 3] = [1, 2, 3];
const CASES: [u64; 2] = [250, 1000];

/// A match that showed this.
fn record(case: &Case, behaviours: &BTreeSet<u32>) -> Record {
    let tool = serde_json::json!({"name": "qemu-img", "version": "0"});
    let record = serde_json::json!({
        "format_version": FORMAT_VERSION, "id": case.id().to_string(), "generation": case.generation, "seed": case.seed,
        "iteration": case.iteration, "iter_seed": case.iter_seed, "verdict": "match", "candidate": tool, "reference": tool,
        "operations": [], "duration_ms": 0.0, "tool_calls": 0, "tool_cpu_ms": 0.0, "behaviours": behaviours,
    });
    serde_json::from_value(record).unwrap()
}

/// Distinct behaviours, rare lies told, and in how many cases any of them was.
fn campaign(seed: u64, cases: u64, is_guided: bool) -> (usize, usize, usize) {
    let honest = ring::open("qemu-img");
    let generation = Generation::named("native1").unwrap();
    let mut supply: Box<dyn Supply> = match is_guided {
        true => Box::new(Guide::new(generation, seed, 0, None, cases).unwrap()),
        false => {
            let drawn = generation.cases(seed, 0, None).unwrap();
            Box::new(drawn.take(cases as usize).map(Ok))
        }
    };
    let (mut seen, mut told, mut times) = (BTreeSet::new(), BTreeSet::new(), 0);
    while let Some(case) = supply.next() {
        let case = case.unwrap();
        let (behaviours, lies) = foreseen(&case, &*honest);
        supply.learn(&case, &record(&case, &behaviours));
        seen.extend(behaviours);
        let is_rare = |name: &&str| LIES.iter().any(|lie| lie.name == *name && lie.is_rare);
        let rare: Vec<&str> = lies.into_iter().filter(is_rare).collect();
        times += usize::from(!rare.is_empty());
        told.extend(rare);
    }
    (seen.len(), told.len(), times)
}

/// Prints the table.
pub fn compare() {
    println!("seed | cases | | behaviours | rare lies told | cases with one");
    for seed in SEEDS {
        for cases in CASES {
            for is_guided in [false, true] {
                let (behaviours, told, times) = campaign(seed, cases, is_guided);
                let mode = if is_guided { "guided" } else { "unguided" };
                println!("{seed} | {cases} | {mode} | {behaviours} | {told} | {times}");
            }
        }
    }
}
