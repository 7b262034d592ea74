//! Unit tests of `cluster_mapping.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::fixture::Scratch;
use super::*;

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn the_first_entries_point_to_the_written_data() {
    let scratch = Scratch::new();
    let sizes = (9..=21).map(|bits| format!("cluster_size={}", 1 << bits));
    for options in sizes.chain(["compat=0.10".to_owned(), "extended_l2=on".to_owned()]) {
        let image = ImageBytes::open(&scratch.image("image", &options)).unwrap();
        let header = Header::read(&image).unwrap();
        let table = L2Table::behind(&image, &header, 0).unwrap();
        let first = table.entry(&image, 0).unwrap();
        assert!(first.is_copied());
        let offset = first.host_cluster_offset().unwrap();
        assert_eq!(image.read("data", offset, 512).unwrap(), [0xaa; 512]);
        if header.cluster_size() == 65536 {
            let second = table.entry(&image, 1).unwrap().host_cluster_offset();
            let data = image.read("data", second.unwrap(), 512).unwrap();
            assert_eq!(data, [0xbb; 512], "{options}");
        }
        assert!(table.entry(&image, header.cluster_size() / 8).is_err());
        assert!(L2Table::behind(&image, &header, header.l1_size).is_err());
    }
}

#[test]
fn compressed_and_unallocated_entries_have_no_host_cluster() {
    assert_eq!(L2Entry::UNALLOCATED.host_cluster_offset(), None);
    assert_eq!(L2Entry(COMPRESSED | 0x10000).host_cluster_offset(), None);
    let entry = L2Entry(COPIED | 0x50000);
    assert_eq!(entry.host_cluster_offset(), Some(0x50000));
    assert_eq!(entry.with_copied(false), L2Entry(0x50000));
}
