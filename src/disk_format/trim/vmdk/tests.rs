//! Unit tests of `vmdk.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

fn extent_lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("RW "));
    lines.map(str::to_owned).collect()
}

#[test]
fn flat_extents_become_one_with_the_bytes_of_both_and_one_of_them_goes() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("disk.vmdk");
    let text = "# Disk DescriptorFile\nversion=1\n\n# Extent description\nRW 2 FLAT \"a.vmdk\" 1\r\nRW 3 FLAT \"b.vmdk\" 0\r\nRW 4 ZERO\n";
    std::fs::write(&path, text).unwrap();
    std::fs::write(scratch.path().join("a.vmdk"), [1; 1536]).unwrap();
    std::fs::write(scratch.path().join("b.vmdk"), [2; 4096]).unwrap();
    let found = steps(&path).unwrap();
    let expected = [2, 1, 0].map(Trim::Extent).into_iter();
    assert_eq!(found, expected.chain([Trim::Merge(0)]).collect::<Vec<_>>());
    merge(&path, 0).unwrap();
    assert_eq!(extent_lines(&path), ["RW 5 FLAT \"a.vmdk\" 1", "RW 4 ZERO"]);
    let merged = std::fs::read(scratch.path().join("a.vmdk")).unwrap();
    assert_eq!(merged, [[1; 1536], [2; 1536]].concat());
    remove(&path, 1).unwrap();
    assert_eq!(extent_lines(&path), ["RW 5 FLAT \"a.vmdk\" 1"]);
    assert!(steps(&path).unwrap().is_empty());
    assert!(remove(&path, 0).is_err());
}
