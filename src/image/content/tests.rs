//! Unit tests of `content.rs`.

use super::*;

fn write(offset: u64, length: u64, byte: u8) -> Write {
    Write {
        offset,
        length,
        fill: Fill::Byte(byte),
    }
}

#[test]
fn contents_are_equal_whichever_writes_produced_them() {
    let whole = Contents::of_writes(1 << 20, &[write(4096, 8192, 7)]);
    let halves = Contents::of_writes(1 << 20, &[write(8192, 4096, 7), write(4096, 4096, 7)]);
    assert_eq!(whole, halves);
    let zero_over = Contents::of_writes(1 << 20, &[write(0, 4096, 9), write(0, 4096, 0)]);
    assert_eq!(zero_over, Contents::zeros(1 << 20));
}

#[test]
fn a_single_different_byte_is_found_at_its_offset() {
    let one = Contents::of_writes(1 << 20, &[write(65536, 512, 1)]);
    let two = Contents::of_writes(1 << 20, &[write(65536, 512, 1), write(65700, 1, 2)]);
    let difference = one.difference(&two).expect("they differ");
    assert_eq!(difference.place, ContentPlace::Byte(65700));
    assert_eq!(
        (difference.first.as_str(), difference.second.as_str()),
        ("0x01", "0x02")
    );
}

#[test]
fn a_run_that_is_longer_on_one_side_is_found_at_its_end() {
    let short = Contents::of_writes(1 << 20, &[write(0, 8192, 1)]);
    let long = Contents::of_writes(1 << 20, &[write(0, 12288, 1)]);
    assert_eq!(
        short.difference(&long).expect("they differ").place,
        ContentPlace::Byte(8192)
    );
}

#[test]
fn contents_of_different_sizes_differ() {
    assert!(
        Contents::zeros(512)
            .difference(&Contents::zeros(1024))
            .is_some()
    );
}

#[test]
fn contents_are_expressed_as_the_writes_that_produce_them() {
    let writes = [write(3, 5000, 7), write(8191, 2, 9), write(65536, 4096, 7)];
    let contents = Contents::of_writes(1 << 20, &writes);
    assert_eq!(contents.writes().unwrap(), writes);
}

#[test]
fn a_write_is_cut_at_the_end_of_the_image() {
    assert_eq!(
        Contents::of_writes(4096, &[write(0, 8192, 3)]).non_zero_bytes(),
        4096
    );
}

#[test]
fn inconsistent_contents_are_refused() {
    let run = |run: &str| format!(r#"{{"size": 8192, "runs": [{run}]}}"#);
    let read = |text: &str| serde_json::from_str::<Contents>(text);
    let sound = r#"{"first": 0, "count": 1, "fingerprint": [1, 2]}"#;
    assert!(read(&run(sound)).is_ok());
    for unsound in [
        r#"{"first": 0, "count": 0, "fingerprint": [1, 2]}"#,
        r#"{"first": 0, "count": 3, "fingerprint": [1, 2]}"#,
        r#"{"first": 18446744073709551615, "count": 2, "fingerprint": [1, 2]}"#,
        r#"{"first": 0, "count": 1, "fingerprint": [1, 2], "sample": [[1, 7]]}"#,
    ] {
        assert!(read(&run(unsound)).is_err(), "{unsound}");
    }
    assert!(read(&run(&[sound, sound].join(","))).is_err());
}

#[test]
fn a_third_witness_is_asked_at_the_place_where_two_others_differ() {
    let with = |offset: usize, byte: u8| {
        let mut bytes = vec![0; 4 * BLOCK_BYTES as usize];
        bytes[5000] = 7;
        bytes[offset] = byte;
        let mut builder = ContentsBuilder::new(bytes.len() as u64);
        builder.add(0, &bytes);
        builder.finish()
    };
    let (ours, expected, theirs) = (with(9000, 1), with(9000, 2), with(100, 3));
    let found = ours.difference(&expected).unwrap();
    assert_eq!(found.place, ContentPlace::Byte(9000));
    assert_eq!(ours.shown_at(found.place), found.first);
    assert_eq!(expected.shown_at(found.place), found.second);
    // What differs in the third lies elsewhere.
    assert_eq!(theirs.shown_at(found.place), "0x00");
    assert_eq!(theirs.shown_at(ContentPlace::Byte(5000)), "0x07");
    let block = ContentPlace::Block {
        bytes: BLOCK_BYTES,
        offset: 8192,
    };
    assert_eq!(theirs.shown_at(block), "zeros");
    assert!(ours.shown_at(block).starts_with("data "));
    assert_eq!(ours.shown_at(ContentPlace::Size), "16384 bytes");
}
