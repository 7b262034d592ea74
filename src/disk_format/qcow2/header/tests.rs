//! Unit tests of `header.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::fixture::Scratch;
use super::*;

fn read(path: &std::path::Path) -> Result<Header, Unparsable> {
    Header::read(&ImageBytes::open(path)?)
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn the_header_states_the_options_that_the_image_was_created_with() {
    let scratch = Scratch::new();
    for cluster_bits in CLUSTER_BITS {
        let options = format!("cluster_size={}", 1_u64 << cluster_bits);
        let header = read(&scratch.image("image", &options)).unwrap();
        assert_eq!((header.version, header.cluster_bits), (3, cluster_bits));
        assert_eq!((header.size, header.refcount_bits()), (1 << 20, 16));
    }
    for order in 0..=REFCOUNT_ORDER_MAX {
        let options = format!("refcount_bits={}", 1 << order);
        let header = read(&scratch.image("image", &options)).unwrap();
        assert_eq!(header.refcount_order, order);
    }
    let header = read(&scratch.image("image", "compat=0.10")).unwrap();
    assert_eq!((header.version, header.refcount_bits()), (2, 16));
    let header = read(&scratch.image("image", "extended_l2=on")).unwrap();
    assert_eq!(header.l2_entry_bytes(), 16);
}

#[test]
fn an_invalid_header_is_refused_with_the_name_of_the_field() {
    let mut bytes = vec![0; READ_BYTES as usize];
    bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    bytes[23] = 16;
    assert!(Header::parse(&bytes).is_ok());
    for (place, byte, words) in [
        (0, 0, "QFI"),
        (7, 4, "version 4"),
        (23, 8, "cluster_bits 8"),
        (22, 1, "cluster_bits 272"),
        (99, 7, "refcount_order 7"),
        (47, 1, "l1_table_offset 0x1"),
    ] {
        let mut wrong = bytes.clone();
        wrong[place] = byte;
        let why = Header::parse(&wrong).unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
    }
}
