//! Tests of the layout: what stays where it is, and what fails before anything is written.

use super::super::cluster::StoredSnapshot;
use super::super::volume::Volume;
use super::*;
use crate::disk_format::qcow2::ImageBytes;
use crate::disk_format::qcow2::audit::Audit;
use crate::image::format::Format;
use crate::image::options::CreateOptions;

const SIZE: u64 = 1 << 20;

fn written(path: &Path) -> Volume {
    let image = Qcow2File::with_options(&CreateOptions::default());
    let mut volume = Volume::new_qcow2(path, image, SIZE).unwrap();
    volume.write(65536, &[7; 2 * 65536]).unwrap();
    volume.save(false).unwrap();
    Volume::open(path, Format::Qcow2).unwrap()
}

fn offsets(volume: &mut Volume) -> Vec<u64> {
    let clusters = volume.qcow2().unwrap().map.clusters.values();
    let offset = |cluster: &Cluster| match cluster {
        Cluster::Stored(offset) => *offset,
        other => panic!("{other:?}"),
    };
    clusters.map(offset).collect()
}

fn problems(path: &Path) -> usize {
    let image = ImageBytes::open(path).unwrap();
    Audit::of_qcow2(&image).unwrap().problems.len()
}

#[test]
fn guest_data_stays_where_it_is_when_a_snapshot_is_made() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("image");
    let mut volume = written(&path);
    let before = offsets(&mut volume);
    let image = volume.qcow2().unwrap();
    image.snapshots.push(StoredSnapshot {
        id: "1".to_owned(),
        name: "first".to_owned(),
        size: SIZE,
        date: (0, 0),
        clusters: image.map.clusters.clone(),
    });
    volume.save(false).unwrap();
    // What is written afterwards goes elsewhere, and the snapshot keeps what it had.
    let mut volume = Volume::open(&path, Format::Qcow2).unwrap();
    assert_eq!(offsets(&mut volume), before);
    volume.write(65536, &[9; 512]).unwrap();
    volume.save(false).unwrap();
    let mut volume = Volume::open(&path, Format::Qcow2).unwrap();
    assert_ne!(offsets(&mut volume)[0], before[0]);
    assert_eq!(offsets(&mut volume)[1], before[1]);
    let mut bytes = [0; 1];
    let snapshot = volume.at_snapshot("first").unwrap();
    snapshot.read(65536, &mut bytes).unwrap();
    assert_eq!((bytes, problems(&path)), ([7], 0));
}

#[test]
fn a_refcount_that_does_not_fit_leaves_the_image_as_it_was() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("image");
    let mut volume = written(&path);
    let before = fs::read(&path).unwrap();
    let image = volume.qcow2().unwrap();
    let snapshot = |id: u64| StoredSnapshot {
        id: id.to_string(),
        name: String::new(),
        size: SIZE,
        date: (0, 0),
        clusters: image.map.clusters.clone(),
    };
    image.snapshots = vec![snapshot(1)];
    image.refcount_order = 0;
    assert!(volume.save(false).is_err());
    assert!(fs::read(&path).unwrap() == before);
}
