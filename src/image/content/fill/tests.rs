//! Unit tests of `fill.rs`.

use super::*;

fn recipe(texture: Texture, seed: u32, shift: u64) -> Recipe {
    Recipe {
        texture,
        seed,
        shift,
    }
}

#[test]
fn every_part_of_the_data_is_the_same_however_it_is_cut() {
    for texture in Texture::ALL {
        let fill = Fill::Data(recipe(texture, 7, 0));
        let whole = fill.bytes(1000, 20_000);
        let parts = [
            fill.bytes(1000, 1),
            fill.bytes(1001, 4095),
            fill.bytes(5096, 15_904),
        ]
        .concat();
        assert_eq!(whole, parts, "{texture:?}");
        assert_eq!(
            fill.moved_down(700).bytes(300, 20_000),
            whole,
            "{texture:?}"
        );
        assert!(
            whole
                .chunks(SECTOR)
                .all(|sector| sector.iter().any(|byte| *byte != 0))
        );
    }
}

#[test]
fn sectors_name_their_own_place() {
    let bytes = Fill::Data(recipe(Texture::Sectors, 0x2a, 0)).bytes(0x400, 27);
    assert_eq!(
        String::from_utf8_lossy(&bytes),
        "imgduel 0000002a 0000000002"
    );
}

#[test]
fn text_compresses_well_and_noise_does_not() {
    let ratio = |texture| {
        let bytes = Fill::Data(recipe(texture, 3, 0)).bytes(0, 65_536);
        let packed = miniz_oxide::deflate::compress_to_vec(&bytes, 6);
        bytes.len() as f64 / packed.len() as f64
    };
    let (text, noise, mixed) = (
        ratio(Texture::Text),
        ratio(Texture::Noise),
        ratio(Texture::Mixed),
    );
    assert!((2.0..6.0).contains(&text), "{text}");
    assert!(noise < 1.01, "{noise}");
    assert!((1.2..6.0).contains(&mixed), "{mixed}");
}
