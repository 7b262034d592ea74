//! Runs the same cases in all modes: spawned, forked, both compared call by call, with cached answers of the reference, one at a time and
//! several. The verdicts must be the same. The long version: `cargo test --test ways -- --ignored --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]
#![cfg(not(missing_qemu_img))]

mod ring;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgduel::campaign::{self, Pace};
use imgduel::case::Case;
use imgduel::case::generation::{Generation, Selection};
use imgduel::run::record::{Record, Summary};
use imgduel::run::scratch_dir::{Place, Remover};
use imgduel::run::session::Session;
use imgduel::tool::cache::Store;
use imgduel::tool::launcher::{ExecMode, Launcher};
use imgduel::tool::{self, ToolEnv, ToolSpec};

const LIMIT: Duration = Duration::from_secs(60);
const SEED: u64 = 20261122;

/// The results of a case, one per operation.
type Said = BTreeMap<String, Vec<String>>;

fn cases(share: &[(&str, usize)]) -> Vec<Case> {
    let drawn = share.iter().flat_map(|(generation, count)| {
        let generation = Generation::named(generation).unwrap();
        generation
            .cases(SEED, 0, &Selection::ALL)
            .unwrap()
            .take(*count)
    });
    drawn.collect()
}

fn said(record: &Record) -> Vec<String> {
    let head = format!(
        "{} {:?} {:?} {:?}",
        record.verdict, record.kind, record.blame, record.aspect
    );
    let operations = record.operations.iter();
    let operations = operations.map(|operation| {
        format!(
            "{} {} {:?}",
            operation.op, operation.verdict, operation.kind
        )
    });
    std::iter::once(head).chain(operations).collect()
}

/// Runs all cases in one mode.
fn run(
    name: &str,
    cases: &[Case],
    candidate: &str,
    mode: ExecMode,
    jobs: usize,
    store: Option<&Path>,
) -> Said {
    let launcher = Launcher::new(mode, false);
    let tool_env = ToolEnv {
        launcher: Arc::clone(&launcher),
        ..ring::tool_env()
    };
    let spec = |text: &str| text.parse::<ToolSpec>().unwrap();
    let mut runner = ring::runner(candidate, "qemu-img", LIMIT, &Place::usual(jobs).path);
    runner.candidate = tool::open(&spec(candidate), &tool_env).unwrap();
    runner.reference = tool::open_reference(&spec("qemu-img"), &tool_env).unwrap();
    if mode != ExecMode::Spawn {
        // The same settings as in a campaign.
        runner.fixtures = Arc::default();
        runner.remover = Arc::new(Remover::start());
    }
    let mut session = Session::new(runner, ring::empty_catalogue());
    let store = store.map(|store| Arc::new(Store::open(store)));
    if let Some(store) = &store {
        session = session.with_cache(Arc::clone(store));
    }
    let mut all = Said::new();
    let started = Instant::now();
    let pace = Pace {
        jobs,
        fail_fast: false,
        until: None,
    };
    let total = cases.len() as u64;
    let cases: Vec<Case> = cases.to_vec();
    let ended = campaign::run(
        &Arc::new(imgduel::campaign::candidate_set::CandidateSet::of_session(
            session,
        )),
        cases.into_iter().map(Ok),
        pace,
        Summary::new(None, None, total),
        |record| {
            if record
                .kind
                .as_ref()
                .is_some_and(|kind| kind.contains("crash"))
            {
                println!("    {name}: {}: {:?}", record.id, record.reason);
            }
            all.insert(record.id.clone(), said(record));
            Ok(())
        },
    );
    assert!(ended.cut_short.is_none(), "{:?}", ended.cut_short);
    let Summary {
        matches,
        divergences_found,
        inconclusive_count,
        unsupported_count,
        tool_calls,
        ..
    } = ended.summary;
    println!(
        "{name}: {} cases in {:.1} s: {matches} matches, {divergences_found} divergences, {inconclusive_count} inconclusive, {unsupported_count} unsupported; {tool_calls} tool calls",
        all.len(),
        started.elapsed().as_secs_f64()
    );
    if let Some(counts) = store.map(|store| store.counts()) {
        println!("    {counts:?}");
    }
    if let Some(compared) = launcher.compared() {
        println!("    {compared:?}");
        assert_eq!(compared.first, None);
    }
    all
}

fn compare(share: &[(&str, usize)], candidate: &str) {
    let cases = cases(share);
    let many = std::thread::available_parallelism()
        .map_or(2, std::num::NonZero::get)
        .max(2);
    let store = tempfile::tempdir().unwrap();
    let store = Some(store.path());
    let expected = run("spawned", &cases, candidate, ExecMode::Spawn, many, None);
    let ways = [
        ("forked", ExecMode::Fork, many, None),
        ("forked, one at a time", ExecMode::Fork, 1, None),
        ("both, compared call by call", ExecMode::Check, many, None),
        ("cached, cold", ExecMode::Fork, many, store),
        ("cached, warm", ExecMode::Fork, many, store),
    ];
    for (name, mode, jobs, store) in ways {
        let found = run(name, &cases, candidate, mode, jobs, store);
        let differing: Vec<_> = expected
            .iter()
            .filter(|(id, said)| found.get(*id) != Some(said))
            .collect();
        println!("    {} verdicts differ", differing.len());
        for (id, said) in &differing {
            println!("    {id}: {said:?}, {name}: {:?}", found.get(*id));
        }
        assert!(differing.is_empty() && found.len() == expected.len());
    }
}

#[test]
fn a_few_cases_have_the_same_verdicts_in_all_modes() {
    compare(&[("ops7", 4)], "imago");
}

#[test]
#[ignore = "two thousand cases, six times over: minutes"]
fn two_thousand_cases_have_the_same_verdicts_in_all_modes() {
    compare(
        &[("ops7", 1300), ("ops16", 350), ("native1", 350)],
        "qemu-img",
    );
}
