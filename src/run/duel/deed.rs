//! What one side does in an operation: its steps carried out, each with its time, and every call of a tool.
//!
//! Called by the duel. What the answers mean is for the judges.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::field::Empty;

use super::{Bout, harness};
use crate::base::error::Result;
use crate::base::phase::Phase;
use crate::case::cost::{self, Cost};
use crate::oracle::exchange::{Actor, Bounds, Deed, Opinion, Side, Speaker, Step, Turn};
use crate::run::scratch_dir::{ScratchDir, Stamps};
use crate::tool::request::{Answer, Exit, ImageFile, Request};
use crate::tool::{Scene, Support, Tool};

/// How much longer than its limit the reference may take for a call, in limits, for as long as it is busy.
pub const BUSY_REFERENCE_EXTRA_LIMITS: u32 = 2;

/// What is added to that for each flush that the reference is known to have to make: a slow disk's.
pub const SLOW_FLUSH: Duration = Duration::from_millis(2);

/// How much longer than its limit the reference may take in all, in limits.
pub const BUSY_REFERENCE_EXTRA_LIMITS_MAX: u32 = 6;

/// How many times longer than the reference the candidate may take for the same step, for as long as it is busy, where that is more
/// than the limit.
pub const MUCH_SLOWER: u32 = 3;

impl<'duel> Bout<'duel> {
    /// Carries out an operation's steps on a side, up to the first that ends it. `made` is what the reference did before.
    pub(super) fn deed(
        &mut self,
        side: Side,
        steps: &[Step],
        made: Option<&Deed>,
        bounds: Option<Bounds>,
    ) -> Result<Deed> {
        let mut deed = Deed::default();
        let costs = cost::of_steps(steps);
        self.bounds = None;
        // What is there after one step is what is there before the next.
        let mut before = self.scratch_dir.stamps(side);
        for (index, step) in steps.iter().enumerate() {
            let _step = tracing::trace_span!("step", index, side = side.name()).entered();
            let done = made.and_then(|made| made.turns.get(index));
            if let Some(done) = done.filter(|_| step.actor == Actor::Once) {
                deed.turns.push(done.clone());
                if done.answer.succeeded() {
                    self.bounds = bounds;
                    continue;
                }
                break;
            }
            let (by, answer) = self.step(side, step, done, costs[index], &mut deed.lacks)?;
            let is_damage = matches!(step.request, Request::Damage { .. });
            let goes_on = match answer.exit {
                Exit::Success => true,
                Exit::Refused(_) => !step.rule.ends(),
                Exit::Unsupported(_) | Exit::Crashed(_) | Exit::TimedOut(_) | Exit::HitLimit(_) => {
                    false
                }
            };
            let file_bytes = self.scratch_dir.length(side, &step.request.file().path);
            // What makes an image may take its time; what is then done with it has bounds.
            self.bounds = self.bounds.or(bounds.filter(|_| is_damage));
            let space = self.bounds.map(|_| self.scratch_dir.space(side));
            let after = self.scratch_dir.stamps(side);
            deed.turns.push(Turn {
                step: step.clone(),
                by,
                answer,
                file_bytes,
                changed_files: changed(&before, &after),
                scratch_bytes: space.unwrap_or(0),
            });
            before = after;
            if !goes_on {
                break;
            }
        }
        Ok(deed)
    }

    /// Carries out one step on a side: by whom, and the answer. What the side's tool says it lacks is added to `lacks`.
    fn step(
        &mut self,
        side: Side,
        step: &Step,
        done: Option<&Turn>,
        cost: Cost,
        lacks: &mut Vec<String>,
    ) -> Result<(Side, Answer)> {
        let by = match step.actor {
            Actor::Side => side,
            Actor::SideOrReference if self.tool(side).support(&step.request) == Support::Yes => {
                side
            }
            _ => Side::Reference,
        };
        let is_damage = matches!(step.request, Request::Damage { .. });
        // Bytes of a raw file are what the guest sees: to put them there as a fixture takes no tool.
        let is_raw_fixture =
            step.actor == Actor::Reference && harness::writes_itself(&step.request);
        let answer = match step.actor == Actor::Harness || is_damage || is_raw_fixture {
            true => harness::carry_out(&step.request, self.scratch_dir, side),
            false => self.ask_for(side, by, &step.request, done, cost)?,
        };
        let Exit::Unsupported(feature) = &answer.exit else {
            return Ok((by, answer));
        };
        lacks.push(feature.clone());
        if step.actor != Actor::SideOrReference {
            return Ok((by, answer));
        }
        let answer = self.ask_for(side, Side::Reference, &step.request, done, cost)?;
        Ok((Side::Reference, answer))
    }

    /// Asks a tool for a step on a side: `done` is what the reference did for it. Of a call that ran out of time, how far it got.
    fn ask_for(
        &mut self,
        side: Side,
        by: Side,
        request: &Request,
        done: Option<&Turn>,
        cost: Cost,
    ) -> Result<Answer> {
        let file = &request.file().path;
        let before = self.scratch_dir.length(side, file);
        let grace = self.grace(by, done, cost);
        let directory = self.scratch_dir.directory(side);
        let mut answer = calls(by).of(|| self.ask_in(directory, by, request, grace))?;
        if let Exit::TimedOut(post_mortem) = &mut answer.exit {
            let now = self.scratch_dir.length(side, file).unwrap_or_default();
            let grown = now.saturating_sub(before.unwrap_or_default());
            post_mortem.progress = cost.progress(grown);
        }
        Ok(answer)
    }

    /// What a witness says of an image on the candidate's side.
    pub(super) fn hear_witness(&mut self, file: &ImageFile) -> Result<Option<Opinion>> {
        let directory = self.scratch_dir.directory(Side::Candidate);
        let ImageFile { format, path, .. } = file;
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

    pub(super) fn tool(&self, by: Side) -> &'duel dyn Tool {
        match by {
            Side::Candidate => &*self.duel.candidate,
            Side::Reference => &*self.duel.reference,
        }
    }

    pub(super) fn speaker(&self, by: Side) -> Speaker {
        let tool = self.tool(by);
        Speaker {
            name: tool.name().to_owned(),
            version: tool.version().to_owned(),
        }
    }

    pub(super) fn ask(&mut self, side: Side, by: Side, request: &Request) -> Result<Answer> {
        let grace = self.grace(by, None, Cost::default());
        calls(by).of(|| self.ask_in(self.scratch_dir.directory(side), by, request, grace))
    }

    /// How long a busy tool may take beyond its limit; the candidate by what the reference took for the same, where that is known.
    pub(super) fn grace(&self, by: Side, reference: Option<&Turn>, cost: Cost) -> Duration {
        let limit = self.duel.limit;
        match (by, reference) {
            (Side::Reference, _) => {
                let flushes = match self.duel.sandbox.flushes_off {
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

    pub(super) fn scene<'call>(&self, directory: &'call Path, grace: Duration) -> Scene<'call>
    where
        'duel: 'call,
    {
        let limit = self.duel.limit;
        Scene {
            directory,
            limit: self.bounds.map_or(limit, |bounds| bounds.time.min(limit)),
            grace: if self.bounds.is_some() {
                Duration::ZERO
            } else {
                grace
            },
            sandbox: &self.duel.sandbox,
            memory_bytes_max: self.bounds.map(|bounds| bounds.memory_bytes_max),
        }
    }

    pub(super) fn ask_in(
        &mut self,
        directory: PathBuf,
        by: Side,
        request: &Request,
        grace: Duration,
    ) -> Result<Answer> {
        // Nobody is asked to wait for it.
        if let Some(wrong) = ScratchDir::in_place_of_a_file(&directory, &request.images()) {
            return Ok(harness::refusal(request, wrong));
        }
        let scene = self.scene(&directory, grace);
        let call = tracing::debug_span!(
            "call",
            by = by.name(),
            request = request.name(),
            exit = Empty
        );
        let answer = call.in_scope(|| self.tool(by).ask(request, &scene))?;
        if !call.is_disabled() {
            call.record("exit", answer.exit.describe());
        }
        self.tool_calls += answer.calls;
        self.tool_cpu += answer.cpu;
        Ok(answer)
    }
}

fn calls(by: Side) -> Phase {
    match by {
        Side::Candidate => Phase::CandidateCalls,
        Side::Reference => Phase::ReferenceCalls,
    }
}

/// The names that stand in one of two listings alone, or with another stamp.
fn changed(before: &Stamps, after: &Stamps) -> Vec<String> {
    let names = before.keys().chain(after.keys());
    let names: BTreeSet<&String> = names
        .filter(|name| before.get(*name) != after.get(*name))
        .collect();
    names.into_iter().cloned().collect()
}
