//! The hunt: runs cases of a native generation one after another until every lie is found.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use imgduel::base::variants::CaseSize;
use imgduel::case::Case;
use imgduel::case::generation::{Generation, Selection};
use imgduel::case::shrink::{Limits, Progress, shrink};
use imgduel::run::record::Record;
use imgduel::run::session::Session;

use crate::catalogue::{LIES, every_lie};
use crate::foresight::foreseen;
use crate::native3::NEWER;
use crate::native4::PLACED;
use crate::reader::{READER, ReaderLie};
use crate::ring;

/// The maximum number of cases to find a lie.
const CASES_MAX: usize = 5000;
/// The maximum number of cases that run for one lie.
const TRIES_MAX: usize = 60;
const SOME_CASES: usize = 1000;
const SEED: u64 = 1;
/// The time limit of one tool call.
pub const LIMIT: Duration = Duration::from_secs(30);
const SHRINKING: Limits = Limits {
    attempts: 300,
    time: Duration::from_secs(60),
};

/// The lies of `tests/stand_ins/chain`, which are separate programs, and the text in the JSON of cases that may trigger each.
const COMMITTED: [(&str, &str); 15] = [
    ("applies_no_snapshot", r#""action":"apply""#),
    ("commits_without_the_last_sector", r#""step":"commit""#),
    ("converts_without_the_last_sector", r#""step":"convert""#),
    ("describes_another_size", r#""step":"info""#),
    ("discards_nothing", r#""step":"discard""#),
    ("forgets_bitmaps", r#""step":"bitmap""#),
    ("grows_with_rubbish", r#""step":"resize""#),
    ("leaks_when_shrinking", r#""step":"resize""#),
    ("loses_a_write_after_a_snapshot", r#""action":"create""#),
    ("loses_the_last_write_when_resizing", r#""step":"resize""#),
    ("maps_data_as_zeros", r#""step":"map""#),
    ("reads_backing_files_past_their_end", r#""step""#),
    ("writes_over_a_cluster_s_edge", r#""byte":"#),
    ("zeroes_a_byte_too_many", r#""step":"write_zeroes""#),
    ("zeroes_nothing", r#""step":"write_zeroes""#),
];

/// Returns the text that a case must contain for a lie of `tests/stand_ins/chain`; `None` for the others.
fn mark(lie: &str) -> Option<&'static str> {
    let committed = COMMITTED.iter().find(|(name, _)| *name == lie);
    committed.map(|(_, mark)| *mark)
}

/// Directories with links to this program under the names of both tools.
pub struct Liars {
    directory: tempfile::TempDir,
}

impl Liars {
    /// Creates a directory for every lie.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        for lie in every_lie() {
            let place = directory.path().join(lie.name);
            std::fs::create_dir(&place).unwrap();
            for tool in ["qemu-img", "qemu-io"] {
                std::os::unix::fs::symlink(&program, place.join(tool)).unwrap();
            }
        }
        Self { directory }
    }

    fn program(&self, lie: &str) -> PathBuf {
        if mark(lie).is_some() {
            return ring::stand_in("chain").join(lie).join("qemu-img");
        }
        self.directory.path().join(lie).join("qemu-img")
    }

    /// Returns a session of the stand-in with this lie against qemu-img.
    pub fn session(&self, lie: &str) -> Session {
        let candidate = format!("qemu-img:{}", self.program(lie).display());
        ring::session(&candidate, "qemu-img", LIMIT, self.directory.path())
    }
}

/// The result for a lie.
struct Found {
    case: usize,
    kind: String,
    blame: &'static str,
    before: CaseSize,
    after: CaseSize,
    attempts: usize,
}

/// Returns whether a record blames the candidate for anything but a timeout, which a busy machine may cause.
pub fn is_caught(record: &Record) -> bool {
    let is_blamed = record
        .blame
        .is_some_and(|blame| blame.name() == "candidate");
    let is_slow = record.kind.as_deref() == Some("candidate_timeout");
    record.verdict == "divergence" && is_blamed && !is_slow
}

/// Shrinks the case.
fn shrunk(session: &Session, case: usize, record: Record) -> Found {
    let drawn = record.case.clone().unwrap();
    let symptom = record.symptoms(false).remove(0);
    let mut progress = Progress::new(drawn.clone(), symptom);
    let shown = |case: &Case| Ok(session.try_case(case.clone())?.symptoms(false));
    shrink(&mut progress, SHRINKING, shown, |_| Ok(())).unwrap();
    Found {
        case,
        kind: record.kind.unwrap_or_default(),
        blame: record.blame.map_or("none", |blame| blame.name()),
        before: drawn.case_size(),
        after: progress.case.case_size(),
        attempts: progress.attempts,
    }
}

/// Runs the cases of a seed that may trigger these lies, until each lie is found. Shrinks the cases that found them.
fn hunt(name: &str, wanted: &[&'static str], most: usize) -> BTreeMap<&'static str, Found> {
    let liars = Liars::new();
    let honest = ring::open("qemu-img");
    let generation = Generation::named(name).unwrap();
    let drawn: Vec<Case> = generation
        .cases(SEED, 0, &Selection::ALL)
        .unwrap()
        .take(most)
        .collect();
    let told: Vec<Vec<&str>> = drawn
        .iter()
        .map(|case| foreseen(case, &*honest).1)
        .collect();
    let mut found = BTreeMap::new();
    for lie in wanted {
        let session = liars.session(lie);
        let is_told = |number: &usize| match mark(lie) {
            Some(mark) => serde_json::to_string(&drawn[*number].ops)
                .unwrap()
                .contains(mark),
            None => told[*number].contains(lie),
        };
        let times = (0..drawn.len()).filter(is_told).count();
        // The prediction for the lies of `tests/stand_ins/chain` is rough: many of their cases do not trigger them.
        let most = if mark(lie).is_some() {
            SOME_CASES
        } else {
            TRIES_MAX
        };
        let mut tries = (0..drawn.len()).filter(is_told).take(most);
        let caught = tries.find_map(|number| {
            let record = session.try_case(drawn[number].clone()).unwrap();
            // Some cases trigger a known qemu-img bug, which is not blamed on the candidate.
            is_caught(&record).then_some((number, record))
        });
        let Some((number, record)) = caught else {
            println!("{lie} | told in {times} cases and not found");
            continue;
        };
        let was = shrunk(&session, number, record);
        row(lie, times, &was);
        found.insert(*lie, was);
    }
    found
}

fn row(lie: &str, times: usize, found: &Found) {
    let is_rare = every_lie().any(|known| known.name == lie && known.is_rare);
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
        "{lie} | {rarity} | {times} | {case} | {kind} | {blame} | {} -> {} | {} -> {} | {} -> {} | {attempts}",
        before.operations,
        after.operations,
        before.options,
        after.options,
        before.writes,
        after.writes
    );
}

/// Hunts for every lie, including those of `tests/stand_ins/chain`, in at most [`CASES_MAX`] cases.
pub fn all() {
    // The rare lies come first, so that an interrupted hunt has looked for the hard ones.
    let (rare, others): (Vec<_>, Vec<_>) = LIES.iter().partition(|lie| lie.is_rare);
    let names = rare.into_iter().chain(others).map(|lie| lie.name);
    // IMGDUEL_LIES=a,b hunts only for these.
    let chosen = std::env::var("IMGDUEL_LIES").ok();
    let is_chosen = |name: &&str| {
        let mut of_chosen = chosen.iter().flat_map(|list| list.split(','));
        chosen.is_none() || of_chosen.any(|wanted| wanted == *name)
    };
    let wanted: Vec<&'static str> = names
        .chain(COMMITTED.map(|(name, _)| name))
        .filter(is_chosen)
        .collect();
    println!(
        "lie | | told in | found in case | kind | blame | steps | options | writes | attempts"
    );
    let found = hunt("native1", &wanted, CASES_MAX);
    let missed: Vec<&&str> = wanted
        .iter()
        .filter(|lie| !found.contains_key(*lie))
        .collect();
    let median = |of: fn(&CaseSize) -> usize| {
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

/// Hunts for two lies only, to save time.
pub fn some() {
    for lie in [
        "ends_an_unaligned_write_wrongly",
        "errs_at_the_end_of_small_clusters_with_wide_refcounts",
    ] {
        let found = hunt("native1", &[lie], SOME_CASES);
        let after = found.get(lie).expect("the lie is not found").after;
        assert!(after.operations <= 3 && after.options <= 3, "{after:?}");
    }
}

/// Hunts for the lies about what native3 draws, in at most [`SOME_CASES`] cases of it.
pub fn newer() {
    let wanted: Vec<&'static str> = NEWER.iter().map(|lie| lie.name).collect();
    let found = hunt("native3", &wanted, SOME_CASES);
    let missed: Vec<&&str> = wanted
        .iter()
        .filter(|lie| !found.contains_key(*lie))
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}

/// Hunts for a lie in cases of a generation that have its mark. Returns how it was found, in a row of a table; `None` if it was not.
fn read(liars: &Liars, name: &str, reader: &ReaderLie) -> Option<String> {
    let generation = Generation::named(name).unwrap();
    let cases = generation.cases(SEED, 0, &Selection::ALL).unwrap();
    let session = liars.session(reader.lie.name);
    let is_about = |case: &Case| {
        let told = serde_json::to_string(&case.ops).unwrap();
        told.contains(reader.mark)
    };
    let mut cpu_ms = 0.0;
    for (number, case) in cases.take(SOME_CASES).enumerate() {
        // No other case can show it.
        if !is_about(&case) {
            continue;
        }
        let record = session.try_case(case).unwrap();
        cpu_ms += record.tool_cpu_ms;
        if is_caught(&record) {
            let found = shrunk(&session, number, record);
            let (before, after) = (found.before, found.after);
            return Some(format!(
                "{} | {number} | {:.2} | {} | {} | {} -> {} | {} -> {} | {} -> {}",
                reader.lie.name,
                cpu_ms / 1000.0,
                found.kind,
                found.blame,
                before.operations,
                after.operations,
                before.options,
                after.options,
                before.writes,
                after.writes
            ));
        }
    }
    None
}

/// Hunts for all lies about unusual images.
pub fn readers() {
    each("readers3", READER);
}

/// Hunts for all lies about what native4 draws.
pub fn placed() {
    each("native4", PLACED);
}

/// Hunts for these lies in cases of a generation. IMGDUEL_LIES=a,b hunts only for these.
fn each(name: &str, lies: &[ReaderLie]) {
    let liars = Liars::new();
    let chosen = std::env::var("IMGDUEL_LIES").ok();
    let is_chosen = |reader: &&ReaderLie| {
        let mut of_chosen = chosen.iter().flat_map(|list| list.split(','));
        chosen.is_none() || of_chosen.any(|wanted| wanted == reader.lie.name)
    };
    println!("lie | found in case | CPU seconds | kind | blame | steps | options | writes");
    let mut missed = Vec::new();
    for reader in lies.iter().filter(is_chosen) {
        match read(&liars, name, reader) {
            Some(row) => println!("{row}"),
            None => {
                println!("{} | not found", reader.lie.name);
                missed.push(reader.lie.name);
            }
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

/// Hunts for some that are found soon.
pub fn some_readers() {
    let liars = Liars::new();
    let soon = [
        "ignores_the_pending_log",
        "ignores_the_zero_flag",
        "ignores_the_second_extent",
    ];
    for reader in READER
        .iter()
        .filter(|reader| soon.contains(&reader.lie.name))
    {
        assert!(
            read(&liars, "readers3", reader).is_some(),
            "{}",
            reader.lie.name
        );
    }
}
