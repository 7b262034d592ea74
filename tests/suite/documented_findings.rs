//! The scripts of `docs/findings.md` show what they say, with the release that they say it of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::process::Command;

/// The release in which these defects were found.
const RELEASE: &str = "10.0.2";

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn every_script_shows_its_defect_and_is_told_of_in_the_list() {
    let list = std::fs::read_to_string(ring::package().join("docs/findings.md")).unwrap();
    let scripts = std::fs::read_dir(ring::package().join("docs/findings")).unwrap();
    let mut count = 0;
    for script in scripts.map(|entry| entry.unwrap().path()) {
        let name = script.file_name().unwrap().to_str().unwrap();
        assert!(list.contains(&format!("findings/{name}")), "{name}");
        count += 1;
        // Another release may have mended it.
        if ring::open("qemu-img").version() == RELEASE {
            let status = Command::new("sh").arg(&script).output().unwrap().status;
            assert_eq!(status.code(), Some(0), "{name}");
        }
    }
    assert_eq!(list.matches("](findings/").count(), count);
}
