//! One case through both tools.
//!
//! For each operation: what either side cannot do is known before anything runs; the reference goes first, then the
//! candidate; what both left is read back; the judges say what they make of it. A divergence in one operation does not
//! keep the others from being made. Called by the arena.

mod harness;
mod picture;
mod readings;
mod source;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::cost::{self, Cost};
use crate::error::Result;
use crate::evidence::Evidence;
use crate::exchange::{Actor, Deed, Exchange, Ground, Opinion, Side, Step, Turn};
use crate::fixture::Fixtures;
use crate::judge;
use crate::operation::Perform;
use crate::phase::Phase;
use crate::process::Cage;
use crate::request::{Answer, Exit, ImageFile, Request};
use crate::sandbox::{Remover, Sandbox};
use crate::tool::{Scene, Support, Tool, same_program};
use crate::verdict::Verdict;
use crate::witness::Witnesses;
use source::Source;

/// How much longer than its limit the reference may take for a call, in limits, for as long as it is busy.
pub const BUSY_REFERENCE_EXTRA_LIMITS: u32 = 2;

/// What is added to that for each flush that the reference is known to have to make: a slow disk's.
pub const SLOW_FLUSH: Duration = Duration::from_millis(2);

/// How much longer than its limit the reference may take in all, in limits.
pub const BUSY_REFERENCE_EXTRA_LIMITS_MAX: u32 = 6;

/// How many times longer than the reference the candidate may take for the same step, for as long as it is busy, where that is more
/// than the limit.
pub const MUCH_SLOWER: u32 = 3;

/// Two tools, and the terms on which they meet.
#[derive(Clone)]
pub struct Duel {
    /// The tool under test.
    pub candidate: Arc<dyn Tool>,
    /// qemu-img.
    pub reference: Arc<dyn Tool>,
    /// Wall time for one tool call.
    pub limit: Duration,
    /// What a tool may use up and touch.
    pub cage: Cage,
    /// Where scratch directories are made.
    pub workdir: PathBuf,
    /// Who gives third opinions.
    pub witnesses: Witnesses,
    /// Whether the scratch directories of cases that did not match are kept.
    pub keep: bool,
    /// Source images that were made already.
    pub fixtures: Arc<Fixtures>,
    /// Who removes what is left.
    pub remover: Arc<Remover>,
}

/// What came of a case.
#[derive(Debug)]
pub struct Outcome {
    /// One per operation, in their order.
    pub operations: Vec<OperationOutcome>,
    /// Wall time.
    pub duration: Duration,
    /// How many times a tool was called, fixtures and readings included.
    pub tool_calls: u64,
    /// CPU time of those calls.
    pub tool_cpu: Duration,
    /// The scratch directory, when it was kept.
    pub kept: Option<PathBuf>,
}

/// What came of one operation.
#[derive(Debug)]
pub struct OperationOutcome {
    /// What is said of it.
    pub verdict: Verdict,
    /// Why, when it is no match and something was run.
    pub evidence: Option<Evidence>,
    /// Whether the candidate was stuck when its time ran out: it did not even try any more.
    pub is_stuck: bool,
    /// Wall time.
    pub duration: Duration,
}

impl Duel {
    /// Puts a case through both tools. An error means that the harness could not go on.
    pub fn fight(&self, case: &Case) -> Result<Outcome> {
        let all: Vec<usize> = (0..case.ops.len()).collect();
        self.fight_for(case, &all, false)
    }

    /// Puts some operations of a case through both tools, each of which brings its evidence even when it matches.
    pub fn fight_again(&self, case: &Case, operations: &[usize]) -> Result<Outcome> {
        self.fight_for(case, operations, true)
    }

    /// The same duel with flushes off.
    pub fn without_flushes(&self) -> Self {
        Self {
            cage: self.cage.without_flushes(),
            ..self.clone()
        }
    }

    fn fight_for(&self, case: &Case, wanted: &[usize], tells_all: bool) -> Result<Outcome> {
        Phase::Other.of(|| self.bout(case, wanted, tells_all))
    }

    fn bout(&self, case: &Case, wanted: &[usize], tells_all: bool) -> Result<Outcome> {
        let started = Instant::now();
        let sandbox = Sandbox::new(&self.workdir, &case.id(), &self.remover)?;
        let mut bout = Bout {
            duel: self,
            case,
            sandbox: &sandbox,
            tells_all,
            same_program: same_program(&*self.candidate, &*self.reference),
            source: Source::NotMade,
            fixture: Vec::new(),
            tool_calls: 0,
            tool_cpu: Duration::ZERO,
        };
        let mut operations = Vec::with_capacity(wanted.len());
        for index in wanted {
            operations.push(bout.operation(*index)?);
        }
        let Bout {
            tool_calls,
            tool_cpu,
            ..
        } = bout;
        let matched = operations
            .iter()
            .all(|operation| operation.verdict == Verdict::Match);
        if !matched {
            sandbox.is_sound()?;
        }
        let kept = (self.keep && !matched).then(|| sandbox.keep());
        Ok(Outcome {
            operations,
            duration: started.elapsed(),
            tool_calls,
            tool_cpu,
            kept,
        })
    }
}

/// What came of carrying out an operation.
struct Performed {
    verdict: Verdict,
    evidence: Option<Evidence>,
    is_stuck: bool,
}

/// Nothing was run.
impl From<Verdict> for Performed {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            evidence: None,
            is_stuck: false,
        }
    }
}

/// A duel under way.
struct Bout<'duel> {
    duel: &'duel Duel,
    case: &'duel Case,
    sandbox: &'duel Sandbox,
    tells_all: bool,
    same_program: bool,
    source: Source,
    fixture: Vec<Vec<String>>,
    tool_calls: u64,
    tool_cpu: Duration,
}

impl<'duel> Bout<'duel> {
    fn operation(&mut self, index: usize) -> Result<OperationOutcome> {
        let started = Instant::now();
        let operation = &self.case.ops[index];
        let ground = self.case.ground(index);
        let Performed {
            verdict,
            evidence,
            is_stuck,
        } = self.perform(operation.perform(), &ground)?;
        if !self.duel.keep {
            self.sandbox.sweep(&ground.stem);
        }
        Ok(OperationOutcome {
            verdict,
            evidence,
            is_stuck,
            duration: started.elapsed(),
        })
    }

    fn perform(&mut self, operation: &dyn Perform, ground: &Ground<'_>) -> Result<Performed> {
        if let Some(reason) = operation.skipped() {
            return Ok(Verdict::Unsupported { reason }.into());
        }
        let steps = operation.steps(ground);
        let with_reference = match self.support(operation, &steps) {
            Ok(with_reference) => with_reference,
            Err(reason) => return Ok(Verdict::Unsupported { reason }.into()),
        };
        if operation.reads_source() {
            Phase::Fixture.of(|| self.make_source(ground))?;
            if let Source::Failed(verdict) = &self.source {
                return Ok(verdict.clone().into());
            }
        }
        let reference = with_reference
            .then(|| self.deed(Side::Reference, &steps, None))
            .transpose()?;
        let hopeless = self.same_program && reference.as_ref().is_some_and(timed_out);
        let candidate = if hopeless {
            Deed::default()
        } else {
            self.deed(Side::Candidate, &steps, reference.as_ref())?
        };
        let mut exchange = Exchange {
            candidate,
            reference,
            opinion: None,
        };

        let exits = judge::exits(&exchange);
        let mut verdicts: Vec<Verdict> = operation.judge_steps(&exchange).into_iter().collect();
        verdicts.extend(exits.verdicts);
        let outputs = operation.outputs(ground, &exchange);
        if exits.completed {
            self.read_outputs(&mut exchange, &outputs)?;
            if operation.hears_witness() {
                exchange.opinion = self.hear_witness(ground)?;
            }
            Phase::Comparing.of(|| {
                verdicts.extend(operation.judge(ground, &exchange));
                verdicts.extend(judge::outputs(&exchange, &outputs));
            });
        }
        if operation.reads_source() {
            verdicts.extend(self.source_changed(ground)?);
        }
        if operation.is_layered() {
            // The first layer that differs is the cause of what differs above it.
            verdicts.sort_by_key(|verdict| verdict.layer());
        }
        let verdict = Verdict::worst(verdicts);
        let evidence = match self.tells_all {
            true => Some(Evidence::of_anything(&verdict, &exchange)),
            false => Evidence::of(&verdict, &exchange),
        };
        let evidence = evidence
            .map(|evidence| self.illustrated(evidence, &verdict, operation, ground, &outputs))
            .transpose()?;
        Ok(Performed {
            verdict,
            evidence,
            is_stuck: is_stuck(&exchange.candidate),
        })
    }

    /// Whether each side can do what is its own to do: yes, with the reference or without it, or who cannot do what.
    fn support(&self, operation: &dyn Perform, steps: &[Step]) -> Result<bool, String> {
        let objection = |tool: &dyn Tool| {
            let own = steps.iter().filter(|step| step.actor == Actor::Side);
            own.map(|step| tool.support(&step.request))
                .find_map(|support| match support {
                    Support::Yes => None,
                    Support::No(reason) => Some(reason),
                })
        };
        if let Some(reason) = objection(&*self.duel.candidate) {
            return Err(reason);
        }
        let idle = |tool: &dyn Tool| {
            let own = steps.iter().filter(|step| step.actor != Actor::Reference);
            own.map(|step| tool.support(&step.request))
                .all(|support| support != Support::Yes)
        };
        if !steps.is_empty() && idle(&*self.duel.candidate) {
            return Err("the candidate can do none of its steps".to_owned());
        }
        match objection(&*self.duel.reference) {
            None => Ok(true),
            Some(_) if operation.stands_alone() => Ok(false),
            Some(reason) => Err(reason),
        }
    }

    /// Carries out an operation's steps on a side, up to the first that ends it. `reference` is what the reference did before.
    fn deed(&mut self, side: Side, steps: &[Step], reference: Option<&Deed>) -> Result<Deed> {
        let mut deed = Deed::default();
        let costs = cost::of_steps(steps);
        for (index, step) in steps.iter().enumerate() {
            let by = match step.actor {
                Actor::Side => side,
                Actor::SideOrReference
                    if self.tool(side).support(&step.request) == Support::Yes =>
                {
                    side
                }
                Actor::SideOrReference | Actor::Reference | Actor::Harness => Side::Reference,
            };
            let answer = match step.actor {
                Actor::Harness => harness::carry_out(&step.request, &self.sandbox.directory(side)),
                _ => {
                    let turn = reference.and_then(|deed| deed.turns.get(index));
                    let patience = self.patience(by, turn, costs[index]);
                    let file = &step.request.file().path;
                    let before = self.sandbox.length(side, file);
                    let directory = self.sandbox.directory(side);
                    let mut answer = self.ask_in(directory, by, &step.request, patience)?;
                    if let Exit::TimedOut(post_mortem) = &mut answer.exit {
                        let now = self.sandbox.length(side, file).unwrap_or_default();
                        let grown = now.saturating_sub(before.unwrap_or_default());
                        post_mortem.progress = costs[index].progress(grown);
                    }
                    answer
                }
            };
            let goes_on = match answer.exit {
                Exit::Success => true,
                Exit::Refused(_) => !step.rule.ends(),
                Exit::Crashed(_) | Exit::TimedOut(_) | Exit::HitLimit(_) => false,
            };
            let file_bytes = self.sandbox.length(side, &step.request.file().path);
            deed.turns.push(Turn {
                step: step.clone(),
                by,
                answer,
                file_bytes,
            });
            if !goes_on {
                break;
            }
        }
        Ok(deed)
    }

    /// What a witness says of the candidate's copy of the source image.
    fn hear_witness(&mut self, ground: &Ground<'_>) -> Result<Option<Opinion>> {
        let directory = self.sandbox.directory(Side::Candidate);
        let ImageFile { format, path, .. } = &ground.source;
        let opinion =
            self.duel
                .witnesses
                .hear(*format, path, &self.scene(&directory, Duration::ZERO))?;
        if let Some(Opinion { answer, .. }) = &opinion {
            self.tool_calls += answer.calls;
            self.tool_cpu += answer.cpu;
        }
        Ok(opinion)
    }

    fn tool(&self, by: Side) -> &'duel dyn Tool {
        match by {
            Side::Candidate => &*self.duel.candidate,
            Side::Reference => &*self.duel.reference,
        }
    }

    fn ask(&mut self, side: Side, by: Side, request: &Request) -> Result<Answer> {
        let phase = match by {
            Side::Candidate => Phase::CandidateCalls,
            Side::Reference => Phase::ReferenceCalls,
        };
        let patience = self.patience(by, None, Cost::default());
        phase.of(|| self.ask_in(self.sandbox.directory(side), by, request, patience))
    }

    /// How long a busy tool may take beyond its limit; the candidate by what the reference took for the same, where that is known.
    fn patience(&self, by: Side, reference: Option<&Turn>, cost: Cost) -> Duration {
        let limit = self.duel.limit;
        match (by, reference) {
            (Side::Reference, _) => {
                let flushes = match self.duel.cage.flushes_off {
                    true => 0,
                    false => u32::try_from(cost.flushes).unwrap_or(u32::MAX),
                };
                let extra = limit * BUSY_REFERENCE_EXTRA_LIMITS + SLOW_FLUSH * flushes;
                extra.min(limit * BUSY_REFERENCE_EXTRA_LIMITS_MAX)
            }
            (Side::Candidate, Some(turn)) => {
                (turn.answer.duration * MUCH_SLOWER).saturating_sub(limit)
            }
            (Side::Candidate, None) => Duration::ZERO,
        }
    }

    fn scene<'call>(&self, directory: &'call Path, patience: Duration) -> Scene<'call>
    where
        'duel: 'call,
    {
        Scene {
            directory,
            limit: self.duel.limit,
            patience,
            cage: &self.duel.cage,
        }
    }

    fn ask_in(
        &mut self,
        directory: PathBuf,
        by: Side,
        request: &Request,
        patience: Duration,
    ) -> Result<Answer> {
        let scene = self.scene(&directory, patience);
        let answer = self.tool(by).ask(request, &scene)?;
        self.tool_calls += answer.calls;
        self.tool_cpu += answer.cpu;
        Ok(answer)
    }
}

fn timed_out(deed: &Deed) -> bool {
    deed.turns
        .last()
        .is_some_and(|turn| matches!(turn.answer.exit, Exit::TimedOut(_)))
}

fn is_stuck(deed: &Deed) -> bool {
    deed.turns.last().is_some_and(
        |turn| matches!(&turn.answer.exit, Exit::TimedOut(post_mortem) if !post_mortem.is_busy),
    )
}
