//! Unit tests of `host_clusters.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::fixture::Scratch;
use super::*;

fn read(path: &std::path::Path) -> Result<HostClusters, Unparsable> {
    HostClusters::settle_and_read(&ImageBytes::open(path)?)
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn images_of_the_same_recipe_have_equal_host_clusters_whenever_they_are_created() {
    let scratch = Scratch::new();
    for options in [
        "cluster_size=512",
        "cluster_size=2M",
        "compat=0.10",
        "refcount_bits=64",
        "refcount_bits=4",
    ] {
        let [one, two] = ["one", "two"].map(|name| {
            let path = scratch.image(name, options);
            scratch.qemu_img(&["snapshot", "-c", "alpha", name]);
            scratch.qemu_img(&["snapshot", "-c", "beta", name]);
            read(&path).unwrap()
        });
        assert_eq!(one.difference(&two), None, "{options}");
        assert!(one.clusters.values().all(|cluster| cluster.refcount > 0));
        assert!(one.clusters.values().any(|cluster| cluster.refcount == 3));
    }
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn a_different_byte_is_found_in_a_used_cluster_and_ignored_in_an_unused_one() {
    let scratch = Scratch::new();
    let path = scratch.image("image", "cluster_size=4096");
    let before = read(&path).unwrap();
    let image = ImageBytes::open(&path).unwrap();
    let last = image.length() / 4096 - 1;
    image.write("a byte", last * 4096 + 7, &[1]).unwrap();
    let after = read(&path).unwrap();
    let found = before.difference(&after).unwrap();
    assert_eq!(found.region, HostRegion::Prefix);
    assert!(matches!(found.place, HostPlace::Cluster { index, .. } if index == last));

    let freed = |mut clusters: HostClusters| {
        clusters.clusters.get_mut(&last).unwrap().refcount = 0;
        clusters
    };
    assert!(freed(before.clone()).difference(&after).is_some());
    assert_eq!(
        freed(before.clone()).difference(&freed(after.clone())),
        None
    );
    let other_width = |mut clusters: HostClusters| {
        clusters.refcount_bits = 32;
        clusters
    };
    let [one, two] = [before, after].map(freed).map(other_width);
    assert!(one.difference(&two).is_some());
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn a_longer_file_is_equal_only_if_its_tail_is_zero() {
    let scratch = Scratch::new();
    let path = scratch.image("image", "cluster_size=512");
    let before = read(&path).unwrap();
    let longer = |bytes: &[u8]| {
        std::fs::write(
            scratch.path("longer"),
            [&std::fs::read(&path).unwrap()[..], bytes].concat(),
        )
        .unwrap();
        read(&scratch.path("longer")).unwrap()
    };
    assert_eq!(before.difference(&longer(&[0; 70000])), None);
    let tail = longer(&[9; 1]);
    assert_eq!(before.difference(&tail).unwrap().region, HostRegion::Tail);
    assert_eq!(tail.difference(&before).unwrap().region, HostRegion::Tail);
}

#[test]
fn a_file_that_is_not_an_image_is_refused() {
    let scratch = Scratch::new();
    for (name, bytes) in [("short", &b"QFI\xfb"[..]), ("other", &[7; 4096])] {
        std::fs::write(scratch.path(name), bytes).unwrap();
        assert!(read(&scratch.path(name)).is_err());
    }
    assert!(read(&scratch.path("nothing")).is_err());
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn reading_an_image_with_corrupt_metadata_never_panics() {
    let scratch = Scratch::new();
    let path = scratch.image("image", "cluster_size=512");
    scratch.qemu_img(&["snapshot", "-c", "alpha", "image"]);
    let whole = std::fs::read(&path).unwrap();
    let header = Header::read(&ImageBytes::open(&path).unwrap()).unwrap();
    let table = header.snapshots_offset as usize;
    let refcounts = header.refcount_table_offset as usize;
    for place in (0..104)
        .chain(table..table + 64)
        .chain(refcounts..refcounts + 16)
    {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[place] = byte;
            std::fs::write(&path, damaged).unwrap();
            let _ = read(&path);
        }
    }
}
