//! Gives a drawn chain data other than repeated bytes. Only profiles with textures do.
//!
//! A chain is drawn with bytes, and then each byte stands for data of its own wherever it is written, so that a step that writes once more
//! what is there still does.

use crate::base::rng::NativeRandom;
use crate::image::content::{Fill, Recipe, Texture, Write};
use crate::operation::chain::{Chain, ChainStep};
use crate::tool::request::SessionRequest;

/// The textures and their weights: text above all, since it makes compressed clusters of many lengths.
const WEIGHTS: [(Texture, u64); 4] = [
    (Texture::Sectors, 3),
    (Texture::Text, 4),
    (Texture::Noise, 2),
    (Texture::Mixed, 3),
];
/// Percentage of bytes that stay bytes.
const BYTES_PERCENT: u64 = 25;

/// Gives `percent` of all chains textures. Draws nothing if that is 0.
pub(super) fn give(random: &mut NativeRandom, percent: u64, chain: &mut Chain) {
    if percent == 0 || !random.percent(percent) {
        return;
    }
    let mut fills: Vec<Fill> = (0..=u8::MAX).map(Fill::Byte).collect();
    // Zeros stay zeros.
    for (seed, fill) in (0..).zip(&mut fills).skip(1) {
        let texture = WEIGHTS[random.weighted(&WEIGHTS.map(|(_, weight)| weight))].0;
        if !random.percent(BYTES_PERCENT) {
            *fill = Fill::Data(Recipe {
                texture,
                seed,
                shift: 0,
            });
        }
    }
    for layer in &mut chain.layers {
        replace(&mut layer.writes, &fills);
        layer
            .steps
            .iter_mut()
            .for_each(|step| of_step(step, &fills));
    }
    chain
        .steps
        .iter_mut()
        .for_each(|step| of_step(step, &fills));
}

fn of_step(step: &mut ChainStep, fills: &[Fill]) {
    match step {
        ChainStep::Write { writes } => replace(writes, fills),
        ChainStep::Session { requests } => {
            let writes = requests.iter_mut().filter_map(|request| match request {
                SessionRequest::Write(write) => Some(write),
                // qemu-io takes data from a file for single writes alone.
                _ => None,
            });
            writes.for_each(|write| replace(std::slice::from_mut(write), fills));
        }
        ChainStep::Below { step, .. }
        | ChainStep::Refused { step }
        | ChainStep::Opened { step, .. } => of_step(step, fills),
        _ => {}
    }
}

fn replace(writes: &mut [Write], fills: &[Fill]) {
    for write in writes {
        if let Fill::Byte(byte) = write.fill {
            write.fill = fills[usize::from(byte)];
        }
    }
}
