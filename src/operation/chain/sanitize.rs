//! Sanitizes a chain, so that every step is meaningful in its state.
//!
//! The shrinker and the guide change a chain at one place, and later steps may then be meaningless: a snapshot that is
//! no longer created cannot be applied. Sanitizing removes such steps and cuts ranges at the end of the image. It does
//! not change a chain that a native generation drew. The rules decide what is meaningful ([`ChainState::admit`]); this
//! module only adjusts steps to them.

use super::step::{ChainStep, Layer};
use super::{Chain, ChainState, KnownQemuBug};
use crate::image::content::Write;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::Preallocation;
use crate::tool::request::SessionRequest;

impl Chain {
    /// Returns the chain without what is not meaningful.
    pub fn sanitized(&self) -> Self {
        self.sanitized_within(&KnownQemuBug::ALL)
    }

    /// Returns the chain without what is not meaningful, and without steps that meet known qemu-img bugs that `other`
    /// does not meet.
    pub fn sanitized_like(&self, other: &Self) -> Self {
        self.sanitized_within(&other.known_bugs())
    }

    /// Returns the known qemu-img bugs that the steps meet.
    pub(super) fn known_bugs(&self) -> Vec<KnownQemuBug> {
        let mut chain_state = ChainState::start("", &self.layers);
        let mut known_bugs = Vec::new();
        for step in &self.steps {
            known_bugs.extend(KnownQemuBug::met_by(&chain_state, step));
            chain_state.advance_as_expected(step);
        }
        known_bugs
    }

    /// Returns the chain without what is not meaningful, and without steps that meet known qemu-img bugs other than
    /// `known_bugs`.
    pub(super) fn sanitized_within(&self, known_bugs: &[KnownQemuBug]) -> Self {
        let layers = sanitized_layers(&self.layers);
        let mut chain_state = ChainState::start("", &layers);
        let mut steps = Vec::new();
        for step in &self.steps {
            let is_safe = |step: &ChainStep| {
                let known_bug = KnownQemuBug::met_by(&chain_state, step);
                known_bug.is_none_or(|known_bug| known_bugs.contains(&known_bug))
            };
            if let Some(step) = sanitized(step, &chain_state).filter(is_safe) {
                chain_state.advance(&step, true);
                steps.push(step);
            }
        }
        Self { layers, steps }
    }
}

/// Returns the layers with those of their steps that are meaningful before the next layer is created.
fn sanitized_layers(layers: &[Layer]) -> Vec<Layer> {
    let mut chain_state = ChainState::bare("");
    let sanitized = layers.iter().map(|layer| {
        let mut layer = sanitized_layer(layer);
        chain_state.add_layer(&layer);
        let steps = std::mem::take(&mut layer.steps);
        for step in steps {
            let sanitized = sanitized(&step, &chain_state).filter(|step| chain_state.is_sure(step));
            if let Some(step) = sanitized {
                chain_state.advance(&step, true);
                layer.steps.push(step);
            }
        }
        layer
    });
    sanitized.collect()
}

fn sanitized_layer(layer: &Layer) -> Layer {
    if layer.outside.is_some() {
        return Layer {
            writes: Vec::new(),
            ..layer.clone()
        };
    }
    let layer = Layer {
        size: (layer.size / SECTOR_BYTES * SECTOR_BYTES).max(SECTOR_BYTES),
        ..layer.clone()
    };
    let empty = Layer {
        writes: Vec::new(),
        steps: Vec::new(),
        ..layer.clone()
    };
    // Some formats round the size.
    let size = ChainState::start("", &[empty]).model.top.size;
    Layer {
        writes: cut(&layer.writes, size),
        ..layer
    }
}

fn cut(writes: &[Write], size: u64) -> Vec<Write> {
    let parts = writes.iter().filter_map(|write| write.within(0, size));
    parts.collect()
}

/// Returns the part of [`offset`, `offset + length`) within an image of `size` bytes, as (offset, length).
fn cut_range(offset: u64, length: u64, size: u64) -> Option<(u64, u64)> {
    let end = offset.saturating_add(length).min(size);
    (offset < end).then(|| (offset, end - offset))
}

/// Returns the step, adjusted as far as necessary; `None` if it is not meaningful even so.
fn sanitized(step: &ChainStep, chain_state: &ChainState) -> Option<ChainStep> {
    let step = adjusted(step, chain_state)?;
    chain_state.admit(&step).is_admitted().then_some(step)
}

/// Returns the step with its ranges cut at the end of the current image; `None` if nothing is left of it.
fn adjusted(step: &ChainStep, chain_state: &ChainState) -> Option<ChainStep> {
    let size = chain_state.model.top.size;
    match step {
        ChainStep::Below { layer, step } => {
            let lower = chain_state.lower(*layer)?;
            let layer = *layer;
            let step = adjusted(step, &lower).map(Box::new)?;
            Some(ChainStep::Below { layer, step })
        }
        ChainStep::Write { writes } => {
            let writes = cut(writes, size);
            (!writes.is_empty()).then_some(ChainStep::Write { writes })
        }
        ChainStep::WriteZeroes {
            offset,
            length,
            unmap,
        } => {
            let (offset, length) = cut_range(*offset, *length, size)?;
            let unmap = *unmap;
            Some(ChainStep::WriteZeroes {
                offset,
                length,
                unmap,
            })
        }
        ChainStep::Discard { offset, length } => {
            let (offset, length) = cut_range(*offset, *length, size)?;
            Some(whole_clusters(offset, length, chain_state))
        }
        ChainStep::Resize {
            size: wanted,
            preallocation,
        } => {
            let wanted = (wanted / SECTOR_BYTES * SECTOR_BYTES).max(SECTOR_BYTES);
            let can = |mode: &Preallocation| chain_state.preallocates(wanted, *mode);
            let preallocation = preallocation.filter(can);
            Some(ChainStep::Resize {
                size: wanted,
                preallocation,
            })
        }
        ChainStep::Opened { opening, step } => {
            let step = adjusted(step, chain_state).map(Box::new)?;
            Some(ChainStep::Opened {
                opening: *opening,
                step,
            })
        }
        ChainStep::Rebase { .. } | ChainStep::Commit { .. } => {
            onto_what_is_there(step, chain_state)
        }
        ChainStep::Bench { .. } => benched(step, size),
        ChainStep::Session { requests } => in_session(requests, chain_state),
        ChainStep::Fault { step, fault } => {
            let step = adjusted(step, chain_state).map(Box::new)?;
            Some(ChainStep::Fault {
                step,
                fault: *fault,
            })
        }
        _ => Some(step.clone()),
    }
}

/// Returns a rebase or a commit that names an image below the current one; `None` if there is none.
fn onto_what_is_there(step: &ChainStep, chain_state: &ChainState) -> Option<ChainStep> {
    let last = chain_state.below().len().checked_sub(1)?;
    let mut step = step.clone();
    if let ChainStep::Rebase { onto: named, .. } | ChainStep::Commit { base: named, .. } = &mut step
    {
        *named = named.map(|index| index.min(last));
    }
    Some(step)
}

/// Returns a session with the requests that are meaningful; `None` if there are none.
fn in_session(requests: &[SessionRequest], chain_state: &ChainState) -> Option<ChainStep> {
    let mut chain_state = chain_state.clone();
    let mut kept = Vec::new();
    for request in requests {
        let request = match request {
            SessionRequest::Discard { offset, length } => {
                let range = cut_range(*offset, *length, chain_state.model.top.size);
                let step =
                    range.map(|(offset, length)| whole_clusters(offset, length, &chain_state));
                match step {
                    Some(ChainStep::Discard { offset, length }) => {
                        SessionRequest::Discard { offset, length }
                    }
                    _ => request.clone(),
                }
            }
            _ => request.clone(),
        };
        let one = std::slice::from_ref(&request);
        if chain_state.sense_of_session(one).is_ok() {
            chain_state.pass_session(one);
            kept.push(request);
        }
    }
    (!kept.is_empty()).then_some(ChainStep::Session { requests: kept })
}

/// Returns a bench with only the requests that lie within the image.
fn benched(step: &ChainStep, size: u64) -> Option<ChainStep> {
    let mut step = step.clone();
    if let ChainStep::Bench {
        count,
        length,
        offset,
        stride,
        ..
    } = &mut step
    {
        let room = size.checked_sub(*offset + *length)?;
        *count = (*count).min(room / (*stride).max(1) + 1);
    }
    Some(step)
}

/// Returns a discard that is rounded to whole clusters if the image is a qcow2.
fn whole_clusters(offset: u64, length: u64, chain_state: &ChainState) -> ChainStep {
    let (top, size) = (chain_state.top(), chain_state.model.top.size);
    if top.format != Format::Qcow2 {
        return ChainStep::Discard { offset, length };
    }
    let cluster = top.cluster_size();
    let start = offset / cluster * cluster;
    let end = (offset + length).next_multiple_of(cluster).min(size);
    ChainStep::Discard {
        offset: start,
        length: end - start,
    }
}

#[cfg(test)]
mod tests;
