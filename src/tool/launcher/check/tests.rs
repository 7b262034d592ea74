//! Unit tests of `check.rs`.

use super::*;

#[test]
fn the_numbers_of_block_nodes_are_masked_and_nothing_else() {
    let output = "bitmap 'b' in '#block165' and '#block9': 17";
    let kept = "bitmap 'b' in '#block' and '#block': 17";
    assert_eq!(masked(output), kept);
}

#[test]
fn the_width_of_a_content_identifier_is_masked_only_in_a_descriptor() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("image.vmdk");
    let length = |text: &str| {
        fs::write(&path, text).unwrap();
        comparable_length(&path, text.len() as u64).unwrap()
    };
    let head = "# Disk DescriptorFile\nversion=1\n";
    let expected = length(&format!("{head}CID=a28384b\nparentCID=ffffffff\n"));
    for (id, rest) in [
        ("a2", "\n"),
        ("12345678", ""),
        ("1", "\n\0\0\0\0"),
        ("1", "\n\0\0f\n"),
    ] {
        let text = format!("{head}CID={id}\nparentCID=ffffffff{rest}");
        assert_eq!(length(&text), expected, "{text:?}");
    }
    assert_ne!(length(&format!("{head}CID=a2\n")), expected);
    assert_eq!(length("CID=a28384b\n"), 12);
}

#[test]
fn bytes_are_compared_of_files_in_which_nothing_is_drawn_or_dated() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("image");
    let are_compared = |head: &[u8], tail: &[u8]| {
        let bytes = [head, &[0; 8192], tail].concat();
        fs::write(&path, bytes).unwrap();
        comparable_bytes(&path).unwrap().is_some()
    };
    let plain = [&b"QFI\xfb\0\0\0\x03"[..], &[0; 96]].concat();
    let with = |place: usize| {
        let mut bytes = plain.clone();
        bytes[place + 3] = 1;
        bytes
    };
    assert!(are_compared(&plain, &[]) && are_compared(b"", &[]));
    assert!(!are_compared(&with(32), &[]) && !are_compared(&with(60), &[]));
    for magic in DRAWN {
        assert!(!are_compared(magic, &[]));
    }
    let footer = [VPC, &[0; 504]].concat();
    assert!(!are_compared(b"", &footer));
    fs::write(&path, "QFI\u{fb}").unwrap();
    assert!(comparable_bytes(&path).unwrap().is_some());
    fs::write(&path, b"QFI\xfb").unwrap();
    assert!(comparable_bytes(&path).unwrap().is_none());
}

#[test]
fn requests_that_are_under_way_together_end_in_any_order() {
    let io = |input: &[u8]| overlaps(&["-f".to_owned(), "qcow2".to_owned()], input);
    assert!(io(b"read 0 512\naio_write 0 512\naio_flush\n") && io(b"aio_flush"));
    assert!(!io(b"read 0 512\nwrite -P 1 0 512\n"));
    let img = |command: &str| overlaps(&[command.to_owned(), "image".to_owned()], b"");
    assert!(img("commit") && img("bench") && !img("convert"));
    let told =
        "qemu-io> qemu-io> wrote 2/2 bytes at offset 4\nqemu-io> wrote 1/1 bytes at offset 0";
    let otherwise =
        "qemu-io> wrote 1/1 bytes at offset 0\nqemu-io> qemu-io> wrote 2/2 bytes at offset 4";
    assert_eq!(in_any_order(told), in_any_order(otherwise));
    assert_ne!(
        in_any_order(told),
        in_any_order(&otherwise.replace("2/2", "1/2"))
    );
}

#[test]
fn a_copy_keeps_the_modification_time() {
    let places = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [from, to] = [0, 1].map(|index: usize| places[index].path().join("image"));
    fs::write(&from, "x").unwrap();
    let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 30);
    let file = File::options().write(true).open(&from).unwrap();
    file.set_modified(then).unwrap();
    copy_files(places[0].path(), places[1].path()).unwrap();
    assert_eq!(to.metadata().unwrap().modified().unwrap(), then);
}
