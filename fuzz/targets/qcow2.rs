//! qcow2 images that a tool under test made: the audit, the comparison of host clusters, and the corruptor.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use imgduel::disk_format::qcow2::ImageBytes;
use imgduel::disk_format::qcow2::audit::Audit;
use imgduel::disk_format::qcow2::corruption::FieldMutation;
use imgduel::disk_format::qcow2::host_clusters::HostClusters;
use libfuzzer_sys::fuzz_target;
use tempfile::NamedTempFile;

static FILE: LazyLock<NamedTempFile> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    NamedTempFile::new_in(place).expect("a scratch file")
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_last() else {
        return;
    };
    let path = FILE.path();
    fs::write(path, bytes).expect("the scratch file is ours");
    let open = || ImageBytes::open(path).expect("the scratch file is ours");
    if let Ok(audit) = Audit::of_qcow2(&open()) {
        serde_json::to_string(&audit).expect("an audit can be written");
    }
    let before = HostClusters::settle_and_read(&open());
    let corruptions = [
        FieldMutation::RefcountZero,
        FieldMutation::RefcountTooHigh,
        FieldMutation::LeakedCluster,
        FieldMutation::StaleCopied,
        FieldMutation::Overlapping,
    ];
    let _ = corruptions[*choice as usize % corruptions.len()].inflict(&open());
    if let (Ok(before), Ok(after)) = (before, HostClusters::settle_and_read(&open())) {
        let _ = before.difference(&after);
    }
});
