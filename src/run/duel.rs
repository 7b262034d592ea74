//! One case through both tools.
//!
//! For each operation: what either side cannot do is known before anything runs; the reference goes first, then the
//! candidate; what both left is read back; the judges say what they make of it. A divergence in one operation does not
//! keep the others from being made. Called by the arena.

mod deed;
mod harness;
mod picture;
mod readings;
mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::error::{Error, Result};
use crate::base::phase::Phase;
use crate::case::Case;
use crate::operation::Perform;
use crate::oracle::behaviour::Observed;
use crate::oracle::exchange::{Actor, Bounds, Deed, Exchange, Ground, Side, Step};
use crate::oracle::judge;
use crate::oracle::verdict::Verdict;
use crate::oracle::witness::Witnesses;
use crate::process::SandboxPolicy;
use crate::run::evidence::Evidence;
use crate::run::fixture::Fixtures;
use crate::run::scratch_dir::{Remover, ScratchDir};
use crate::tool::request::{Exit, ImageFile, Request};
use crate::tool::{Support, Tool, same_program};
use source::Source;

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
    pub sandbox: SandboxPolicy,
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
    /// What the tools were seen to do.
    pub observed: Observed,
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
            sandbox: self.sandbox.without_flushes(),
            ..self.clone()
        }
    }

    /// Whether the candidate could be asked anything of this case, as far as that is known before anything runs.
    pub fn concerns(&self, case: &Case) -> bool {
        (0..case.ops.len()).any(|index| {
            let (operation, ground) = (case.ops[index].perform(), case.ground(index));
            let steps = operation.steps(&ground);
            operation.skipped().is_none() && self.support(operation, &ground, &steps).is_ok()
        })
    }

    /// Whether each side can do what is its own to do: yes, with the reference or without it, or who cannot do what.
    fn support(
        &self,
        operation: &dyn Perform,
        ground: &Ground<'_>,
        steps: &[Step],
    ) -> Result<bool, String> {
        let objection = |tool: &dyn Tool| {
            let own = steps.iter().filter(|step| step.actor == Actor::Side);
            own.map(|step| tool.support(&step.request))
                .find_map(|support| match support {
                    Support::Yes => None,
                    Support::No(reason) => Some(reason),
                })
        };
        if let Some(reason) = objection(&*self.candidate) {
            return Err(reason);
        }
        let idle = |tool: &dyn Tool| {
            let is_own = |step: &&Step| !matches!(step.actor, Actor::Reference | Actor::Once);
            let own = steps.iter().filter(is_own);
            own.map(|step| tool.support(&step.request))
                .all(|support| support != Support::Yes)
        };
        let reads =
            |file: ImageFile| self.candidate.support(&Request::Contents { file }) == Support::Yes;
        let reads_none = || !operation.leaves(ground).into_iter().any(reads);
        if !steps.is_empty() && idle(&*self.candidate) && reads_none() {
            return Err("the candidate can do none of its steps".to_owned());
        }
        if let Some(lack) = self.lack(operation, ground, steps) {
            return Err(lack);
        }
        match objection(&*self.reference) {
            None => Ok(true),
            Some(_) if operation.stands_alone() => Ok(false),
            Some(reason) => Err(reason),
        }
    }

    /// What the reference's build lacks of what it has to make on either side: the source image, and the steps that are its.
    fn lack(&self, operation: &dyn Perform, ground: &Ground<'_>, steps: &[Step]) -> Option<String> {
        let source = operation.reads_source().then(|| Request::Create {
            file: ground.source.clone(),
            size: ground.recipe.virtual_size.clone(),
        });
        let is_its = |step: &&Step| !matches!(step.actor, Actor::Side | Actor::Harness);
        let its = steps.iter().filter(is_its).map(|step| &step.request);
        let mut made = source.iter().chain(its);
        made.find_map(|request| self.reference.lack(request))
    }

    fn fight_for(&self, case: &Case, wanted: &[usize], tells_all: bool) -> Result<Outcome> {
        Phase::Other.of(|| {
            if let Some(outcome) = self.bout(case, wanted, tells_all, false)? {
                return Ok(outcome);
            }
            // An operation changed its input: which one, and what it did, is seen when each side has its own.
            let outcome = self.bout(case, wanted, tells_all, true)?;
            outcome.ok_or_else(|| Error::system("a case was not tried to its end".to_owned()))
        })
    }

    /// `None` when somebody may have written to the source image, though operations only read it. Both sides have the same file then, and
    /// nothing that came of it counts; unless `privately`, where each has its own, which is read after each operation.
    fn bout(
        &self,
        case: &Case,
        wanted: &[usize],
        tells_all: bool,
        privately: bool,
    ) -> Result<Option<Outcome>> {
        let started = Instant::now();
        let scratch_dir = ScratchDir::new(&self.workdir, &case.id(), &self.remover)?;
        let mut bout = Bout {
            duel: self,
            case,
            scratch_dir: &scratch_dir,
            tells_all,
            privately,
            same_program: same_program(&*self.candidate, &*self.reference),
            is_void: false,
            source: Source::NotMade,
            fixture: Vec::new(),
            tool_calls: 0,
            tool_cpu: Duration::ZERO,
            bounds: None,
        };
        let mut operations = Vec::with_capacity(wanted.len());
        for index in wanted {
            operations.push(bout.operation(*index)?);
            if bout.is_void {
                return Ok(None);
            }
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
            scratch_dir.is_sound()?;
        }
        let kept = (self.keep && !matched).then(|| scratch_dir.keep());
        let outcome = Outcome {
            operations,
            duration: started.elapsed(),
            tool_calls,
            tool_cpu,
            kept,
        };
        Ok(Some(outcome))
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
    scratch_dir: &'duel ScratchDir,
    tells_all: bool,
    /// Whether each side has a source image of its own.
    privately: bool,
    /// Whether an operation changed the one that both sides have.
    is_void: bool,
    same_program: bool,
    source: Source,
    fixture: Vec<Vec<String>>,
    tool_calls: u64,
    tool_cpu: Duration,
    /// Of the operation that is under way.
    bounds: Option<Bounds>,
}

impl<'duel> Bout<'duel> {
    fn operation(&mut self, index: usize) -> Result<OperationOutcome> {
        let started = Instant::now();
        let operation = &self.case.ops[index];
        let _operation =
            tracing::debug_span!("operation", index, name = operation.name()).entered();
        let ground = self.case.ground(index);
        let mut observed = Observed::default();
        let Performed {
            verdict,
            evidence,
            is_stuck,
        } = self.perform(operation.perform(), &ground, &mut observed)?;
        if !self.duel.keep {
            self.scratch_dir.sweep(&ground.stem);
        }
        Ok(OperationOutcome {
            verdict,
            evidence,
            observed,
            is_stuck,
            duration: started.elapsed(),
        })
    }

    fn perform(
        &mut self,
        operation: &dyn Perform,
        ground: &Ground<'_>,
        observed: &mut Observed,
    ) -> Result<Performed> {
        if let Some(reason) = operation.skipped() {
            return Ok(Verdict::Unsupported { reason }.into());
        }
        let steps = operation.steps(ground);
        let with_reference = match self.duel.support(operation, ground, &steps) {
            Ok(with_reference) => with_reference,
            Err(reason) => return Ok(Verdict::Unsupported { reason }.into()),
        };
        if operation.reads_source() {
            Phase::Fixture.of(|| self.make_source(ground))?;
            if let Source::Failed(verdict) = &self.source {
                return Ok(verdict.clone().into());
            }
        }
        let mut exchange = self.exchange(operation, &steps, with_reference)?;
        let exits = judge::exits(&exchange);
        let mut verdicts: Vec<Verdict> = operation.judge_steps(&exchange).into_iter().collect();
        verdicts.extend(exits.verdicts);
        let outputs = operation.outputs(ground, &exchange);
        if exits.completed {
            self.read_outputs(&mut exchange, &outputs)?;
            if let Some(file) = operation.witnessed(ground, &exchange) {
                exchange.opinion = self.hear_witness(&file)?;
            }
            Phase::Comparing.of(|| {
                verdicts.extend(operation.judge(ground, &exchange));
                verdicts.extend(judge::outputs(&exchange, &outputs));
            });
        }
        if operation.reads_source() {
            verdicts.extend(self.source_changed(ground)?);
        }
        *observed = Observed::of(&exchange);
        if operation.is_layered() {
            // The first layer that differs is the cause of what differs above it.
            verdicts.sort_by_key(|verdict| verdict.layer());
        }
        verdicts.extend(exchange.candidate.untested());
        let mut verdict = Verdict::worst(verdicts);
        if let Verdict::Divergence(finding) = &mut verdict {
            finding.at = operation.facts(ground, &exchange, &outputs, &finding.place);
        }
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

    /// Has the steps done: first by the reference, where it takes part, then by the candidate.
    fn exchange(
        &mut self,
        operation: &dyn Perform,
        steps: &[Step],
        with_reference: bool,
    ) -> Result<Exchange> {
        let reference = with_reference
            .then(|| self.deed(Side::Reference, steps, None, operation.bounds()))
            .transpose()?;
        let hopeless = self.same_program && reference.as_ref().is_some_and(Deed::timed_out);
        let candidate = if hopeless {
            Deed::default()
        } else {
            let made = reference.as_ref();
            self.deed(Side::Candidate, steps, made, operation.bounds())?
        };
        Ok(Exchange {
            speakers: [Side::Candidate, Side::Reference].map(|side| self.speaker(side)),
            candidate,
            reference,
            opinion: None,
        })
    }
}

fn is_stuck(deed: &Deed) -> bool {
    deed.turns.last().is_some_and(
        |turn| matches!(&turn.answer.exit, Exit::TimedOut(post_mortem) if !post_mortem.is_busy),
    )
}
