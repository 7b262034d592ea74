//! Unit tests of `equivalence.rs`.

use super::*;
use std::fs;

/// Compares `bytes` with a copy that `change` has modified.
fn is_equivalent(bytes: &[u8], format: Format, change: impl Fn(&mut Vec<u8>)) -> bool {
    let scratch = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| scratch.path().join(name));
    fs::write(&one, bytes).unwrap();
    let mut changed = bytes.to_vec();
    change(&mut changed);
    fs::write(&other, changed).unwrap();
    equivalent(&one, &other, format).unwrap()
}

/// Headers, a region table with a metadata region at 2 MiB, and an item "page 83 data" there.
fn vhdx() -> Vec<u8> {
    let mut bytes = vec![0; (2 << 20) + (128 << 10)];
    let mut put = |offset: u64, what: &[u8]| {
        bytes[offset as usize..offset as usize + what.len()].copy_from_slice(what);
    };
    put(VHDX_HEADERS[1] + 8, &1_u64.to_le_bytes());
    put(REGION_TABLE + 8, &1_u32.to_le_bytes());
    put(REGION_TABLE + 16, &METADATA_REGION);
    put(REGION_TABLE + 32, &(2_u64 << 20).to_le_bytes());
    put((2 << 20) + 10, &1_u16.to_le_bytes());
    put((2 << 20) + 32, &PAGE_83_DATA);
    put((2 << 20) + 48, &(64_u32 << 10).to_le_bytes());
    put((2 << 20) + 52, &16_u32.to_le_bytes());
    write_checksums(&mut bytes);
    bytes
}

fn write_checksums(bytes: &mut [u8]) {
    for header in VHDX_HEADERS {
        let header = &mut bytes[header as usize..][..VHDX_HEADER_BYTES];
        header[CHECKSUM].fill(0);
        let sum = crc32c::crc32c(header).to_le_bytes();
        header[CHECKSUM].copy_from_slice(&sum);
    }
}

#[test]
fn two_vhdx_with_other_identifiers_are_equivalent() {
    assert!(is_equivalent(&vhdx(), Format::Vhdx, |bytes| {
        bytes[(64 << 10) + 8] = 3;
        bytes[(128 << 10) + 8] = 4;
        bytes[(64 << 10) + 16] = 1;
        bytes[(128 << 10) + 47] = 1;
        bytes[(2 << 20) + (64 << 10) + 15] = 1;
        write_checksums(bytes);
    }));
}

#[test]
fn two_vhdx_that_differ_elsewhere_or_in_a_checksum_alone_are_not_equivalent() {
    for place in [0, (64 << 10) + 48, (2 << 20) + (64 << 10) + 16] {
        assert!(
            !is_equivalent(&vhdx(), Format::Vhdx, |bytes| {
                bytes[place] ^= 1;
                write_checksums(bytes);
            }),
            "{place}"
        );
    }
    assert!(!is_equivalent(&vhdx(), Format::Vhdx, |bytes| {
        // The other header is the current one.
        bytes[(64 << 10) + 8] = 3;
        write_checksums(bytes);
    }));
    let at = (64 << 10) + CHECKSUM.start;
    assert!(!is_equivalent(&vhdx(), Format::Vhdx, |bytes| bytes[at] ^= 1));
    assert!(!is_equivalent(&vhdx(), Format::Raw, |bytes| {
        bytes[(64 << 10) + 16] = 1;
        write_checksums(bytes);
    }));
}

#[test]
fn two_vmdk_whose_content_identifiers_alone_differ_are_equivalent() {
    let text = |id: &str, kind: &str| {
        let text = format!("# Disk DescriptorFile\nCID={id}\nparentCID=ffffffff\n{kind}\n");
        let mut bytes = text.into_bytes();
        bytes.resize(1024, 0);
        bytes
    };
    let is_equivalent = |id: &str, kind: &str| {
        is_equivalent(
            &text("a28384b", "monolithicSparse"),
            Format::Vmdk,
            |bytes| {
                *bytes = text(id, kind);
            },
        )
    };
    assert!(is_equivalent("12345678", "monolithicSparse"));
    assert!(!is_equivalent("12345678", "monolithicFlat"));
    assert!(!is_equivalent("what", "monolithicSparse"));
    assert!(!is_equivalent("123456789", "monolithicSparse"));
}
