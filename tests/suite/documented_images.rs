//! Eleven files as they stand in public documents, typed anew, and what `imgduel inspect` says of each.
//!
//! What a document leaves out is zeros, or not there: extents that a descriptor names, the data behind a header. Only the model is asked, which is always here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use serde_json::Value;

use crate::ring;

/// A file of zeros with these bytes at these places.
fn placed(length: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut file = vec![0; length];
    for (place, bytes) in parts {
        file[*place..][..bytes.len()].copy_from_slice(bytes);
    }
    file
}

/// Bytes as a document shows them, in hexadecimal with blanks.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let pairs = digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// A descriptor of a vmdk: its keys, its extents, its data base.
fn descriptor(keys: &str, extents: &str, data_base: &str) -> Vec<u8> {
    format!("# Disk DescriptorFile\nversion=1\n{keys}\n# Extent description\n{extents}\n# The Disk Data Base\n#DDB\n{data_base}").into_bytes()
}

fn geometry(cylinders: u32) -> String {
    format!(
        "ddb.virtualHWVersion = \"3\"\nddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\nddb.adapterType = \"ide\"\n"
    )
}

/// The keys of a vmdk without a parent.
fn keys(create_type: &str) -> String {
    format!("CID=fffffffe\nparentCID=ffffffff\ncreateType=\"{create_type}\"\n")
}

/// What inspect says of a file: its format, what its headers tell, what is unusual about it, and what the model makes of it.
fn said(directory: &Path, name: &str, bytes: &[u8]) -> String {
    std::fs::write(directory.join(name), bytes).unwrap();
    let mut command = ring::imgduel();
    command.args(["inspect", name, "--tool", "model", "--json"]);
    let output = command.current_dir(directory).output().unwrap();
    let images: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let image = &images[0];
    let facts = image["description"]["facts"].as_array().unwrap().iter();
    let facts = facts.map(|fact| format!("{} {}", text(&fact["what"]), text(&fact["value"])));
    let unusual = image["description"]["unusual"].as_array().unwrap().iter();
    let unusual = unusual.map(|fact| format!("unusual: {}", text(&fact["what"])));
    let outcome = image["tools"][0]["outcome"].as_object().unwrap();
    let outcome = outcome.keys().next().unwrap().clone();
    let all = std::iter::once(text(&image["format"]));
    let all: Vec<String> = all.chain(facts).chain(unusual).chain([outcome]).collect();
    all.join(", ")
}

#[test]
fn descriptors_from_manuals_are_told_though_their_extents_are_not_there() {
    let scratch = ring::scratch();
    let said = |name: &str, bytes: &[u8]| said(scratch.path(), name, bytes);
    // sanbarrow.com, "Disk-type table": monolithicFlat.
    let flat = descriptor(
        &keys("monolithicFlat"),
        "RW 27648000 FLAT \"test-flat.vmdk\" 0\n",
        &geometry(16383),
    );
    assert_eq!(
        said("test.vmdk", &flat),
        "vmdk, type monolithicFlat, adapter ide, hardware version 3, extents 1, size 14155776000, refuses"
    );
    // The same table: twoGbMaxExtentSparse.
    let extents = "RW 4192256 SPARSE \"test-s001.vmdk\"\nRW 4192256 SPARSE \"test-s002.vmdk\"\nRW 4192256 SPARSE \"test-s003.vmdk\"\nRW 1759232 SPARSE \"test-s004.vmdk\"\n";
    let split = descriptor(&keys("twoGbMaxExtentSparse"), extents, &geometry(14222));
    assert_eq!(
        said("split.vmdk", &split),
        "vmdk, type twoGbMaxExtentSparse, adapter ide, hardware version 3, extents 4, size 7340032000, refuses"
    );
    // vmfsrecover.com, "How to recover missed VMDK descriptor file": of ESX.
    let esx = descriptor(
        "encoding=\"UTF-8\"\nCID=fffffffe\nparentCID=ffffffff\nisNativeSnapshot=\"no\"\ncreateType=\"vmfs\"\n",
        "RW 83886080 VMFS \"VM-flat.vmdk\"\n",
        "\nddb.adapterType = \"lsilogic\"\nddb.geometry.cylinders = \"5221\"\nddb.geometry.heads = \"255\"\nddb.geometry.sectors = \"63\"\nddb.thinProvisioned = \"1\"\nddb.virtualHWVersion = \"11\"\n",
    );
    assert_eq!(
        said("VM.vmdk", &esx),
        "vmdk, type vmfs, adapter lsilogic, hardware version 11, extents 1, size 42949672960, refuses"
    );
    // famz.github.io, "More About Vmdk Descriptor File": with the dots of the document.
    let dots = descriptor(
        &keys("twoGbMaxExtentSparse"),
        "RW 4192256 SPARSE \"test-s001.vmdk\"\n...\n",
        "ddb.adapterType = \"ide\"\nddb.geometry.sectors = \"63\"\nddb.geometry.heads = \"16\"\nddb.geometry.cylinders = \"10402\"\n",
    );
    assert_eq!(
        said("dots.vmdk", &dots),
        "vmdk, type twoGbMaxExtentSparse, adapter ide, extents 1, size 2146435072, refuses"
    );
}

/// The header of a qcow2 with clusters of 64 KiB and a table for 1 GiB, as docs/interop/qcow2.rst of QEMU lists the fields, and the tables behind it.
fn qcow2(version: &str, behind: &str) -> Vec<u8> {
    let fields = "0000000000000000 00000000 00000010 0000000040000000 00000000 00000002 0000000000030000 0000000000010000 00000001 00000000 0000000000000000";
    let header = hex(&format!("514649fb {version} {fields} {behind}"));
    let (table, counts) = (hex("0000000000020000"), hex("0001 0001 0001 0001"));
    placed(
        4 << 16,
        &[(0, &header), (1 << 16, &table), (2 << 16, &counts)],
    )
}

#[test]
fn headers_from_specifications_are_told() {
    let scratch = ring::scratch();
    let said = |name: &str, bytes: &[u8]| said(scratch.path(), name, bytes);
    // QEMU, docs/interop/qcow2.rst, Header: of version 2, and of version 3 with its dirty bit, lazy refcounts and a length of 104.
    assert_eq!(
        said("two.qcow2", &qcow2("00000002", "")),
        "qcow2, version 2, size 1073741824, cluster size 65536, refcount bits 16, read"
    );
    let three = "0000000000000001 0000000000000001 0000000000000000 00000004 00000068";
    assert_eq!(
        said("three.qcow2", &qcow2("00000003", three)),
        "qcow2, version 3, size 1073741824, cluster size 65536, refcount bits 16, unusual: it was not closed cleanly, so that refcounts may be stale (dirty bit), read"
    );
    // Virtual Hard Disk Image Format Specification, Hard Disk Footer Format: a fixed disk of Virtual PC, of 32 cylinders, 4 heads and 17 sectors.
    let fields = "636f6e6563746978 00000002 00010000 ffffffffffffffff 00000000 76706320 00050000 5769326b 0000000000110000 0000000000110000 00200411 00000002";
    let mut footer = placed(512, &[(0, &hex(fields)), (68, &[7; 16])]);
    let sum = !footer.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    footer[64..68].copy_from_slice(&sum.to_be_bytes());
    let fixed = [vec![0; 0x11_0000], footer].concat();
    assert_eq!(
        said("fixed.vhd", &fixed),
        "vpc, creator vpc 5.0, host Wi2k, type fixed, size 1114112, geometry 32/4/17, read"
    );
    // QEMU, docs/interop/parallels.rst, Header: the older magic number, blocks of 63 sectors.
    let fields = "02000000 10000000 14000000 3f000000 14000000 c04e000000000000 746f6e59 80000000 00000000 0000000000000000";
    let header = [b"WithoutFreeSpace".to_vec(), hex(fields)].concat();
    assert_eq!(
        said("disk.hds", &placed(1 << 16, &[(0, &header)])),
        "parallels, skipped"
    );
    // QEMU, docs/interop/qed_spec.rst, Header.
    let fields = "51454400 00000100 04000000 01000000 0000000000000000 0000000000000000 0000000000000000 0000010000000000 0000004000000000 00000000 00000000";
    let qed = placed(5 << 16, &[(0, &hex(fields))]);
    assert_eq!(said("disk.qed", &qed), "raw, skipped");
}

#[test]
fn a_header_of_virtualbox_from_a_tutorial_is_told_though_the_file_ends_behind_it() {
    let scratch = ring::scratch();
    // forums.virtualbox.org, t=8046, "All about VDIs": the header of a dynamic disk of 1920 blocks.
    let parts: [(usize, Vec<u8>); 7] = [
        (0, b"<<< Sun xVM VirtualBox Disk Image >>>\n".to_vec()),
        (0x40, hex("7F 10 DA BE 01 00 01 00 90 01 00 00 01 00 00 00")),
        (0x154, hex("00 02 00 00 00 20 00 00")),
        (0x168, hex("00 02 00 00")),
        (
            0x170,
            hex("00 00 00 78 00 00 00 00 00 00 10 00 00 00 00 00 80 07 00 00 0B 02 00 00"),
        ),
        (
            0x188,
            hex("5A 08 62 27 A8 B6 69 44 A1 57 E2 B2 43 A5 8F CB"),
        ),
        (
            0x198,
            hex("0C 5C B1 E3 C5 73 ED 40 AE F7 06 D6 20 69 0C 96"),
        ),
    ];
    let parts: Vec<(usize, &[u8])> = parts
        .iter()
        .map(|(place, bytes)| (*place, &bytes[..]))
        .collect();
    assert_eq!(
        said(scratch.path(), "disk.vdi", &placed(512, &parts)),
        "vdi, creator <<< Sun xVM VirtualBox Disk Image >>>, version 1.1, type dynamic, size 2013265920, block size 1048576, unusual: the file ends before the end of its block map, refuses"
    );
}

/// [MS-VHDX] 2.2.2: a header with this sequence number, without a log that waits, and with its checksum.
fn vhdx_header(sequence: u64) -> Vec<u8> {
    let mut header = placed(
        4096,
        &[
            (0, b"head"),
            (8, &sequence.to_le_bytes()),
            (16, &[1; 16]),
            (32, &[2; 16]),
            (66, &1_u16.to_le_bytes()),
            (68, &0x10_0000_u32.to_le_bytes()),
            (72, &0x10_0000_u64.to_le_bytes()),
        ],
    );
    let sum = crc32c::crc32c(&header);
    header[4..8].copy_from_slice(&sum.to_le_bytes());
    header
}

/// [MS-VHDX] 2.2.3: a table of the two regions that everyone must know, each of a mebibyte.
fn vhdx_regions() -> Vec<u8> {
    let table = hex("6677c22d 23f60042 9d64115e9bfd4a08 0000300000000000 00001000 01000000");
    let metadata = hex("06a27c8b 90479a4b b8fe575f050f886e 0000200000000000 00001000 01000000");
    let mut regions = placed(
        1 << 16,
        &[(0, b"regi"), (8, &[2]), (16, &table), (48, &metadata)],
    );
    let sum = crc32c::crc32c(&regions);
    regions[4..8].copy_from_slice(&sum.to_le_bytes());
    regions
}

/// [MS-VHDX] 2.6: the table of the five items that everyone must know, and their values: blocks of 32 MiB, a disk of 8 GiB, sectors of 512 and 4096 bytes.
fn vhdx_metadata() -> Vec<u8> {
    let items = [
        "3767a1ca 36fa434d b3b633f0aa44e76b 00000100 08000000 04000000 00000000",
        "2442a52f 1bcd7648 b2115dbed83bf4b8 08000100 08000000 06000000 00000000",
        "ab12cabe e6b22345 93efc309e000c746 10000100 10000000 06000000 00000000",
        "1dbf4181 6fa90947 ba47f233a8faab5f 20000100 04000000 06000000 00000000",
        "c748a3cd 5d447144 9cc9e9885251c556 24000100 04000000 06000000 00000000",
    ];
    let values =
        "00000002 00000000 0000000002000000 09090909090909090909090909090909 00020000 00100000";
    let head = [b"metadata".to_vec(), hex("0000 0500")].concat();
    let mut metadata = placed(1 << 20, &[(0, &head), (1 << 16, &hex(values))]);
    for (index, item) in items.iter().enumerate() {
        metadata[32 + index * 32..][..32].copy_from_slice(&hex(item));
    }
    metadata
}

#[test]
fn the_structures_of_the_specification_of_vhdx_are_an_image_of_zeros() {
    let scratch = ring::scratch();
    let creator: Vec<u8> = "Microsoft Windows 6.2.9200.0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let regions = vhdx_regions();
    let image = placed(
        4 << 20,
        &[
            (0, b"vhdxfile"),
            (8, &creator),
            (1 << 16, &vhdx_header(1)),
            (2 << 16, &vhdx_header(2)),
            (3 << 16, &regions),
            (4 << 16, &regions),
            (2 << 20, &vhdx_metadata()),
        ],
    );
    assert_eq!(
        said(scratch.path(), "disk.vhdx", &image),
        "vhdx, creator Microsoft Windows 6.2.9200.0, block size 33554432, type dynamic, size 8589934592, logical sector 512, physical sector 4096, blocks 0 of 256, read"
    );
}
