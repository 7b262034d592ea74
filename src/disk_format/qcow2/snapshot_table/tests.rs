//! Unit tests of `snapshot_table.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::fixture::Scratch;
use super::*;

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn the_table_is_read_and_its_dates_are_replaced_in_every_cluster_size() {
    let scratch = Scratch::new();
    let sizes = (9..=21).map(|bits| format!("cluster_size={}", 1 << bits));
    let widths = [2, 4, 8, 16, 32, 64].map(|bits| format!("refcount_bits={bits}"));
    for options in sizes.chain(widths).chain(["compat=0.10".to_owned()]) {
        let path = scratch.image("image", &options);
        let long = "L".repeat(255);
        for name in ["alpha", "snäp-名前", &long] {
            // A refcount of 4 does not fit into 2 bits.
            if !(options == "refcount_bits=2" && name.len() > 200) {
                scratch.qemu_img(&["snapshot", "-c", name, "image"]);
            }
        }
        let image = ImageBytes::open(&path).unwrap();
        let header = Header::read(&image).unwrap();
        let found = entries(&image, &header).unwrap();
        let ids: Vec<&[u8]> = found.iter().map(|entry| &entry.id_str[..]).collect();
        assert_eq!(ids, [b"1", b"2", b"3"][..found.len()], "{options}");
        assert!(found.len() >= 2, "{options}");

        let dates = settle(&image, &header).unwrap();
        assert!(dates.iter().all(|date| *date > SETTLED_DATE_SEC));
        let (_, output) = scratch.run("qemu-img", &["snapshot", "-l", "image"]);
        assert_eq!(output.matches("2021-01-14 08:25:36").count(), found.len());
        scratch.qemu_img(&["check", "image"]);
        let again = settle(&image, &header).unwrap();
        assert!(again.iter().all(|date| *date == SETTLED_DATE_SEC));
    }
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn a_table_that_exceeds_the_file_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.image("image", "cluster_size=512");
    scratch.qemu_img(&["snapshot", "-c", "alpha", "image"]);
    let image = ImageBytes::open(&path).unwrap();
    let header = Header::read(&image).unwrap();
    let with = |nb_snapshots, snapshots_offset| Header {
        nb_snapshots,
        snapshots_offset,
        ..header.clone()
    };
    assert!(entries(&image, &with(1, header.snapshots_offset)).is_ok());
    for wrong in [
        with(1, 1 << 62),
        with(1, u64::MAX - 511),
        with(70000, header.snapshots_offset),
        with(60000, header.snapshots_offset),
    ] {
        assert!(entries(&image, &wrong).is_err());
    }
    image
        .write("extra", header.snapshots_offset + 36, &[0xff; 4])
        .unwrap();
    assert!(entries(&image, &header).is_err());
}
