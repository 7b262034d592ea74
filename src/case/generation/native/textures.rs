//! Gives drawn writes data other than a repeated byte. Only profiles with textures do.

use super::NativeProfile;
use crate::base::rng::NativeRandom;
use crate::image::content::{Fill, Recipe, Texture, Write};

/// The textures and their weights: text above all, since it makes compressed clusters of many lengths.
const WEIGHTS: [(Texture, u64); 4] = [
    (Texture::Sectors, 3),
    (Texture::Text, 4),
    (Texture::Noise, 2),
    (Texture::Mixed, 3),
];
/// The number of seeds. Few, so that the same data is written twice now and then.
const SEEDS: u64 = 64;

/// Replaces the bytes of some writes. Zeros stay, and draws nothing if the profile has no textures.
pub(super) fn give(random: &mut NativeRandom, profile: &NativeProfile, writes: &mut [Write]) {
    if profile.textured_percent == 0 {
        return;
    }
    for write in writes.iter_mut().filter(|write| !write.fill.is_zero()) {
        let texture = WEIGHTS[random.weighted(&WEIGHTS.map(|(_, weight)| weight))].0;
        let seed = random.between(1, SEEDS) as u32;
        if random.percent(profile.textured_percent) {
            write.fill = Fill::Data(Recipe {
                texture,
                seed,
                shift: 0,
            });
        }
    }
}
