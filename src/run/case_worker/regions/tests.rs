//! Unit tests of `regions.rs`.

use super::*;

/// A profile of two functions with two regions and one.
fn profile(counts: [u64; 3]) -> Vec<u8> {
    let names = [&[3_u8, 0][..], b"f\x01g"].concat();
    let header = [
        MAGIC,
        10,
        0,
        2,
        0,
        3,
        0,
        0,
        0,
        names.len() as u64,
        0,
        0,
        0,
        0,
        0,
        2,
    ];
    let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    for (name, counters) in [("f", 2_u32), ("g", 1)] {
        let mut record = [0; RECORD];
        record[..WORD].copy_from_slice(&hashed(name).to_le_bytes());
        record[RECORD_COUNTERS..RECORD_COUNTERS + 4].copy_from_slice(&counters.to_le_bytes());
        bytes.extend_from_slice(&record);
    }
    bytes.extend(counts.iter().flat_map(|count| count.to_le_bytes()));
    bytes.extend_from_slice(&names);
    bytes
}

#[test]
fn a_region_is_newly_run_when_its_count_has_changed() {
    let directory = tempfile::tempdir().unwrap();
    let mut regions = Regions::of_worker(directory.path());
    assert_eq!(regions.newly_run(), BTreeSet::new());
    let write = |counts| fs::write(directory.path().join(FILE), profile(counts)).unwrap();
    write([1, 0, 0]);
    assert_eq!(regions.newly_run(), BTreeSet::from([0]));
    write([1, 0, 9]);
    assert_eq!(regions.newly_run(), BTreeSet::from([2]));
    let mut reached = regions.described().unwrap();
    assert_eq!(reached.all, 3);
    reached.add(&BTreeSet::from([1]));
    assert_eq!(reached.unreached().collect::<Vec<_>>(), ["g"]);
}

#[test]
fn what_is_no_profile_has_no_regions() {
    for bytes in [&b""[..], &[0; 200], &profile([1, 2, 3])[..150]] {
        assert_eq!(counters(bytes), None);
    }
}
