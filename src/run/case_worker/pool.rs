//! The case workers of a campaign, which are started when they are needed and kept.
//!
//! The session calls it. A worker that found something is thrown away, so that nothing which it remembers touches the next case.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::regions::{self, Reached, Regions};
use super::{ARGUMENT, CaseReport, Doubt};
use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::operation::Operation;
use crate::oracle::verdict::Verdict;
use crate::process::scratch::Root;
use crate::process::{Dialogue, Invocation, RUN_VARIABLE, Reply, SandboxPolicy, run_token};
use crate::run::runner::{OperationOutcome, Outcome};

/// Workers of one candidate.
pub struct CaseWorkers {
    program: PathBuf,
    arguments: Vec<String>,
    workdir: PathBuf,
    environment: Vec<(OsString, OsString)>,
    sandbox: SandboxPolicy,
    /// Wall time that a case may take.
    limit: Duration,
    /// What was reached, if the program counts.
    reached: Option<Mutex<Reached>>,
    idle: Mutex<Vec<Kept>>,
}

struct Kept {
    dialogue: Dialogue,
    root: Root,
    regions: Regions,
}

/// What came of a case in a worker.
pub enum Tried {
    /// Every check was made and agrees, but for operations that were skipped.
    Clean(Outcome),
    /// It is to be run with a reference.
    Doubtful(Doubt),
}

impl CaseWorkers {
    /// Workers of the embedded library `candidate`, hosted by `program`, with directories in `workdir`.
    pub fn new(
        program: PathBuf,
        candidate: &str,
        workdir: PathBuf,
        sandbox: SandboxPolicy,
        limit: Duration,
    ) -> Self {
        Self {
            program,
            arguments: vec![ARGUMENT.to_owned(), candidate.to_owned()],
            workdir,
            environment: environment(),
            sandbox,
            limit,
            reached: None,
            idle: Mutex::default(),
        }
    }

    /// The same with another program, which counts what the library runs: each region is a behaviour.
    pub fn counting(mut self, program: PathBuf) -> Self {
        self.program = program;
        self.environment.push(regions::variable());
        self.reached = Some(Mutex::default());
        self
    }

    /// Returns what was reached so far, if the program counts.
    pub fn reached(&self) -> Option<Reached> {
        let reached = self.reached.as_ref()?;
        Some(
            reached
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }

    /// Returns the behaviours that are regions which the case ran.
    fn behaviours(&self, regions: &mut Regions) -> BTreeSet<u32> {
        let Some(reached) = &self.reached else {
            return BTreeSet::new();
        };
        let run = regions.newly_run();
        let mut reached = reached.lock().unwrap_or_else(PoisonError::into_inner);
        if reached.all == 0 {
            *reached = regions.described().unwrap_or_default();
        }
        reached.add(&run);
        run.into_iter().map(regions::behaviour).collect()
    }

    /// Whether the model alone can judge a case: it judges chains.
    pub fn can(case: &Case) -> bool {
        let is_chain = |operation: &Operation| matches!(operation, Operation::Chain(_));
        // What a guest sees in an image from outside is known to this process alone.
        case.from.is_none() && case.ops.iter().all(is_chain)
    }

    /// Runs a case in a worker.
    pub fn run(&self, case: &Case) -> Result<Tried> {
        let started = Instant::now();
        let Kept {
            dialogue,
            root,
            mut regions,
        } = self.taken()?;
        let line = serde_json::to_string(case).map_err(|error| Error::system(error.to_string()))?;
        let reply = dialogue.ask(&line, &self.invocation(&root))?;
        let (line, dialogue) = match reply {
            Reply::Line { line, dialogue, .. } => (line, dialogue),
            Reply::Ended { ending, .. } => {
                return Ok(Tried::Doubtful(Doubt::Unsure(format!(
                    "the worker ended: {ending:?}"
                ))));
            }
        };
        let report: CaseReport = serde_json::from_slice(&line)
            .map_err(|error| Error::system(format!("a case worker's answer: {error}")))?;
        let mut behaviours = self.behaviours(&mut regions);
        if !matches!(report.doubt, Some(Doubt::Found(_))) {
            self.idle().push(Kept {
                dialogue: *dialogue,
                root,
                regions,
            });
        }
        if let Some(doubt) = report.doubt {
            return Ok(Tried::Doubtful(doubt));
        }
        let duration = started.elapsed();
        let operations = report.operations.into_iter();
        let operations = operations.map(|operation| OperationOutcome {
            verdict: match operation.skipped {
                None => Verdict::Match,
                Some(reason) => Verdict::Unsupported { reason },
            },
            evidence: None,
            observed: {
                let mut observed = operation.observed;
                observed.behaviours.append(&mut behaviours);
                observed
            },
            is_stuck: false,
            duration,
        });
        Ok(Tried::Clean(Outcome {
            operations: operations.collect(),
            duration,
            tool_calls: report.calls,
            tool_cpu: Duration::from_nanos(report.cpu_ns),
            kept: None,
        }))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn taken(&self) -> Result<Kept> {
        let waiting = self.idle().pop();
        if let Some(kept) = waiting {
            return Ok(kept);
        }
        let root = Root::make(&self.workdir, "cases")?;
        let dialogue = Dialogue::start(&self.invocation(&root))?;
        let regions = Regions::of_worker(root.path());
        Ok(Kept {
            dialogue,
            root,
            regions,
        })
    }

    fn invocation<'call>(&'call self, root: &'call Root) -> Invocation<'call> {
        Invocation {
            program: &self.program,
            arguments: &self.arguments,
            directory: root.path(),
            limit: self.limit,
            grace: Duration::ZERO,
            sandbox: Some(&self.sandbox),
            environment: &self.environment,
            input: None,
            memory_bytes_max: None,
        }
    }
}

/// How the C library of a worker allocates (mallopt(3)): it keeps large buffers for the next call instead of giving their pages back. Other C libraries
/// ignore it.
fn environment() -> Vec<(OsString, OsString)> {
    let settings = [
        ("MALLOC_ARENA_MAX", "1"),
        ("MALLOC_MMAP_THRESHOLD_", "33554432"),
        ("MALLOC_TRIM_THRESHOLD_", "268435456"),
    ];
    let mut environment: Vec<(OsString, OsString)> = settings
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    environment.push((RUN_VARIABLE.into(), run_token().into()));
    environment
}
