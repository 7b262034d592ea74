//! Tests of the images in blocks: what is written is read again, in every format.

use super::super::volume::Volume;
use super::*;

const SIZE: u64 = 9 << 20;

fn options(texts: &[&str]) -> CreateOptions {
    CreateOptions::parse(texts).unwrap()
}

#[test]
fn what_is_written_into_an_image_of_any_format_is_read_again() {
    let kinds: [(Format, &[&str]); 12] = [
        (Format::Vdi, &[]),
        (Format::Vdi, &["static=on"]),
        (Format::Vpc, &[]),
        (Format::Vpc, &["force_size=on"]),
        (Format::Vpc, &["subformat=fixed"]),
        (Format::Vpc, &["subformat=fixed", "force_size=on"]),
        (Format::Vhdx, &[]),
        (Format::Vhdx, &["block_size=1M", "log_size=2M"]),
        (Format::Vhdx, &["subformat=fixed"]),
        (Format::Vmdk, &[]),
        (Format::Vmdk, &["zeroed_grain=on"]),
        (Format::Vmdk, &["subformat=twoGbMaxExtentSparse"]),
    ];
    for (format, given) in kinds {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("image.vmdk");
        let (image, size) = BlockFile::new(format, &options(given), SIZE).unwrap();
        let mut volume = Volume::new_blocks(&path, image, format, size);
        volume.write(SIZE - 513, &[9; 513]).unwrap();
        volume.write(1 << 20, &[7; 200_000]).unwrap();
        volume.save(false).unwrap();
        let expected = volume.contents().unwrap();
        let mut again = Volume::open(&path, format).unwrap();
        assert_eq!((again.size, again.contents().unwrap()), (size, expected));
        // A second change keeps what the first one wrote.
        again.write(5 << 20, &[3; 70_000]).unwrap();
        again.zero(1 << 20, 65536, false).unwrap();
        again.save(false).unwrap();
        let expected = again.contents().unwrap();
        let last = Volume::open(&path, format).unwrap();
        assert_eq!(last.contents().unwrap(), expected, "{format} {given:?}");
    }
}

#[test]
fn a_vhdx_of_more_than_a_chunk_has_its_entries_beside_those_of_the_bitmaps() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("image");
    let size = (4 << 40) + (256 << 20);
    let given = options(&["block_size=256M"]);
    let (image, size) = BlockFile::new(Format::Vhdx, &given, size).unwrap();
    let mut volume = Volume::new_blocks(&path, image, Format::Vhdx, size);
    volume.write(size - 4096, &[5; 4096]).unwrap();
    volume.save(false).unwrap();
    let expected = volume.contents().unwrap();
    let again = Volume::open(&path, Format::Vhdx).unwrap();
    assert_eq!(again.contents().unwrap(), expected);
}

#[test]
fn an_image_that_claims_more_blocks_than_it_can_have_is_refused_or_ends_with_its_table() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("image");
    let changed = |format, given: &[&str], at: u64, value: &[u8]| {
        let (image, size) = BlockFile::new(format, &options(given), SIZE).unwrap();
        Volume::new_blocks(&path, image, format, size)
            .save(false)
            .unwrap();
        open_regular_to_change(&path)
            .unwrap()
            .write_all_at(value, at)
            .unwrap();
        BlockFile::open(&path, format).map(|(image, _)| image.map.clusters.len())
    };
    // The footer's current size of a fixed vpc, and the virtual disk size of a vhdx.
    let fixed = ["subformat=fixed", "force_size=on"];
    assert!(changed(Format::Vpc, &fixed, SIZE + 48, &[0x10; 8]).is_err());
    let item = 2 * (1 << 20) + vhdx::FIRST_ITEM + 8;
    assert!(changed(Format::Vhdx, &[], item, &[0x10; 8]).is_ok());
}
