//! The hunt: cases of our own generation, one after the other, until every lie is found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use imgduel::arena::Arena;
use imgduel::campaign::Supply;
use imgduel::campaign::guide::Guide;
use imgduel::case::Case;
use imgduel::generation::Generation;
use imgduel::record::Record;
use imgduel::shrink::{Limits, Progress, shrink};
use imgduel::simpler::Bulk;

use crate::catalogue::LIES;
use crate::liar::{TOLD, WATCHER};
use crate::ring;

/// A lie must be found in as many cases.
const CASES_MAX: usize = 5000;
const SEED: u64 = 1;
const LIMIT: Duration = Duration::from_secs(30);
const SHRINKING: Limits = Limits {
    attempts: 300,
    time: Duration::from_secs(60),
};

/// The lies of `tests/stand_ins/chain`, which are programs of their own.
const COMMITTED: [&str; 15] = [
    "applies_no_snapshot",
    "commits_without_the_last_sector",
    "converts_without_the_last_sector",
    "describes_another_size",
    "discards_nothing",
    "forgets_bitmaps",
    "grows_with_rubbish",
    "leaks_when_shrinking",
    "loses_a_write_after_a_snapshot",
    "loses_the_last_write_when_resizing",
    "maps_data_as_zeros",
    "reads_backing_files_past_their_end",
    "writes_over_a_cluster_s_edge",
    "zeroes_a_byte_too_many",
    "zeroes_nothing",
];

/// Directories with links to this program, each under both tools' names.
pub struct Liars {
    directory: tempfile::TempDir,
}

impl Liars {
    /// With a directory for every lie and for the watcher.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let names = LIES.iter().map(|lie| lie.name).chain([WATCHER]);
        for name in names {
            let place = directory.path().join(name);
            std::fs::create_dir(&place).unwrap();
            for tool in ["qemu-img", "qemu-io"] {
                std::os::unix::fs::symlink(&program, place.join(tool)).unwrap();
            }
        }
        Self { directory }
    }

    fn program(&self, lie: &str) -> PathBuf {
        if COMMITTED.contains(&lie) {
            return ring::stand_in("chain").join(lie).join("qemu-img");
        }
        self.directory.path().join(lie).join("qemu-img")
    }

    /// Where this lie, or the watcher, meets qemu-img.
    pub fn arena(&self, lie: &str) -> Arena {
        let candidate = format!("qemu-img:{}", self.program(lie).display());
        ring::arena(&candidate, "qemu-img", LIMIT, self.directory.path())
    }

    /// The lies that would have been told since the last time.
    pub fn told(&self) -> Vec<&'static str> {
        let path = self.directory.path().join(WATCHER).join(TOLD);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(&path);
        let lies = LIES.iter().map(|lie| lie.name);
        lies.filter(|lie| text.lines().any(|line| line == *lie))
            .collect()
    }
}

/// What came of a lie.
struct Found {
    case: usize,
    kind: String,
    blame: &'static str,
    before: Bulk,
    after: Bulk,
    attempts: usize,
}

/// Whether a record tells on the candidate, by what it did: on a busy machine anyone may run out of time.
fn is_caught(record: &Record) -> bool {
    let is_blamed = record
        .blame
        .is_some_and(|blame| blame.name() == "candidate");
    let is_slow = record.kind.as_deref() == Some("candidate_timeout");
    record.verdict == "divergence" && is_blamed && !is_slow
}

/// Makes the case as small as it gets.
fn shrunk(arena: &Arena, case: usize, record: Record) -> Found {
    let drawn = record.case.clone().unwrap();
    let symptom = record.symptoms(false).remove(0);
    let mut progress = Progress::new(drawn.clone(), symptom);
    let shown = |case: &Case| Ok(arena.try_case(case.clone())?.symptoms(false));
    shrink(&mut progress, SHRINKING, shown, |_| Ok(())).unwrap();
    Found {
        case,
        kind: record.kind.unwrap_or_default(),
        blame: record.blame.map_or("none", |blame| blame.name()),
        before: drawn.bulk(),
        after: progress.case.bulk(),
        attempts: progress.attempts,
    }
}

/// Hunts for these lies in the cases of a seed, from iteration `start` on; each is given up once it is found, and shrunk when all are.
fn hunt(wanted: &[&'static str], start: u64, most: usize) -> BTreeMap<&'static str, Found> {
    let liars = Liars::new();
    let watcher = liars.arena(WATCHER);
    let generation = Generation::named("native1").unwrap();
    let cases = generation.cases(SEED, start, None).unwrap();
    let mut caught = BTreeMap::new();
    for (number, case) in cases.take(most).enumerate() {
        if caught.len() == wanted.len() {
            break;
        }
        let honest = watcher.try_case(case.clone()).unwrap();
        let told = liars.told();
        if number % 250 == 249 {
            println!("{} cases, {} lies found", number + 1, caught.len());
        }
        // Some cases are drawn to meet a known defect of qemu-img: there it differs from the model by itself.
        if honest.verdict != "match" {
            continue;
        }
        for lie in wanted {
            let is_told = told.contains(lie) || COMMITTED.contains(lie);
            if caught.contains_key(lie) || !is_told {
                continue;
            }
            let record = liars.arena(lie).try_case(case.clone()).unwrap();
            if is_caught(&record) {
                println!("{lie} is found in case {number}");
                caught.insert(*lie, (number, record));
            }
        }
    }
    let shrunk = caught.into_iter().map(|(lie, (number, record))| {
        let found = shrunk(&liars.arena(lie), number, record);
        row(lie, &found);
        (lie, found)
    });
    shrunk.collect()
}

fn row(lie: &str, found: &Found) {
    let is_rare = LIES.iter().any(|known| known.name == lie && known.is_rare);
    let rarity = if is_rare { "rare" } else { "" };
    let Found {
        case,
        kind,
        blame,
        before,
        after,
        attempts,
    } = found;
    println!(
        "{lie} | {rarity} | {case} | {kind} | {blame} | {} -> {} | {} -> {} | {} -> {} | {attempts}",
        before.operations,
        after.operations,
        before.options,
        after.options,
        before.writes,
        after.writes
    );
}

/// Every lie, the committed ones among them, in at most [`CASES_MAX`] cases.
pub fn all() {
    let names = LIES.iter().map(|lie| lie.name).chain(COMMITTED);
    let wanted: Vec<&'static str> = names.collect();
    println!("lie | | case | kind | blame | steps | options | writes | attempts");
    let most = std::env::var("LIES_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    let found = hunt(&wanted, 0, most.unwrap_or(CASES_MAX));
    let missed: Vec<&&str> = wanted
        .iter()
        .filter(|lie| !found.contains_key(*lie))
        .collect();
    let median = |of: fn(&Bulk) -> usize| {
        let mut values: Vec<usize> = found.values().map(|found| of(&found.after)).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let (steps, options) = (median(|bulk| bulk.operations), median(|bulk| bulk.options));
    println!(
        "{} of {} found; median {steps} steps, {options} options",
        found.len(),
        wanted.len()
    );
    assert!(missed.is_empty(), "{missed:?}");
    assert!(steps <= 3 && options <= 2);
}

/// How many cases each campaign of the comparison has, unless the environment says otherwise.
const COMPARED_CASES: u64 = 1000;
const COMPARED_SEEDS: [u64; 3] = [1, 2, 3];

/// What a campaign has come to: distinct behaviours, lies found, rare lies found.
fn campaign(seed: u64, cases: u64, is_guided: bool) -> (usize, usize, usize) {
    let liars = Liars::new();
    let watcher = liars.arena(WATCHER);
    let generation = Generation::named("native1").unwrap();
    let mut supply: Box<dyn Supply> = match is_guided {
        true => Box::new(Guide::new(generation, seed, 0, None, cases).unwrap()),
        false => {
            let drawn = generation.cases(seed, 0, None).unwrap();
            Box::new(drawn.take(cases as usize).map(Ok))
        }
    };
    let mut behaviours = BTreeSet::new();
    let mut found = BTreeSet::new();
    while let Some(case) = supply.next() {
        let case = case.unwrap();
        let honest = watcher.try_case(case.clone()).unwrap();
        supply.learn(&case, &honest);
        behaviours.extend(honest.behaviours.iter().copied());
        let told = liars.told();
        if honest.verdict != "match" {
            continue;
        }
        for lie in told {
            if !found.contains(lie) && is_caught(&liars.arena(lie).try_case(case.clone()).unwrap())
            {
                found.insert(lie);
            }
        }
    }
    let is_rare = |name: &&&str| LIES.iter().any(|lie| lie.name == **name && lie.is_rare);
    let rare = found.iter().filter(is_rare).count();
    (behaviours.len(), found.len(), rare)
}

/// Guided against unguided, on the same number of cases.
pub fn compare() {
    let cases = std::env::var("LIES_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    let cases = cases.unwrap_or(COMPARED_CASES);
    println!("seed | {cases} cases | behaviours | lies found | rare lies found");
    for seed in COMPARED_SEEDS {
        for is_guided in [false, true] {
            let (behaviours, found, rare) = campaign(seed, cases, is_guided);
            let mode = if is_guided { "guided" } else { "unguided" };
            println!("{seed} | {mode} | {behaviours} | {found} | {rare}");
        }
    }
}

/// A few, where they are known to be found, to save time.
pub fn some() {
    for (lie, start) in [
        ("ends_an_unaligned_write_wrongly", 0),
        ("maps_the_last_data_as_zeros", 0),
    ] {
        let found = hunt(&[lie], start, 20);
        let after = found.get(lie).expect("the lie is not found").after;
        assert!(after.operations <= 3 && after.options <= 2, "{after:?}");
    }
}
