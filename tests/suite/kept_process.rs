//! The process that is kept for the trials of nextest: the same verdicts, and nothing believed of one that lies, hangs or is another build's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use imgduel::run::record::Record;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};

use crate::ring;

/// The variable in the environment of a kept process.
const VARIABLE: &str = "__IMGDUEL_KEPT_FOR=";

const TRIAL: &str = "regression::small_shrinks_with_lazy_refcounts";

/// The program of the test target, as cargo has built it.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let is_release = std::env::current_exe().unwrap();
        let is_release = is_release
            .components()
            .any(|part| part.as_os_str() == "release");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = ring::started(cargo)
            .args([
                "test",
                "--no-run",
                "--test",
                "differential",
                "--message-format",
                "json",
            ])
            .args(is_release.then_some("--release"))
            .current_dir(ring::package())
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let messages = output
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut built = messages.filter(|message| message["target"]["name"] == "differential");
        PathBuf::from(
            built
                .find_map(|message| message["executable"].as_str().map(str::to_owned))
                .unwrap(),
        )
    })
}

/// A place with its own sockets and records. What was started there ends with it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        // A socket's path must be short.
        Self(tempfile::tempdir_in("/tmp").unwrap())
    }

    fn sockets(&self) -> PathBuf {
        self.0
            .path()
            .join(format!("imgduel-{}", geteuid().as_raw()))
    }

    fn socket(&self) -> Option<PathBuf> {
        let files = fs::read_dir(self.sockets())
            .ok()?
            .flatten()
            .map(|file| file.path());
        let mut files =
            files.filter(|path| path.extension().is_some_and(|ending| ending == "sock"));
        files.next()
    }

    fn command(&self, trial: &str, run: &str) -> Command {
        let mut command = ring::started(program());
        command
            .args(["--exact", trial])
            .current_dir(ring::package())
            .env("CARGO_MANIFEST_DIR", ring::package())
            .env("XDG_RUNTIME_DIR", self.0.path())
            .env("NEXTEST", "1")
            .env("NEXTEST_RUN_ID", run)
            .env("IMGDUEL_RECORDS", self.0.path().join("records"))
            .env("IMGDUEL_FINDINGS", self.0.path().join("findings"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Runs a trial; returns how long it took.
    fn passes(&self, trial: &str, run: &str) -> Duration {
        let started = Instant::now();
        assert!(
            self.command(trial, run).status().unwrap().success(),
            "{trial} in {run}"
        );
        started.elapsed()
    }

    fn records(&self, run: &str) -> Vec<Record> {
        let path = self.0.path().join("records").join(format!("{run}.jsonl"));
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The kept processes of this place; their reapers have the same environment.
    fn kept(&self) -> Vec<Pid> {
        let place = format!("XDG_RUNTIME_DIR={}\0", self.0.path().display());
        let is_kept = |entry: &PathBuf| {
            let read = |name| fs::read(entry.join(name)).unwrap_or_default();
            let environment = String::from_utf8_lossy(&read("environ")).into_owned();
            let arguments = String::from_utf8_lossy(&read("cmdline")).into_owned();
            environment.contains(&place)
                && environment.contains(VARIABLE)
                && !arguments.contains("__imgduel-")
        };
        let processes = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let kept = processes.filter(is_kept);
        kept.filter_map(|entry| Pid::from_raw(entry.file_name()?.to_str()?.parse().ok()?))
            .collect()
    }

    fn kill_kept(&self) {
        for process in self.kept() {
            let _ = kill_process(process, Signal::KILL);
        }
        let patience = Duration::from_secs(5);
        self.none_is_left_within(patience);
        // A process that ends loses its environment, by which it is found here, before its files and their locks.
        let lock = File::create(self.socket().unwrap().with_extension("lock")).unwrap();
        let until = Instant::now() + patience;
        while lock.try_lock().is_err() {
            assert!(
                Instant::now() < until,
                "the lock of the killed process stays"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn none_is_left_within(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while !self.kept().is_empty() {
            assert!(Instant::now() < until, "the kept process stays");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for process in self.kept() {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// A record without what is another one each time.
fn comparable(record: &Record) -> Value {
    let mut value = serde_json::to_value(record).unwrap();
    for key in [
        "started",
        "duration_ms",
        "tool_cpu_ms",
        "tool_calls",
        "reproduce",
    ] {
        value.as_object_mut().unwrap().remove(key);
    }
    for operation in value["operations"].as_array_mut().into_iter().flatten() {
        operation.as_object_mut().unwrap().remove("duration_ms");
    }
    value
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn every_seed_has_the_same_verdict_with_the_kept_process_and_without_and_the_process_ends_by_itself()
 {
    let place = Place::new();
    let seeds = fs::read_dir(ring::package().join("fuzz-seeds"))
        .unwrap()
        .flatten();
    let stems =
        seeds.filter_map(|seed| Some(seed.file_name().to_str()?.strip_suffix(".json")?.to_owned()));
    let trials: Vec<String> = stems.map(|stem| format!("regression::{stem}")).collect();
    assert!(trials.len() >= 8);
    // The first two begin at the same time.
    let mut first: Vec<Child> = trials[..2]
        .iter()
        .map(|trial| place.command(trial, "kept").spawn().unwrap())
        .collect();
    assert!(
        first
            .iter_mut()
            .all(|trial| trial.wait().unwrap().success())
    );
    let processes = place.kept();
    assert_eq!(processes.len(), 1);
    for trial in &trials[2..] {
        place.passes(trial, "kept");
    }
    assert_eq!(place.kept(), processes, "one process served all");
    let mode = fs::metadata(place.sockets()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    for trial in &trials {
        let own = place
            .command(trial, "own")
            .env("IMGDUEL_NO_KEPT_PROCESS", "1")
            .status();
        assert!(own.unwrap().success(), "{trial}");
    }
    let by_trial = |run| {
        let mut records: Vec<Value> = place.records(run).iter().map(comparable).collect();
        records
            .sort_by_key(|record| (record["trial"].to_string(), record["candidate"].to_string()));
        records
    };
    assert_eq!(by_trial("kept"), by_trial("own"));
    place.none_is_left_within(Duration::from_secs(20));
    assert_eq!(fs::read_dir(place.sockets()).unwrap().count(), 0);
}

/// Listens in the place of the kept process, and answers one trial like this.
fn stand_in(
    socket: &Path,
    answer: impl FnOnce(&mut UnixStream) + Send + 'static,
) -> thread::JoinHandle<()> {
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || answer(&mut listener.accept().unwrap().0))
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_process_that_lies_about_itself_or_hangs_or_is_dead_is_not_believed_and_not_waited_for() {
    let place = Place::new();
    place.passes(TRIAL, "first");
    let socket = place.socket().unwrap();
    let key = socket.file_stem().unwrap().to_str().unwrap().to_owned();
    // Dead: its socket is there, and nobody listens. Another one is started.
    place.kill_kept();
    assert!(socket.exists());
    place.passes(TRIAL, "dead");
    assert_eq!(place.kept().len(), 1);
    place.kill_kept();
    let lock = File::create(socket.with_extension("lock")).unwrap();
    lock.lock().unwrap();

    let honest = &place.records("first")[0];
    let mut lie = serde_json::to_value(honest).unwrap();
    lie["reproduce"] = "a lie".into();
    let mut other = lie.clone();
    other["id"] = "ops7_s1_i000000".into();
    let hello = |key: &str| json!({ "key": key }).to_string();
    let right = hello(&key);
    let answer = |record: &Value| json!({ "records": [record] }).to_string();
    let stale = json!({ "key": key, "version": 0 }).to_string();
    let cases = [
        (
            "another_key",
            hello("0123456789abcdef0123456789abcdef"),
            answer(&lie),
        ),
        ("stale", stale, answer(&lie)),
        ("garbled", "\u{1}\u{2}{{".to_owned(), answer(&lie)),
        ("another_case", right.clone(), answer(&other)),
        ("garbled_answer", right.clone(), "[{".to_owned()),
        (
            "nothing",
            right.clone(),
            json!({ "records": [] }).to_string(),
        ),
        (
            "refusal",
            right.clone(),
            json!({ "records": null }).to_string(),
        ),
    ];
    for (name, hello, answer) in cases {
        let standing_in = stand_in(&socket, move |stream| {
            let _ = writeln!(stream, "{hello}");
            let _ = BufReader::new(stream.try_clone().unwrap()).read_line(&mut String::new());
            let _ = writeln!(stream, "{answer}");
        });
        place.passes(TRIAL, name);
        standing_in.join().unwrap();
        assert_eq!(
            comparable(&place.records(name)[0]),
            comparable(honest),
            "{name}"
        );
        assert_ne!(place.records(name)[0].reproduce, "a lie", "{name}");
    }
    for (name, hello) in [("silent", None), ("hanging", Some(right.clone()))] {
        let standing_in = stand_in(&socket, move |stream| {
            hello
                .iter()
                .for_each(|hello| writeln!(stream, "{hello}").unwrap());
            // Until the trial has given up.
            let _ = BufReader::new(stream).lines().map_while(Result::ok).count();
        });
        assert!(
            place.passes(TRIAL, name) < Duration::from_secs(25),
            "{name}"
        );
        standing_in.join().unwrap();
        assert_eq!(
            comparable(&place.records(name)[0]),
            comparable(honest),
            "{name}"
        );
    }
    // The stand-in is one that would be believed, but for what it said above.
    let told = answer(&lie);
    let standing_in = stand_in(&socket, move |stream| {
        writeln!(stream, "{right}").unwrap();
        BufReader::new(stream.try_clone().unwrap())
            .read_line(&mut String::new())
            .unwrap();
        writeln!(stream, "\n{told}").unwrap();
    });
    place.passes(TRIAL, "believed");
    standing_in.join().unwrap();
    assert_eq!(place.records("believed")[0].reproduce, "a lie");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_directory_that_others_may_enter_is_not_used() {
    let place = Place::new();
    fs::create_dir(place.sockets()).unwrap();
    fs::set_permissions(place.sockets(), fs::Permissions::from_mode(0o755)).unwrap();
    place.passes(TRIAL, "run");
    assert!(place.socket().is_none());
    assert!(place.kept().is_empty());
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_trial_that_is_killed_ends_its_work_in_the_kept_process() {
    let place = Place::new();
    let mut trial = place.command("campaign::ops7_s4_i000000", "run");
    trial
        .env("IMGDUEL_GENERATION", "ops7")
        .env("IMGDUEL_SEED", "4")
        .env("IMGDUEL_OPS", "info")
        .env("IMGDUEL_CANDIDATE", "qemu-img:tests/stand_ins/hangs")
        .env("IMGDUEL_TIMEOUT", "120");
    let mut trial = trial.spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while place.kept().is_empty() {
        assert!(Instant::now() < until, "no process was kept");
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_secs(2));
    assert!(
        trial.try_wait().unwrap().is_none(),
        "the trial waits for the call that hangs"
    );
    trial.kill().unwrap();
    trial.wait().unwrap();
    place.none_is_left_within(Duration::from_secs(15));
}
