//! The file system of the scratch directories: full in the middle of a run, read-only, or with leftovers of dead runs.
//!
//! Each test mounts small file systems in memory in its own mount namespace, which needs no privileges and disappears with the test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use imgduel::process::reaper;

use crate::ring;

/// Runs a shell script in an otherwise empty directory in which `work` is a file system with these mount options.
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

/// The line of the script that runs a campaign on that file system.
const CAMPAIGN: &str = "$IMGDUEL fuzz --generation ops7 --seed 7 --iterations 100000 --jobs 1 --no-shrink --workdir work --json records --findings findings";

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
#[cfg_attr(
    missing_mount_namespaces,
    ignore = "this machine does not permit mount namespaces (unshare --user --mount)"
)]
fn a_disk_that_fills_up_ends_the_run_with_one_line_and_blames_no_tool() {
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
    ignore = "this machine does not permit mount namespaces (unshare --user --mount)"
)]
fn a_read_only_disk_is_reported_before_the_first_case() {
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

type Change = fn(&mut serde_json::Value);

/// Creates a scratch directory like that of a dead run, with a mark file that `change` modifies.
fn left_behind(work: &Path, name: &str, change: impl Fn(&mut serde_json::Value)) -> PathBuf {
    let path = work.join(name);
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("image"), "").unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let found = path.metadata().unwrap();
    let mut mark = serde_json::json!({
        "made_by": "imgduel scratch directory",
        "name": name,
        "inode": found.ino(),
        "run": "1.1",
        "owner": found.uid(),
        "boot": boot.trim(),
        // No process has this id.
        "process": u32::MAX,
        "started": 1,
    });
    change(&mut mark);
    std::fs::write(path.join(".imgduel-mark"), mark.to_string()).unwrap();
    path
}

#[test]
fn the_sweep_removes_directories_of_dead_runs_and_ends_the_processes_in_them() {
    let work = tempfile::tempdir().unwrap();
    let left = left_behind(work.path(), "imgduel-1.1-left", |_| ());
    let earlier = left_behind(work.path(), "imgduel-1.1-earlier", |mark| {
        mark["boot"] = "another".into();
        mark["process"] = std::process::id().into();
    });
    let in_use = left_behind(work.path(), "imgduel-1.1-in-use", |_| ());
    let lock = std::fs::File::open(&in_use).unwrap();
    lock.try_lock().unwrap();
    let mut tools = ["left/case/candidate", "left"].map(|name| {
        Command::new("sleep")
            .arg("600")
            .env("TMPDIR", work.path().join(format!("imgduel-1.1-{name}")))
            .spawn()
            .unwrap()
    });
    let mut other = Command::new("sleep")
        .arg("600")
        .env("TMPDIR", work.path().join("imgduel-1.1-lefter"))
        .spawn()
        .unwrap();
    let mut swept = reaper::sweep(work.path());
    swept.sort();
    assert_eq!(swept, [earlier, left]);
    assert!(swept.iter().all(|path| !path.exists()));
    for tool in &mut tools {
        assert!(!tool.wait().unwrap().success());
    }
    assert!(in_use.join("image").exists() && other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn the_sweep_leaves_other_directories_and_the_processes_in_them_alone() {
    let work = tempfile::tempdir().unwrap();
    let mut others: Vec<PathBuf> = [
        "notes",
        "1.1-case",
        "kept-1.1",
        "",
        "a.b-c",
        "1f.2-x",
        "backup",
        "src",
        "1",
        "0.0-0",
        "records",
        "tmp",
        "old",
        "ff.ffffff-seed-1-ops16",
        "findings",
    ]
    .map(|name| work.path().join(format!("imgduel-{name}")))
    .into();
    for path in &others {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("image"), "mine").unwrap();
    }
    // Marks of another directory, of another user, of another program, and an invalid mark.
    let changes: [(&str, Change); 5] = [
        ("imgduel-copied", |mark| mark["inode"] = 1.into()),
        ("imgduel-renamed", |mark| {
            mark["name"] = "imgduel-1.1".into()
        }),
        ("imgduel-owned", |mark| {
            mark["owner"] = 4_000_000_000_u32.into()
        }),
        ("imgduel-else", |mark| mark["made_by"] = "me".into()),
        ("imgduel-word", |mark| *mark = "imgduel".into()),
    ];
    for (name, change) in changes {
        others.push(left_behind(work.path(), name, change));
    }
    assert_eq!(others.len(), 20);
    for path in &others {
        let file = std::fs::File::open(path).unwrap();
        let hour = std::time::Duration::from_secs(3600);
        file.set_modified(std::time::SystemTime::now() - hour)
            .unwrap();
    }
    let mut mine = Command::new("sleep")
        .arg("600")
        .env("TMPDIR", &others[0])
        .spawn()
        .unwrap();
    assert_eq!(reaper::sweep(work.path()), Vec::<PathBuf>::new());
    assert!(others.iter().all(|path| path.join("image").exists()));
    assert!(mine.try_wait().unwrap().is_none());
    mine.kill().unwrap();
    mine.wait().unwrap();
}
