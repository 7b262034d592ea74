//! Estimates what a chain costs the reference, so that expensive chains are drawn rarer in proportion.
//!
//! Of native1, five of a hundred cases take two fifths of the tools' CPU time: keys of LUKS, copies of thousands of blocks, images of
//! thousands of L2 tables. They find no more than others. A generation with a budget keeps a chain of twice the budget half of the time, one
//! of ten times the budget once in ten. The figures are those of qemu-img 10.0.2 on records of native1 and native2.

use super::edges::Grain;
use crate::base::rng::NativeRandom;
use crate::image::content::Write;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::{CreateOptions, Encryption};
use crate::operation::chain::{Chain, ChainState, ChainStep, Conversion};
use crate::tool::request::{ImageFile, dd_range};

/// How often a chain is drawn anew.
const REDRAWS_MAX: usize = 12;
/// Costs in microseconds: of a call, a key of LUKS, a cluster that is written, an L2 table that is
/// visited, an entry that is visited alone, a block that dd copies, and a MiB.
pub(in crate::case::generation) const CALL: u64 = 2000;
const KEY: u64 = 2_300_000;
const VOLUME_KEY: u64 = 8000;
const CLUSTER: u64 = 40;
const TABLE: u64 = 25;
const ENTRY: u64 = 2;
const BLOCK: u64 = 60;
const MEBIBYTE: u64 = 800;

/// Draws chains by `draw` until one fits the budget in microseconds, or is kept though it does not.
pub(super) fn within(
    random: &mut NativeRandom,
    budget: Option<u64>,
    draw: impl Fn(&mut NativeRandom) -> Chain,
) -> Chain {
    let mut chain = draw(random);
    let Some(budget) = budget else {
        return chain;
    };
    for _ in 0..REDRAWS_MAX {
        let cost = estimate(&chain);
        if cost <= budget || random.below(cost) < budget {
            break;
        }
        chain = draw(random);
    }
    chain
}

/// Returns the estimated CPU time of the reference for its own side of a chain, in microseconds.
pub(in crate::case::generation) fn estimate(chain: &Chain) -> u64 {
    let mut cost = 0;
    for layer in &chain.layers {
        let file = ImageFile::new("", layer.format).with_options(layer.options.clone());
        cost += created(&layer.options) + key(layer.format) + written(&file, &layer.writes);
        cost += layer.steps.len() as u64 * CALL;
        if layer.options.preallocates() {
            cost += layer.size / Grain::for_file(&file).table * TABLE * 4;
        }
    }
    let mut chain_state = ChainState::start("", &chain.layers);
    for step in &chain.steps {
        cost += CALL + of_step(step, &chain_state);
        chain_state.advance(step, true);
    }
    // The final image is read, mapped and checked.
    cost + 3 * visited(&chain_state)
}

fn created(options: &CreateOptions) -> u64 {
    match options.encrypt_format() {
        Some(Encryption::Luks) => CALL + KEY,
        _ => CALL,
    }
}

/// What the key of an image of the format luks costs: nobody measures how fast the machine is, as for one within a qcow2.
fn key(format: Format) -> u64 {
    match format {
        Format::Luks => VOLUME_KEY,
        _ => 0,
    }
}

fn written(file: &ImageFile, writes: &[Write]) -> u64 {
    let cluster = Grain::for_file(file).cluster;
    let costs = writes.iter().map(|write| {
        let clusters = write.length / cluster + 1;
        clusters * CLUSTER + (write.length >> 10) * MEBIBYTE / 1024
    });
    costs.sum::<u64>() + if writes.is_empty() { 0 } else { CALL }
}

/// Returns what it costs to visit a whole image.
fn visited(chain_state: &ChainState) -> u64 {
    let files = chain_state.below().iter().chain([chain_state.top()]);
    let size = chain_state.model.top.size;
    let structures = files.map(|file| match file.format {
        Format::Raw => 0,
        // qemu-img asks for each cluster of a qcow, which an overlay has of one sector.
        Format::Qcow if file.backing.is_some() => size / SECTOR_BYTES * ENTRY,
        Format::Qcow => size / Grain::for_file(file).cluster * ENTRY,
        _ => size / Grain::for_file(file).table * TABLE,
    });
    let runs = chain_state.model.top.runs();
    let data: u64 = runs.map(|(start, end)| end - start).sum();
    CALL + structures.sum::<u64>() + (data >> 10) * MEBIBYTE / 1024
}

fn of_step(step: &ChainStep, chain_state: &ChainState) -> u64 {
    match step {
        ChainStep::Write { writes } => written(chain_state.top(), writes),
        ChainStep::WriteZeroes { length, .. } | ChainStep::Discard { length, .. } => {
            length / Grain::for_file(chain_state.top()).cluster * CLUSTER / 4
        }
        ChainStep::Resize { size, .. } => {
            let cut = chain_state.model.top.size.saturating_sub(*size);
            cut / Grain::for_file(chain_state.top()).table * TABLE * 4
        }
        ChainStep::Convert(to) | ChainStep::ConvertSnapshot { to, .. } => copied(to, chain_state),
        ChainStep::Dd {
            format,
            block_size,
            count,
            skip,
        } => {
            let (_, length) = dd_range(chain_state.model.top.size, *block_size, *count, *skip);
            let target = Grain::for_file(&ImageFile::new("", *format)).cluster;
            length / block_size * BLOCK + length / target * CLUSTER + (length >> 20) * MEBIBYTE
        }
        ChainStep::Below { step, .. }
        | ChainStep::Refused { step }
        | ChainStep::Opened { step, .. } => of_step(step, chain_state),
        ChainStep::Bench { count, length, .. } => count * (length >> 10) * MEBIBYTE / 1024,
        ChainStep::Read
        | ChainStep::Map { .. }
        | ChainStep::Compare { .. }
        | ChainStep::Measure { .. }
        | ChainStep::Rebase { .. }
        | ChainStep::Commit { .. } => visited(chain_state),
        ChainStep::ConvertInto { .. } => visited(chain_state) * 2,
        _ => 0,
    }
}

fn copied(to: &Conversion, chain_state: &ChainState) -> u64 {
    created(&to.options) + key(to.format) + visited(chain_state) * 2
}

#[cfg(test)]
mod tests {
    use super::super::{DEEP, KINDS, RICH};
    use super::*;

    #[test]
    fn a_budget_makes_expensive_chains_rare_and_keeps_them_possible() {
        let costs = |profile: &super::super::NativeProfile| {
            let chains = (0..600).map(|seed| {
                let mut random = NativeRandom::new(seed);
                within(&mut random, profile.budget, |random| {
                    profile.chain(random, &KINDS)
                })
            });
            let mut costs: Vec<u64> = chains.map(|chain| estimate(&chain)).collect();
            costs.sort_unstable();
            costs
        };
        let (free, bound) = (costs(&DEEP), costs(&RICH));
        let all = |costs: &[u64]| costs.iter().sum::<u64>();
        assert!(
            all(&bound) * 3 < all(&free) * 2,
            "{} {}",
            all(&bound),
            all(&free)
        );
        let budget = RICH.budget.expect("a budget");
        assert!(bound.last().is_some_and(|most| *most > 2 * budget));
    }
}
