//! Interrupted and disturbed runs: results are kept, a resumed run completes the rest, and nothing is left behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    reason = "the ignored tests print figures to be looked at"
)]

mod ring;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use imgduel::run::record::Record;

/// A campaign with its own directory.
struct Campaign {
    place: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Campaign {
    fn new(arguments: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("work")).unwrap();
        Self {
            place,
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = ring::imgduel();
        command
            .args([
                "fuzz",
                "--generation",
                "ops7",
                "--no-shrink",
                "--allow-vacuous",
            ])
            .args(&self.arguments)
            .arg("--workdir")
            .arg(self.path("work"))
            .arg("--findings")
            .arg(self.path("findings"))
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the campaign and discards its output.
    fn started_silently(&self, more: &[&str]) -> Child {
        let mut command = self.command(more);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn records_in(&self, name: &str) -> Vec<Record> {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        whole
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Returns the verdict of every operation, by case and candidate.
    fn verdicts_in(&self, name: &str) -> BTreeMap<String, Vec<String>> {
        let records = self.records_in(name);
        let verdicts: BTreeMap<String, Vec<String>> = records
            .iter()
            .map(|record| {
                let operations = record.operations.iter();
                let said = operations.map(|operation| {
                    format!(
                        "{} {} {:?}",
                        operation.op, operation.verdict, operation.kind
                    )
                });
                let who = format!("{} {}", record.id, record.candidate);
                (who, said.collect())
            })
            .collect();
        assert_eq!(verdicts.len(), records.len(), "a case stands there twice");
        verdicts
    }

    fn assert_nothing_is_left(&self) {
        let work = self.path("work");
        let deadline = Instant::now() + Duration::from_secs(20);
        let is_left =
            || ring::is_worked_in(&work) || std::fs::read_dir(&work).unwrap().next().is_some();
        while is_left() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!ring::is_worked_in(&work), "a process is left behind");
        let left: Vec<_> = std::fs::read_dir(&work).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn signal(child: &Child, name: &str) {
    ring::signal(child.id(), name);
}

/// Waits until the file of records has at least `count` lines.
fn wait_for_records(path: &Path, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let lines = || {
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .lines()
            .count()
    };
    while lines() < count {
        assert!(Instant::now() < deadline, "no records");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn one_line(output: &Output) -> String {
    let said = text(&output.stderr);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("imgduel: ") && !line.contains("cross-check"))
        .collect();
    assert!(!lines.is_empty(), "{said}");
    lines.last().unwrap().to_string()
}

/// Kills a campaign of `iterations` cases `times` times and resumes it each time. Asserts that the verdicts equal those of an undisturbed
/// campaign, and prints how many kills hit a running campaign.
fn kill_and_resume(iterations: usize, times: u32, pause: impl Fn(u32) -> Duration) {
    let count = iterations.to_string();
    let arguments = [
        "--seed",
        "11",
        "--iterations",
        &count,
        "--candidate",
        "imago",
        "--jobs",
        "2",
    ];
    let campaign = Campaign::new(&arguments);
    let whole = campaign.path("whole.jsonl");
    let output = campaign
        .command(&["--json", whole.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let cut = campaign.path("cut.jsonl");
    std::fs::write(&cut, "").unwrap();
    let resume = ["--resume", cut.to_str().unwrap()];
    let mut landed = 0;
    for time in 0..times {
        let before = std::fs::metadata(&cut).unwrap().len();
        let mut child = campaign.started_silently(&resume);
        std::thread::sleep(pause(time));
        landed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            std::fs::metadata(&cut).unwrap().len() >= before,
            "records are lost"
        );
    }
    println!(
        "{landed} of {times} kills met the campaign alive; {} of {iterations} cases were done by then",
        campaign.records_in("cut.jsonl").len()
    );
    let output = campaign.command(&resume).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        campaign.verdicts_in("cut.jsonl"),
        campaign.verdicts_in("whole.jsonl")
    );
    assert_eq!(campaign.records_in("cut.jsonl").len(), iterations);
    assert!(text(&output.stdout).contains(&format!("{iterations} of {iterations} cases")));
    campaign.assert_nothing_is_left();
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_killed_and_resumed_campaign_ends_like_an_undisturbed_one() {
    kill_and_resume(60, 2, |time| {
        Duration::from_millis(400 + 300 * u64::from(time))
    });
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn each_candidate_has_exactly_one_record_per_case_after_interruptions() {
    let liar = ring::stand_in("describes_the_image_alone");
    let drawn = ["--seed", "11", "--iterations", "12", "--ops", "info"];
    let candidates = format!("imago,qemu-img:{}", liar.display());
    let campaign =
        Campaign::new(&[&drawn[..], &["--candidate", &candidates, "--jobs", "2"]].concat());
    let whole = campaign.path("whole.jsonl");
    let output = campaign
        .command(&["--json", whole.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let told = |output: &Output| {
        let said = text(&output.stdout);
        let table: Vec<&str> = said
            .lines()
            .skip_while(|line| !line.contains("match diverges"))
            .collect();
        table.join("\n")
    };
    let (table, records) = (told(&output), std::fs::read(&whole).unwrap());
    assert_eq!(campaign.records_in("whole.jsonl").len(), 24);
    let ends: Vec<usize> = (0..records.len())
        .filter(|place| records[*place] == b'\n')
        .collect();
    let cut = campaign.path("cut.jsonl");
    let resume = ["--resume", cut.to_str().unwrap()];
    // Cut between two candidates of a case, inside a record, before a missing newline, and before the first record.
    for length in [ends[8] + 1, ends[10] + 30, ends[11], 0] {
        std::fs::write(&cut, &records[..length]).unwrap();
        let mut child = campaign.started_silently(&resume);
        wait_for_records(&cut, 15);
        child.kill().unwrap();
        child.wait().unwrap();
        let output = campaign.command(&resume).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert_eq!(
            campaign.verdicts_in("cut.jsonl"),
            campaign.verdicts_in("whole.jsonl"),
            "{length}"
        );
        assert!(text(&output.stdout).contains("24 of 24 cases"), "{length}");
        assert_eq!(told(&output), table);
    }
    for other in ["imago", "qcow2-core,imago"] {
        let other = Campaign::new(&[&drawn[..], &["--candidate", other]].concat());
        let output = other.command(&resume).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        assert!(one_line(&output).contains("was made with other settings"));
    }
    campaign.assert_nothing_is_left();
}

#[test]
#[ignore = "takes minutes: fifty kills"]
fn a_campaign_killed_at_fifty_random_moments_ends_like_an_undisturbed_one() {
    // Each RandomState has random keys, which serve as random numbers here.
    let chance = std::hash::RandomState::new();
    kill_and_resume(1500, 50, |time| {
        Duration::from_millis(200 + chance.hash_one(time) % 1800)
    });
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_tools_of_a_killed_harness_are_killed_too() {
    let spec = format!(
        "qemu-img:{}",
        ring::stand_in("faults/hangs_before_output").display()
    );
    let campaign = Campaign::new(&[
        "--seed",
        "7",
        "--iterations",
        "5",
        "--ops",
        "info",
        "--candidate",
        &spec,
    ]);
    let mut child = campaign.command(&[]).spawn().unwrap();
    let work = campaign.path("work");
    let deadline = Instant::now() + Duration::from_secs(60);
    let hangs = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        processes.into_iter().any(|process| {
            let place = std::fs::read_link(process.path().join("cwd")).unwrap_or_default();
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            place.starts_with(&work) && line.starts_with(b"sleep")
        })
    };
    while !hangs() {
        assert!(Instant::now() < deadline, "nothing hangs");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    campaign.assert_nothing_is_left();
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_signal_stops_the_run_in_order_and_a_second_one_at_once() {
    for (name, times) in [("TERM", 1), ("INT", 2)] {
        let campaign = Campaign::new(&[
            "--seed",
            "7",
            "--iterations",
            "100000",
            "--candidate",
            "imago",
        ]);
        let (records, summary) = (campaign.path("r.jsonl"), campaign.path("s.json"));
        let files = [
            "--json",
            records.to_str().unwrap(),
            "--summary",
            summary.to_str().unwrap(),
        ];
        let child = campaign.command(&files).spawn().unwrap();
        wait_for_records(&records, 3);
        for _ in 0..times {
            signal(&child, name);
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
        let summary: serde_json::Value =
            serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
        assert_eq!(
            summary["iterations_completed"],
            campaign.records_in("r.jsonl").len()
        );
        campaign.assert_nothing_is_left();
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_run_that_loses_its_files_ends_with_one_line_and_keeps_its_records() {
    // The disk is full from the first record on.
    let campaign = Campaign::new(&[
        "--seed",
        "7",
        "--iterations",
        "100000",
        "--candidate",
        "imago",
        "--jobs",
        "1",
    ]);
    let output = campaign.command(&["--json", "/dev/full"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = one_line(&output);
    assert!(
        said.contains("cannot write the records to /dev/full: No space left"),
        "{said}"
    );
    campaign.assert_nothing_is_left();

    // A directory that is not writable, and one that does not exist.
    for place in ["/proc", "/nonexistent/place"] {
        let mut command = ring::imgduel();
        let output = command
            .args(["fuzz", "--iterations", "1", "--workdir", place])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = one_line(&output);
        assert!(
            said.contains(&format!("cannot write to the scratch directory {place}")),
            "{said}"
        );
    }

    // The scratch directories disappear in the middle of the run; the records are kept.
    let records = campaign.path("r.jsonl");
    let child = campaign
        .command(&["--json", records.to_str().unwrap()])
        .spawn()
        .unwrap();
    wait_for_records(&records, 3);
    let work = campaign.path("work");
    while work.exists() {
        // The removal fails while the run creates a directory in it, so try again.
        let _ = std::fs::remove_dir_all(&work);
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let said = one_line(&output);
    assert!(said.contains(work.to_str().unwrap()), "{said}");
    let records = campaign.records_in("r.jsonl");
    assert!(records.len() >= 3);
    assert!(records.iter().all(|record| record.verdict != "divergence"));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_tool_that_is_replaced_or_removed_ends_the_run() {
    for removes in [false, true] {
        let campaign = Campaign::new(&["--seed", "7", "--iterations", "100000", "--jobs", "1"]);
        let tool = campaign.path("tool");
        let script = "#!/bin/sh\nexec qemu-img \"$@\"\n";
        let put = |script: &str| {
            let made = campaign.path("made");
            std::fs::write(&made, script).unwrap();
            std::fs::set_permissions(&made, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
            std::fs::rename(&made, &tool).unwrap();
        };
        put(script);
        let (records, spec) = (
            campaign.path("r.jsonl"),
            format!("qemu-img:{}", tool.display()),
        );
        let arguments = ["--json", records.to_str().unwrap(), "--candidate", &spec];
        let child = campaign.command(&arguments).spawn().unwrap();
        wait_for_records(&records, 2);
        match removes {
            true => std::fs::remove_file(&tool).unwrap(),
            false => put("#!/bin/sh\nexit 1\n"),
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        let said = one_line(&output);
        assert!(said.contains(tool.to_str().unwrap()), "{said}");
        let records = campaign.records_in("r.jsonl");
        assert!(
            records.iter().all(|record| record.verdict != "divergence"),
            "a replaced tool was blamed"
        );
        campaign.assert_nothing_is_left();
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn two_campaigns_in_one_directory_do_not_disturb_each_other_and_cannot_share_a_file() {
    let campaign = Campaign::new(&["--seed", "7", "--candidate", "imago"]);
    let records = campaign.path("r.jsonl");
    let first = [
        "--json",
        records.to_str().unwrap(),
        "--iterations",
        "100000",
    ];
    let child = campaign.command(&first).spawn().unwrap();
    wait_for_records(&records, 3);
    let output = campaign.command(&first).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(one_line(&output).contains("another run is writing its records to"));
    let beside = campaign.command(&["--iterations", "20"]).output().unwrap();
    assert_eq!(beside.status.code(), Some(0), "{}", text(&beside.stderr));
    signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(
        campaign
            .records_in("r.jsonl")
            .iter()
            .all(|record| record.verdict != "divergence")
    );
    campaign.assert_nothing_is_left();
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn resuming_with_other_settings_is_an_error() {
    let campaign = Campaign::new(&["--iterations", "4", "--ops", "info"]);
    let records = campaign.path("r.jsonl");
    let path = records.to_str().unwrap();
    let output = campaign
        .command(&["--seed", "7", "--json", path])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    // The records contain the seed and the generation. The last record is truncated.
    let whole = std::fs::read(&records).unwrap();
    std::fs::write(&records, &whole[..whole.len() - 40]).unwrap();
    let output = campaign.command(&["--resume", path]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let ids: Vec<String> = campaign
        .records_in("r.jsonl")
        .iter()
        .map(|record| record.id.clone())
        .collect();
    assert_eq!(ids.len(), 4, "{ids:?}");
    for other in [
        ["--seed", "8"],
        ["--timeout", "7"],
        ["--candidate", "qemu-img"],
        ["--json", "other.jsonl"],
    ] {
        let output = campaign
            .command(&["--resume", path])
            .args(other)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{other:?}");
        one_line(&output);
    }
}

#[test]
#[ignore = "takes many minutes: a thousand cases on a machine that is loaded four times over"]
fn load_on_the_machine_causes_no_divergence_and_no_stuck_tool() {
    let processors = std::thread::available_parallelism().unwrap().get();
    let mut load: Vec<Child> = (0..processors * 4)
        .map(|_| {
            Command::new("sh")
                .args(["-c", "while :; do :; done"])
                .spawn()
                .unwrap()
        })
        .collect();
    let jobs = (processors * 4).to_string();
    let campaign = Campaign::new(&[
        "--seed",
        "59095591",
        "--iterations",
        "1000",
        "--candidate",
        "qemu-img",
        "--jobs",
        &jobs,
    ]);
    let records = campaign.path("r.jsonl");
    let output = campaign
        .command(&["--json", records.to_str().unwrap()])
        .output()
        .unwrap();
    for child in &mut load {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    println!("{}", text(&output.stdout));
    assert_eq!(output.status.code(), Some(0));
    let records = campaign.records_in("r.jsonl");
    assert_eq!(records.len(), 1000);
    let said = |word: &str| {
        records
            .iter()
            .filter(|record| record.reason.as_deref().unwrap_or_default().contains(word))
            .count()
    };
    assert_eq!((said("stuck"), said("crash")), (0, 0));
    campaign.assert_nothing_is_left();
}
