//! Unit tests of `extensions.rs`.

use super::*;

/// The header of an image with clusters of 64 KiB, with a backing file's name and these extensions, by type.
fn image(extensions: &[(u32, Vec<u8>)], backing: &str) -> Vec<u8> {
    let mut bytes = vec![0; 104];
    let mut put = |offset: usize, word: &[u8]| bytes[offset..][..word.len()].copy_from_slice(word);
    put(0, b"QFI\xfb");
    put(4, &3_u32.to_be_bytes());
    put(20, &16_u32.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &104_u32.to_be_bytes());
    for (kind, data) in extensions {
        bytes.extend(kind.to_be_bytes());
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes.extend([0; 8]);
    let place = bytes.len() as u64;
    if !backing.is_empty() {
        bytes[8..16].copy_from_slice(&place.to_be_bytes());
        bytes[16..20].copy_from_slice(&(backing.len() as u32).to_be_bytes());
    }
    bytes.extend(backing.as_bytes());
    bytes.resize(4 << 16, 0);
    bytes
}

fn read(bytes: &[u8]) -> Result<Extensions, Unparsable> {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("image");
    std::fs::write(&path, bytes).unwrap();
    let image = ImageBytes::open(&path).unwrap();
    let header = Header::read(&image).unwrap();
    Extensions::read(&image, &header)
}

#[test]
fn what_stands_behind_the_first_page_of_a_header_is_read_too() {
    let unknown = |length: u64| (0x1234_5678, vec![7; length as usize]);
    let format = || (BACKING_FORMAT as u32, b"raw".to_vec());
    // Behind the fixed header and the headers of two extensions, the first one ends before, at and behind the page's end.
    for length in [8, 3952, 3960, 3968, 3969, 3976, 3984, 3992, 4000, 50_000] {
        for backing in ["", "below.raw"] {
            let found = read(&image(&[unknown(length), format()], backing)).unwrap();
            assert_eq!(found.found[&BACKING_FORMAT], b"raw", "{length} {backing}");
            assert_eq!(found.found[&0x1234_5678].len() as u64, length);
            assert_eq!(found.backing_file, backing, "{length}");
        }
    }
}

#[test]
fn an_extension_that_does_not_end_in_the_first_cluster_is_an_error() {
    let told = |length: u32| {
        let mut bytes = image(&[], "");
        bytes[104..108].copy_from_slice(&0x1234_5678_u32.to_be_bytes());
        bytes[108..112].copy_from_slice(&length.to_be_bytes());
        read(&bytes).is_ok()
    };
    // The cluster ends 65,424 bytes behind the header and the extension's header.
    assert_eq!([5000, 65_424, 65_425].map(told), [true, true, false]);
}
