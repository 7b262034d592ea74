//! Unit tests of `dmg.rs`.

use super::*;

fn recipe() -> DmgRecipe {
    let chunks = vec![
        Chunk(ChunkKind::Raw, 3),
        Chunk(ChunkKind::Zero, 9),
        Chunk(ChunkKind::Zlib, 2),
    ];
    DmgRecipe::new(chunks, Some(1), false, Payload::default())
}

#[test]
fn a_window_of_the_contents_has_the_bytes_of_that_window() {
    let recipe = recipe();
    let mut all = Vec::new();
    recipe.each_chunk(|_, data| all.extend_from_slice(data));
    assert_eq!(all.len() as u64, recipe.bytes());
    for (start, length) in [(0, 7168), (1, 7000), (1535, 2), (6144, 1024)] {
        let mut builder = ContentsBuilder::new(length);
        builder.add(0, &all[start as usize..(start + length) as usize]);
        assert_eq!(
            recipe.contents_within(start, length),
            builder.finish(),
            "{start}+{length}"
        );
    }
}

#[test]
fn what_does_not_follow_from_the_chunks_is_refused() {
    assert_eq!(recipe().validity(), Ok(()));
    let mut other = recipe();
    other.guest_sha256.replace_range(0..1, "x");
    assert!(other.validity().unwrap_err().contains("guest_sha256"));
    other.complete();
    assert_eq!(other.validity(), Ok(()));
    other.sectors += 1;
    assert!(other.validity().is_err());
}

#[test]
fn every_simpler_version_is_valid_and_differs() {
    for version in recipe().simpler() {
        assert_eq!(version.validity(), Ok(()));
        assert_ne!(version, recipe());
    }
}
