//! Several candidates at once: one record each, a matrix of their results, and independent verdicts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(not(any(missing_qemu_img, missing_python)))]

use crate::ring;
use imgduel::case::generation::Selection;

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use imgduel::base::error::Result;
use imgduel::campaign::candidate_set::CandidateSet;
use imgduel::campaign::settings::Settings;
use imgduel::case::Case;
use imgduel::tool::request::{Answer, Request};
use imgduel::tool::{CallContext, Tool, ToolWrapper};
use serde_json::Value;

fn lying(lie: &str) -> String {
    format!(
        "adapter:{} {lie}",
        ring::stand_in("lying_adapter").display()
    )
}

/// Runs a campaign of chains on raw images with these candidates.
fn fuzz(directory: &std::path::Path, candidates: &[&str]) -> (Output, Value, Vec<Value>) {
    let mut command = ring::imgduel();
    command.current_dir(directory);
    command.args([
        "fuzz",
        "--generation",
        "native1",
        "--seed",
        "3",
        "--ops",
        "write,read",
    ]);
    command.args([
        "--iterations",
        "8",
        "--no-shrink",
        "--json",
        "records",
        "--summary",
        "summary",
    ]);
    for candidate in candidates {
        command.args(["--candidate", candidate]);
    }
    let output = command.output().unwrap();
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    let records = read("records");
    let records = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let summary = serde_json::from_str(&read("summary")).unwrap_or_default();
    (output, summary, records.collect())
}

#[test]
fn the_matrix_names_the_deviating_candidate_and_the_others_agree() {
    let directory = tempfile::tempdir().unwrap();
    let (liar, honest) = (lying("flips_a_byte_of_all"), lying("truth_of_all"));
    let (output, summary, records) = fuzz(directory.path(), &[&liar, &honest, "imago"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(records.len(), 24, "one for each of three candidates");
    let diverging: Vec<&str> = records
        .iter()
        .filter(|record| record["verdict"] == "divergence")
        .map(|record| record["candidate"]["name"].as_str().unwrap())
        .collect();
    assert!(!diverging.is_empty());
    assert!(diverging.iter().all(|name| *name == "flips_a_byte_of_all"));
    let row = &summary["matrix"][0];
    assert_eq!(
        row["verdict"], "flips_a_byte_of_all 0 is the odd one out",
        "{row:#}"
    );
    assert_eq!(row["cells"]["flips_a_byte_of_all 0"]["stand"], "differs");
    assert_eq!(row["cells"]["truth_of_all 0"]["stand"], "agrees");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("candidates flips_a_byte_of_all 0, ")
            && text.contains(", reference qemu-img"),
        "{text}"
    );
    assert!(
        text.contains("flips_a_byte_of_all 0 is the odd one out"),
        "{text}"
    );
    let tally = &summary["by_candidate"]["truth_of_all 0"];
    let sum: u64 = tally
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(sum, 8);
}

#[test]
fn a_record_of_a_run_with_several_candidates_replays_with_its_own_candidate_only() {
    let directory = tempfile::tempdir().unwrap();
    let (liar, honest) = (lying("flips_a_byte_of_all"), lying("truth_of_all"));
    let (_, _, records) = fuzz(directory.path(), &[&format!("{liar},{honest}")]);
    let record = records
        .iter()
        .find(|record| record["verdict"] == "divergence")
        .unwrap();
    let reproduce = record["reproduce"].as_str().unwrap();
    assert!(
        reproduce.contains("flips_a_byte_of_all") && !reproduce.contains("truth"),
        "{reproduce}"
    );
}

#[test]
fn a_candidate_that_is_named_twice_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (output, ..) = fuzz(directory.path(), &["imago", "imago"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("imago 0.2.6 is named twice"), "{said}");
}

#[test]
fn a_campaign_for_readers_omits_cases_that_no_candidate_supports() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = ring::imgduel();
    command.current_dir(directory.path());
    command.args([
        "fuzz",
        "--generation",
        "native1_readers",
        "--candidate",
        "vdi",
    ]);
    command.args(["--seed", "3", "--iterations", "4", "--json", "records"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let records = std::fs::read_to_string(directory.path().join("records")).unwrap();
    let records: Vec<Value> = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 4);
    let is_match = |record: &Value| record["verdict"] == "match";
    assert!(records.iter().all(is_match), "{records:?}");
    let last = records
        .iter()
        .map(|record| record["iteration"].as_u64().unwrap());
    assert!(last.max() > Some(3), "one case in seven is about vdi");
}

/// The reference, with counters of its calls.
struct Metered {
    tool: Arc<dyn Tool>,
    calls: AtomicU64,
    cpu_ns: AtomicU64,
}

impl ToolWrapper for Metered {
    fn inner(&self) -> &dyn Tool {
        &*self.tool
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let answer = self.tool.ask(request, call_context)?;
        let cpu_ns = u64::try_from(answer.usage.cpu.as_nanos()).unwrap();
        self.calls.fetch_add(answer.usage.calls, Ordering::Relaxed);
        self.cpu_ns.fetch_add(cpu_ns, Ordering::Relaxed);
        Ok(answer)
    }
}

/// A command line that consists only of settings.
#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    settings: Settings,
}

/// Returns the number of calls of the reference for these candidates and cases, and its CPU time in milliseconds.
fn cost_of_reference(candidates: &[&str], cases: &[Case]) -> (u64, u64) {
    let metered = Arc::new(Metered {
        tool: ring::open("qemu-img"),
        calls: AtomicU64::new(0),
        cpu_ns: AtomicU64::new(0),
    });
    let workdir = ring::scratch();
    let line = ["imgduel", "--workdir", workdir.path().to_str().unwrap()];
    let line = line.into_iter().chain(["--candidate"]);
    let Line { settings } = Line::parse_from(line.chain([&*candidates.join(",")]));
    let reference: Arc<dyn Tool> = Arc::clone(&metered) as Arc<dyn Tool>;
    let candidate_set = CandidateSet::against(reference, &settings, &ring::tool_env()).unwrap();
    for case in cases {
        candidate_set.run_confirmed(case).unwrap();
    }
    let cpu_ns = metered.cpu_ns.load(Ordering::Relaxed);
    (metered.calls.load(Ordering::Relaxed), cpu_ns / 1_000_000)
}

/// Returns cases that the candidate supports at least partly.
fn cases_for(candidate: &str, generation: &str, count: usize) -> Vec<Case> {
    let workdir = ring::scratch();
    let runner = ring::runner(
        candidate,
        "qemu-img",
        std::time::Duration::from_secs(30),
        workdir.path(),
    );
    let cases = imgduel::case::generation::Generation::named(generation).unwrap();
    let cases = cases.cases(7, 0, &Selection::ALL).unwrap();
    cases
        .filter(|case| runner.concerns(case))
        .take(count)
        .collect()
}

#[test]
fn many_readers_need_as_many_reference_calls_as_one() {
    let adapter = format!(
        "adapter:{}",
        ring::package().join("docs/adapters/reader.py").display()
    );
    let cases = cases_for("qcow2-core", "native1_readers", 5);
    let (one, _) = cost_of_reference(&["qcow2-core"], &cases);
    let (many, _) = cost_of_reference(&["qcow2-core", &adapter, "vdi", "vhd-core"], &cases);
    // The additional calls confirm the divergences of one candidate.
    assert!(
        one > 10 && many <= one + one / 10,
        "{one} calls for one candidate, {many} for four"
    );
}

#[test]
#[ignore = "takes minutes: prints the cost of the reference for 1, 3, 6 and 12 candidates"]
fn reference_cost_for_many_candidates() {
    let adapter = format!(
        "adapter:{}",
        ring::package().join("docs/adapters/reader.py").display()
    );
    let all = [
        "7zz",
        "dissect.hypervisor",
        "libqcow",
        "libvmdk",
        "libvhdi",
        "qcow2-core",
        "vmdk-core",
        "vhd-core",
        "vhdx-core",
        "vdi",
        &adapter,
        "imago",
    ];
    for generation in ["native1_readers", "malformed1_readers"] {
        let cases = cases_for(all[0], generation, 200);
        for count in [1, 3, 6, 11, 12] {
            let (calls, cpu_ms) = cost_of_reference(&all[..count], &cases);
            println!(
                "{generation}: {count:>2} candidates: {calls:>6} calls of the reference, {cpu_ms:>6} ms of its CPU time"
            );
        }
    }
}
