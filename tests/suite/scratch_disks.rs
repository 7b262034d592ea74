//! The disk of the scratch directories: full in the midst of a run, read-only, littered by a run that is gone.
//!
//! Small file systems in memory are mounted in a mount namespace of the test's own, so no privileges are needed, and they go with it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use imgduel::process::warden;

use crate::ring;

/// Runs a shell script that finds a file system of its own mounted with these options in `work`, in a directory that is empty but for it.
fn on_a_disk(options: &str, place: &Path, script: &str) -> Output {
    std::fs::create_dir(place.join("work")).unwrap();
    let script = format!("mount -t tmpfs -o {options} none work && {script}");
    ring::started("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .env("IMGDUEL", ring::PROGRAM)
        .current_dir(place)
        .output()
        .unwrap()
}

/// A campaign on that disk, as a line of the script.
const CAMPAIGN: &str = "$IMGDUEL fuzz --generation ops7 --seed 7 --iterations 100000 --jobs 1 --no-shrink --workdir work --json records --findings findings";

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
#[cfg_attr(
    missing_mount_namespaces,
    ignore = "this machine lets nobody make a mount namespace (unshare --user --mount)"
)]
fn a_disk_that_fills_up_in_the_midst_of_a_run_ends_it_with_one_line_and_blames_no_tool() {
    let place = tempfile::tempdir().unwrap();
    let script = format!(
        "{{ touch records; {CAMPAIGN} & }}; until [ $(wc -l < records) -ge 3 ]; do sleep 0.02; done; \
         cat /dev/zero > work/filler 2>&-; wait $!; status=$?; ls -A work; exit $status"
    );
    let output = on_a_disk("size=256m", place.path(), &script);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with("imgduel: the disk of the scratch directories in ")
            && last.ends_with("is full: make room, or name another place with --workdir"),
        "{last}"
    );
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.ends_with("\nfiller\n"), "{printed}");
    let records = std::fs::read_to_string(place.path().join("records")).unwrap();
    assert!(records.lines().count() >= 3);
    assert!(!records.contains(r#""verdict":"divergence""#), "{records}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
#[cfg_attr(
    missing_mount_namespaces,
    ignore = "this machine lets nobody make a mount namespace (unshare --user --mount)"
)]
fn a_read_only_disk_is_told_before_the_first_case() {
    let place = tempfile::tempdir().unwrap();
    let output = on_a_disk("ro", place.path(), CAMPAIGN);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let last = said.lines().last().unwrap();
    assert_eq!(
        last,
        "imgduel: cannot write to the scratch directory work: Read-only file system (os error 30)"
    );
}

#[test]
fn what_a_run_that_is_gone_has_left_is_swept_with_the_processes_in_it_and_nothing_else() {
    let work = tempfile::tempdir().unwrap();
    let make = |name: &str, age: Duration| {
        let path = work.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("image"), "").unwrap();
        let directory = std::fs::File::open(&path).unwrap();
        directory.set_modified(SystemTime::now() - age).unwrap();
        (path, directory)
    };
    let hour = Duration::from_secs(3600);
    let (left, _) = make("imgduel-1.1-left", hour);
    let (in_use, lock) = make("imgduel-1.2-in-use", hour);
    lock.try_lock().unwrap();
    let others = [
        in_use,
        make("imgduel-1.3-young", Duration::ZERO).0,
        make(&format!("{}old", warden::KEPT_PREFIX), hour).0,
        make("somebody-else", hour).0,
    ];
    let mut tool = Command::new("sleep")
        .arg("600")
        .env("TMPDIR", &left)
        .spawn()
        .unwrap();
    assert_eq!(warden::sweep(work.path()), 1);
    assert!(!tool.wait().unwrap().success());
    assert!(!left.exists());
    assert!(others.iter().all(|path| path.join("image").exists()));
}
