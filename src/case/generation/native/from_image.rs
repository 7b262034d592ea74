//! Draws chains that begin with an image from outside: looks at it, then steps as the image's format and features allow.
//!
//! The first steps describe and read the image as it is; sometimes an overlay lies on it from the start.

use super::{NativeProfile, Swarm, known_bug, layers};
use crate::base::rng::NativeRandom;
use crate::image::format::Format;
use crate::operation::chain::{Chain, ChainStep, ChainStepKind, Layer};

/// Percentage of chains with an overlay on the image.
const OVERLAY_PERCENT: u64 = 20;
/// The largest image on which an overlay is put, in bytes: a rebase or commit goes through all of it.
const OVERLAY_BYTES_MAX: u64 = 64 << 20;

impl NativeProfile {
    /// Draws a chain on these layers, which come from outside.
    pub(super) fn chain_from(
        &self,
        random: &mut NativeRandom,
        kinds: &[ChainStepKind],
        outside: &[Layer],
    ) -> Chain {
        let swarm = Swarm::draw(random, kinds);
        let provoked = known_bug(random).filter(|_| self.provokes);
        let mut layers = outside.to_vec();
        let is_small = layers
            .last()
            .is_some_and(|layer| layer.size <= OVERLAY_BYTES_MAX);
        let takes_overlays = self.formats.contains(&Format::Qcow2) && !self.for_readers;
        if random.percent(OVERLAY_PERCENT) && is_small && takes_overlays {
            let overlay = layers::on_top(random, self, &layers);
            layers.push(overlay);
        }
        let mut steps = vec![ChainStep::Info, ChainStep::Read];
        steps.extend(self.steps(random, &swarm, provoked, &layers));
        Chain { layers, steps }
    }
}
