//! Unit tests of `refcounts.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::fixture::Scratch;
use super::*;

#[test]
fn writing_an_entry_of_any_width_changes_no_other_entry() {
    for order in 0..=6 {
        let bits = 1 << order;
        let most = if bits == 64 {
            u64::MAX
        } else {
            (1 << bits) - 1
        };
        let mut block = vec![0; 512];
        for index in 0..512 * 8 / bits {
            set_entry(&mut block, index, bits, index & most).unwrap();
        }
        set_entry(&mut block, 5, bits, most).unwrap();
        for index in (0..512 * 8 / bits).filter(|index| *index != 5) {
            assert_eq!(entry(&block, index, bits), index & most, "{bits} bits");
        }
        assert_eq!(entry(&block, 5, bits), most);
        if bits < 64 {
            assert!(set_entry(&mut block, 0, bits, most + 1).is_err());
        }
    }
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn qemu_img_finds_a_zeroed_refcount_in_every_width_and_cluster_size() {
    let scratch = Scratch::new();
    for options in [1, 2, 4, 8, 16, 32, 64]
        .map(|bits| format!("refcount_bits={bits}"))
        .into_iter()
        .chain((9..=21).map(|bits| format!("cluster_size={}", 1 << bits)))
    {
        let path = scratch.image("image", &options);
        let image = ImageBytes::open(&path).unwrap();
        let header = Header::read(&image).unwrap();
        let table = RefcountTable::read(&image, &header).unwrap();
        let mut counted = Vec::new();
        table
            .each_counted(&image, |cluster, refcount| {
                counted.push((cluster, refcount));
                Ok(())
            })
            .unwrap();
        // In a new image, the header, the tables and the data use each cluster exactly once.
        let clusters = image.length().div_ceil(header.cluster_size());
        let all: Vec<(u64, u64)> = (0..clusters).map(|cluster| (cluster, 1)).collect();
        assert_eq!(counted, all, "{options}");
        assert_eq!(table.refcount(&image, clusters - 1).unwrap(), 1);
        assert_eq!(table.refcount(&image, 1 << 60).unwrap(), 0);

        table.set_refcount(&image, clusters - 1, 0).unwrap();
        let (code, output) = scratch.run("qemu-img", &["check", "image"]);
        assert_eq!(code, 2, "{options}: {output}");
        table.set_refcount(&image, clusters - 1, 1).unwrap();
        scratch.qemu_img(&["check", "image"]);
    }
}
