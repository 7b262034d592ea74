//! The data of recipes: scripts make the same bytes in awk.

use std::process::Command;

use imgduel::image::content::{Fill, Recipe, Texture};

fn recipe(texture: Texture, seed: u32, shift: u64) -> Recipe {
    Recipe {
        texture,
        seed,
        shift,
    }
}

#[test]
fn awk_makes_the_same_bytes() {
    for (texture, offset, length) in [
        (Texture::Sectors, 0, 1024),
        (Texture::Text, 512, 4096),
        (Texture::Noise, 1000, 5000),
        (Texture::Mixed, 3 << 32, 40_000),
    ] {
        let recipe = recipe(texture, 0xdead_beef, 77);
        let line = recipe.in_awk(offset, length);
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output.stdout == Fill::Data(recipe).bytes(offset, length),
            "{texture:?}: {line}"
        );
    }
}
