//! Mutates and splices cases: removes, duplicates, swaps and inserts steps, moves ranges to boundaries, redraws images, and joins the
//! steps of two cases.
//!
//! The child is sanitized and depends only on the parents and the change, so that its id decodes to the same case again. The
//! campaign's guide decides which cases to mutate.

use super::edges::{self, Grain};
use super::{NativeProfile, Swarm, backing, layers};
use crate::base::rng::NativeRandom;
use crate::case::Case;
use crate::case::generation::ancestry::Change;
use crate::operation::Operation;
use crate::operation::chain::{Chain, ChainState, ChainStep, ChainStepKind};

/// The maximum number of changes made to a child at once.
const AT_ONCE_MAX: u64 = 3;

/// Percentage of mutations that redraw all steps.
const REDRAWN_PERCENT: u64 = 50;

/// The number of attempts to produce a child that differs from its parent.
const TRIES_MAX: u64 = 16;

/// The maximum number of steps of a child.
const STEPS_MAX: usize = 14;

/// Separates the seeds of splices from those of mutations.
const SPLICE_TAG: u64 = 1 << 63;

impl NativeProfile {
    /// Returns the child of `parent`, whose only operation is a chain. `partner` is the second parent of a splice.
    pub(in crate::case::generation) fn changed(
        &self,
        parent: &Case,
        change: Change,
        partner: Option<&Case>,
    ) -> Case {
        let number = match change {
            Change::Mutation(number) => number,
            Change::Splice(iteration) => iteration | SPLICE_TAG,
        };
        let iter_seed = NativeRandom::iteration_seed(parent.iter_seed.unwrap_or_default(), number);
        let mut random = NativeRandom::new(iter_seed);
        let pool = match &parent.ops_filter {
            Some(pool) => super::named(pool),
            None => self.kinds.to_vec(),
        };
        let ops = parent.ops.iter().map(|operation| match operation {
            Operation::Chain(chain) => {
                let other = partner.and_then(chain_of);
                Operation::Chain(self.changed_chain(&mut random, chain, other, &pool))
            }
            other => other.clone(),
        });
        let ops = ops.collect();
        Case {
            generation: change.name(&parent.generation),
            iter_seed: Some(iter_seed),
            ops,
            words_used: random.words_used(),
            ..parent.clone()
        }
    }

    fn changed_chain(
        &self,
        random: &mut NativeRandom,
        parent: &Chain,
        other: Option<&Chain>,
        pool: &[ChainStepKind],
    ) -> Chain {
        let mut child = parent.clone();
        for _ in 0..TRIES_MAX {
            if let Some(other) = other {
                child = spliced(random, parent, other);
            }
            if other.is_none() && random.percent(REDRAWN_PERCENT) {
                // Images with rare features are combined with other steps.
                let swarm = Swarm::draw(random, pool);
                child.steps = self.steps(random, &swarm, None, &child.layers);
            } else {
                let changes = random.between(u64::from(other.is_none()), AT_ONCE_MAX);
                for _ in 0..changes {
                    self.change(random, &mut child, pool);
                }
            }
            child = child.sanitized_like(parent);
            child.steps.truncate(STEPS_MAX);
            if child != *parent {
                break;
            }
        }
        child
    }

    /// Makes one random change: removes, duplicates, swaps, inserts or moves a step, or redraws an image.
    fn change(&self, random: &mut NativeRandom, chain: &mut Chain, pool: &[ChainStepKind]) {
        let place = random.below(chain.steps.len() as u64 + 1) as usize;
        let is_there = place < chain.steps.len();
        match random.weighted(&[10, 10, 10, 30, 30, 15]) {
            0 if is_there && chain.steps.len() > 1 => drop(chain.steps.remove(place)),
            1 if is_there => chain.steps.insert(place, chain.steps[place].clone()),
            2 if is_there => {
                let other = random.below(chain.steps.len() as u64) as usize;
                chain.steps.swap(place, other);
            }
            3 => {
                let chain_state = stand(chain, place);
                let kind = *random.choice(pool);
                if chain_state.model.top.size == 0 {
                    // Earlier swaps or splices can leave a state of size 0, in which no step can be drawn.
                } else if let Some(step) = backing::draw(random, self, kind, &chain_state) {
                    chain.steps.insert(place, step);
                }
            }
            4 if is_there => {
                let chain_state = stand(chain, place);
                if chain_state.model.top.size > 0 {
                    moved(random, &mut chain.steps[place], &chain_state);
                }
            }
            5 => {
                let index = random.below(chain.layers.len() as u64) as usize;
                layers::redraw(random, self, &mut chain.layers, index);
            }
            _ => {}
        }
    }
}

fn chain_of(case: &Case) -> Option<&Chain> {
    case.ops.iter().find_map(|operation| match operation {
        Operation::Chain(chain) => Some(chain),
        _ => None,
    })
}

/// Returns the state of the chain before the step at `place`.
fn stand(chain: &Chain, place: usize) -> ChainState {
    let mut chain_state = ChainState::start("", &chain.layers);
    for step in &chain.steps[..place] {
        chain_state.advance(step, true);
    }
    chain_state
}

/// Joins the images and first steps of `one` with the last steps of `other`, both cut at random.
fn spliced(random: &mut NativeRandom, one: &Chain, other: &Chain) -> Chain {
    let kept = random.below(one.steps.len() as u64 + 1) as usize;
    let left_out = random.below(other.steps.len() as u64 + 1) as usize;
    let steps = one.steps[..kept].iter().chain(&other.steps[left_out..]);
    Chain {
        layers: one.layers.clone(),
        steps: steps.cloned().collect(),
    }
}

/// Redraws the range of a write or discard step, with a bias towards boundaries.
fn moved(random: &mut NativeRandom, step: &mut ChainStep, chain_state: &ChainState) {
    let (size, grain) = (
        chain_state.model.top.size,
        Grain::for_file(chain_state.top()),
    );
    let below: Vec<u64> = chain_state.edges();
    let limit = grain.reach().min(1 << 20);
    let mut range = |offset: &mut u64, length: &mut u64| {
        if random.percent(60) {
            *offset = edges::offset(random, size, grain, &below);
        }
        *offset = (*offset).min(size - 1);
        *length = edges::length(random, *offset, size, grain, limit);
    };
    match step {
        ChainStep::Write { writes } => {
            for write in writes {
                range(&mut write.offset, &mut write.length);
            }
        }
        ChainStep::WriteZeroes { offset, length, .. } | ChainStep::Discard { offset, length } => {
            range(offset, length);
        }
        _ => {}
    }
}
