//! Unit tests of `guest_view.rs`.

use crate::disk_format::plain::Volume;
use crate::disk_format::plain::qcow2_file::Qcow2File;
use crate::image::format::Format;
use crate::image::options::CreateOptions;

const CLUSTER_BYTES: u64 = 64 << 10;

#[test]
fn a_cluster_with_a_hole_is_copied_whole_and_seen_as_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image");
    let file = Qcow2File::with_options(&CreateOptions::default());
    let mut volume = Volume::new_qcow2(&path, file, 1 << 20).unwrap();
    volume.write(CLUSTER_BYTES + 8192, &[5; 4096]).unwrap();
    volume.save(false).unwrap();
    let again = Volume::open(&path, Format::Qcow2).unwrap();
    let ranges = again.read_ranges().unwrap();
    let with_data: Vec<_> = ranges.iter().filter(|range| !range.zero).collect();
    let places: Vec<_> = with_data
        .iter()
        .map(|range| (range.start, range.end))
        .collect();
    assert_eq!(places, [(CLUSTER_BYTES, 2 * CLUSTER_BYTES)]);
    let mut pieces = Vec::new();
    again
        .each_piece(|offset, bytes| {
            pieces.push((offset, bytes.to_vec()));
            Ok(())
        })
        .unwrap();
    assert_eq!(pieces, [(CLUSTER_BYTES + 8192, vec![5; 4096])]);
    assert_eq!(again.contents().unwrap(), volume.contents().unwrap());
}
