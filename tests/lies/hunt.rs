//! The hunt: cases of our own generation, one after the other, until every lie is found.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use imgduel::arena::Arena;
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

/// Whether a record tells on the candidate.
fn is_caught(record: &Record) -> bool {
    record.verdict == "divergence"
        && record
            .blame
            .is_some_and(|blame| blame.name() == "candidate")
}

fn shrunk(arena: &Arena, number: usize, record: Record) -> Found {
    let case = record.case.clone().unwrap();
    let symptom = record.symptoms(false).remove(0);
    let mut progress = Progress::new(case.clone(), symptom);
    let shown = |case: &Case| Ok(arena.try_case(case.clone())?.symptoms(false));
    shrink(&mut progress, SHRINKING, shown, |_| Ok(())).unwrap();
    Found {
        case: number,
        kind: record.kind.unwrap_or_default(),
        blame: record.blame.map_or("none", |blame| blame.name()),
        before: case.bulk(),
        after: progress.case.bulk(),
        attempts: progress.attempts,
    }
}

/// Hunts for these lies in the cases of a seed, from iteration `start` on; each is given up once it is found.
fn hunt(wanted: &[&'static str], start: u64, most: usize) -> BTreeMap<&'static str, Found> {
    let liars = Liars::new();
    let watcher = liars.arena(WATCHER);
    let generation = Generation::named("native1").unwrap();
    let cases = generation.cases(SEED, start, None).unwrap();
    let mut found = BTreeMap::new();
    for (number, case) in cases.take(most).enumerate() {
        if found.len() == wanted.len() {
            break;
        }
        let honest = watcher.try_case(case.clone()).unwrap();
        assert_ne!(honest.verdict, "divergence", "{honest:#?}");
        let told = liars.told();
        for lie in wanted {
            let is_told = told.contains(lie) || COMMITTED.contains(lie);
            if found.contains_key(lie) || !is_told {
                continue;
            }
            let arena = liars.arena(lie);
            let record = arena.try_case(case.clone()).unwrap();
            if is_caught(&record) {
                let was = shrunk(&arena, number, record);
                row(lie, &was);
                found.insert(*lie, was);
            }
        }
    }
    found
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
    let found = hunt(&wanted, 0, CASES_MAX);
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
