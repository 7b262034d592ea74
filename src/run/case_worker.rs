//! Whole cases in a worker: an embedded candidate against the model alone.
//!
//! The program starts itself again with a hidden argument and the candidate's name. The worker reads a case a line, runs it with the library in its own process,
//! in memory and first without the reference's side, and says whether the model found anything; where the candidate's side alone cannot tell, it runs the case
//! with both. It gives no verdict: the session runs a case that is not clean again, call by call, with a reference. A panic, an abort, a hang or a runaway allocation costs the worker and this one case.

mod pool;
mod regions;

use std::io::{self, BufRead, Write};
use std::panic;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::oracle::coverage::Observed;
use crate::oracle::verdict::Verdict;
use crate::oracle::witness::Witnesses;
use crate::process::{self, SandboxPolicy};
use crate::run::runner::{DifferentialRunner, OperationOutcome, Outcome};
use crate::run::scratch_dir::Remover;
use crate::tool::{Tool, libraries, model};

pub use pool::{CaseWorkers, Tried};
pub use regions::Reached;

/// The hidden argument with which the program becomes a case worker; the candidate's name follows.
pub const ARGUMENT: &str = "__imgduel-case-worker";

/// Wall time of one call inside a worker: never used up, because the worker as a whole has a limit.
const CASE_CALL_LIMIT: Duration = Duration::from_secs(3600);

/// What a case worker says of a case.
#[derive(Debug, Serialize, Deserialize)]
struct CaseReport {
    /// What came of each operation.
    operations: Vec<OperationReport>,
    /// What is wrong; none: every check was made and agrees.
    doubt: Option<Doubt>,
    /// How many calls were made.
    calls: u64,
    /// CPU time in nanoseconds.
    cpu_ns: u64,
}

/// What a case worker says of an operation of a case in which it found nothing.
#[derive(Debug, Serialize, Deserialize)]
struct OperationReport {
    observed: Observed,
    /// Why the operation was skipped; none: every check was made and agrees.
    skipped: Option<String>,
}

/// Why a case is run again with a reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The model and the candidate disagree.
    Found(String),
    /// The model alone cannot tell.
    Unsure(String),
}

/// Becomes a case worker if the program was started as one, and serves until standard input closes.
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let candidate = arguments
        .next()
        .and_then(|name| libraries::in_process(&name));
    let Some(candidate) = candidate else {
        return Some(ExitCode::FAILURE);
    };
    process::fix_entropy_and_make_holes();
    let runner = runner(candidate, Path::new("."));
    let served = serve(&runner, io::stdin().lock(), io::stdout().lock());
    Some(match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// A runner of the candidate alone, with its scratch directories in `workdir`.
fn runner(candidate: Arc<dyn Tool>, workdir: &Path) -> DifferentialRunner {
    DifferentialRunner {
        candidate,
        reference: model::sparing_tool(),
        limit: CASE_CALL_LIMIT,
        // Nothing is started here: the whole process is in a sandbox.
        sandbox: SandboxPolicy::OPEN,
        workdir: workdir.to_owned(),
        witnesses: Witnesses::default(),
        keep: false,
        fixtures: Arc::default(),
        remover: Arc::new(Remover::start()),
        is_alone: true,
        writers: Arc::default(),
    }
}

fn serve(runner: &DifferentialRunner, input: impl BufRead, mut output: impl Write) -> Result<()> {
    let failed = |error: io::Error| Error::system(error.to_string());
    for line in input.lines() {
        let case: Case = serde_json::from_str(&line.map_err(failed)?)
            .map_err(|error| Error::system(error.to_string()))?;
        let started = process::own_cpu_time();
        // Each case has its own thread, so that hash maps start with the same keys whatever came before.
        let tried = thread::scope(|scope| scope.spawn(|| tried(runner, &case)).join());
        let mut report = tried.unwrap_or_else(|panic| panic::resume_unwind(panic))?;
        report.cpu_ns = (process::own_cpu_time() - started).as_nanos() as u64;
        serde_json::to_writer(&mut output, &report).map_err(|error| failed(error.into()))?;
        output
            .write_all(b"\n")
            .and_then(|()| output.flush())
            .map_err(failed)?;
    }
    Ok(())
}

fn tried(runner: &DifferentialRunner, case: &Case) -> Result<CaseReport> {
    let mut outcome = runner.run(case)?;
    let mut calls = outcome.tool_calls;
    if matches!(worst_doubt(&outcome), Some(Doubt::Unsure(_))) {
        let with_both = DifferentialRunner {
            is_alone: false,
            ..runner.clone()
        };
        outcome = with_both.run(case)?;
        calls += outcome.tool_calls;
    }
    let report = |operation: OperationOutcome| OperationReport {
        observed: operation.observed,
        skipped: match operation.verdict {
            Verdict::Unsupported { reason } => Some(reason),
            _ => None,
        },
    };
    Ok(CaseReport {
        doubt: worst_doubt(&outcome),
        operations: outcome.operations.into_iter().map(report).collect(),
        calls,
        cpu_ns: 0,
    })
}

fn worst_doubt(outcome: &Outcome) -> Option<Doubt> {
    let operations = outcome.operations.iter();
    let doubts = operations.filter_map(|operation| doubt(&operation.verdict));
    doubts.max_by_key(|doubt| matches!(doubt, Doubt::Found(_)))
}

fn doubt(verdict: &Verdict) -> Option<Doubt> {
    match verdict {
        Verdict::Match | Verdict::Unsupported { .. } => None,
        Verdict::Divergence(finding) | Verdict::Flaky(finding) => {
            Some(Doubt::Found(finding.summary.clone()))
        }
        Verdict::Inconclusive { reason, .. } => Some(Doubt::Unsure(reason.clone())),
    }
}
