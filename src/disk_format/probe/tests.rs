//! Unit tests of `probe.rs`.

use super::*;

fn probed(bytes: &[u8]) -> Format {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("image");
    std::fs::write(&path, bytes).unwrap();
    format(&path).unwrap()
}

#[test]
fn a_format_is_recognized_by_its_first_or_its_last_bytes() {
    let mut vdi = vec![0; 512];
    vdi[64..68].copy_from_slice(&[0x7f, 0x10, 0xda, 0xbe]);
    let mut vpc = vec![0; 1024];
    vpc[512..520].copy_from_slice(b"conectix");
    let kinds: [(&[u8], Format); 7] = [
        (b"QFI\xfb\0\0\0\x01", Format::Qcow),
        (b"QFI\xfb\0\0\0\x03", Format::Qcow2),
        (b"# Disk DescriptorFile\n", Format::Vmdk),
        (b"vhdxfile", Format::Vhdx),
        (&vdi, Format::Vdi),
        (&vpc, Format::Vpc),
        (b"", Format::Raw),
    ];
    for (bytes, format) in kinds {
        assert_eq!(probed(bytes), format);
    }
}

#[test]
fn a_descriptor_names_its_extents_and_its_parent() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("own.vmdk");
    let text = "# Disk DescriptorFile\r\nparentFileNameHint=\"below.vmdk\"\r\nRW 4 FLAT \"a b.vmdk\" 0\r\nRDONLY 4 ZERO\r\nRW 4 SPARSE \"own.vmdk\"\r\n";
    std::fs::write(&path, text).unwrap();
    let found = companions(&path, Format::Vmdk).unwrap();
    let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["below.vmdk", "a b.vmdk"]);
}
