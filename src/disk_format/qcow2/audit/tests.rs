//! Unit tests of `audit.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::fixture::Scratch;
use super::*;

fn audit(path: &std::path::Path) -> Audit {
    Audit::of_qcow2(&ImageBytes::open(path).unwrap()).unwrap()
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn images_of_qemu_img_have_no_problems() {
    let scratch = Scratch::new();
    for options in [
        "cluster_size=512",
        "cluster_size=2M",
        "compat=0.10",
        "refcount_bits=64",
        "extended_l2=on",
        "lazy_refcounts=on",
    ] {
        let path = scratch.image("image", options);
        scratch.qemu_img(&["snapshot", "-c", "alpha", "image"]);
        if options != "compat=0.10" {
            scratch.qemu_img(&["bitmap", "--add", "image", "one"]);
        }
        scratch.qemu_img(&[
            "convert", "-c", "-O", "qcow2", "-o", options, "image", "packed",
        ]);
        let found = audit(&path);
        assert_eq!(found.problems, Vec::<String>::new(), "{options}");
        assert_eq!(found.bitmaps.len(), usize::from(options != "compat=0.10"));
        assert_eq!(
            audit(&scratch.path("packed")).problems,
            Vec::<String>::new()
        );
    }
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn a_leak_a_low_refcount_and_a_wrong_bit_63_are_reported() {
    let scratch = Scratch::new();
    let path = scratch.image("image", "cluster_size=4096");
    let image = ImageBytes::open(&path).unwrap();
    let header = Header::read(&image).unwrap();
    let refcounts = RefcountTable::read(&image, &header).unwrap();
    let last = image.length() / 4096 - 1;
    for (refcount, words) in [(2, "leaked"), (0, "refcount 0 and 1 references"), (1, "")] {
        refcounts.set_refcount(&image, last, refcount).unwrap();
        let problems = audit(&path).problems.join("; ");
        assert!(
            problems.contains(words) && problems.is_empty() == words.is_empty(),
            "{problems}"
        );
    }
    let l1 = image.read("L1", header.l1_table_offset, 8).unwrap();
    let cleared = [l1[0] & 0x7f];
    image.write("L1", header.l1_table_offset, &cleared).unwrap();
    let problems = audit(&path).problems.join("; ");
    assert!(problems.contains("lacks bit 63"), "{problems}");
}

/// Audits an image with a header of version 3 and clusters of 512 bytes, and with these bytes at these offsets.
fn audit_of_image_with(bytes: &[(usize, &[u8])]) -> Result<Audit, Unparsable> {
    let scratch = Scratch::new();
    let mut image = vec![0; 4096];
    let header: [(usize, &[u8]); 5] = [
        (0, b"QFI\xfb\0\0\0\x03"),
        (23, &[9]),
        (54, &[2]),
        (99, &[4]),
        (103, &[104]),
    ];
    for (place, bytes) in header.iter().chain(bytes) {
        image[*place..*place + bytes.len()].copy_from_slice(bytes);
    }
    let path = scratch.path("image");
    std::fs::write(&path, image).unwrap();
    Audit::of_qcow2(&ImageBytes::open(&path)?)
}

#[test]
fn oversized_structures_are_refused_before_they_are_read() {
    assert!(audit_of_image_with(&[]).is_ok());
    let encryption = [0x05, 0x37, 0xbe, 0x77, 0, 0, 0, 16];
    let most = u64::MAX.to_be_bytes();
    for (bytes, words) in [
        (vec![(56, &[0xff; 4][..])], "the refcount table has"),
        (vec![(36, &[0xff; 4][..])], "more L1 and L2 tables"),
        (
            vec![(104, &encryption[..]), (120, &most[..])],
            "what a header extension leads to has",
        ),
    ] {
        let why = audit_of_image_with(&bytes).unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
    }
}
