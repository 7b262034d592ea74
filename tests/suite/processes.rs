//! The process runner: limits, process groups, pipes, environment, and reports about children.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use imgduel::process::{CAPTURE_LIMIT_BYTES, Ending, Finished, Invocation, PostMortem, run};

use crate::ring;

fn shell_in(directory: &Path, script: &str, limit: Duration) -> Finished {
    let arguments = ["-c".to_owned(), script.to_owned()];
    run(&Invocation {
        program: Path::new("/bin/sh"),
        arguments: &arguments,
        directory,
        limit,
        grace: Duration::ZERO,
        sandbox: None,
        environment: &[],
        input: None,
        memory_bytes_max: None,
    })
    .unwrap()
}

fn shell(script: &str, limit: Duration) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    shell_in(directory.path(), script, limit)
}

const LONG: Duration = Duration::from_secs(30);

/// Returns whether a process with this argument runs (zombies have no arguments).
fn runs(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.into_iter().any(|line| {
        line.split(|byte| *byte == 0)
            .any(|argument| argument == word.as_bytes())
    })
}

/// Waits until no such process runs, because killed processes may need a moment to exit. Returns whether all are gone.
fn is_gone(word: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while runs(word) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    !runs(word)
}

#[test]
fn a_call_returns_the_exit_code_and_both_streams() {
    let finished = shell("echo out; echo err >&2; exit 3", LONG);
    assert_eq!(finished.ending, Ending::Exited(3));
    assert_eq!(
        (
            finished.stdout.text().as_str(),
            finished.stderr.text().as_str()
        ),
        ("out\n", "err\n")
    );
}

#[test]
fn a_death_by_signal_is_distinguished_from_an_exit() {
    assert_eq!(shell("kill -SEGV $$", LONG).ending, Ending::Signaled(11));
}

#[test]
fn a_limit_of_a_fraction_of_a_second_kills_the_whole_group() {
    let started = Instant::now();
    let finished = shell("sleep 7001.5 & sleep 7001.5", Duration::from_millis(300));
    let elapsed = started.elapsed();
    let Ending::TimedOut(post_mortem) = finished.ending else {
        panic!("{finished:?}")
    };
    assert!(
        elapsed >= Duration::from_millis(300) && elapsed < LONG,
        "{elapsed:?}"
    );
    assert!(post_mortem.processes.len() >= 2, "{post_mortem}");
    assert!(
        post_mortem
            .processes
            .iter()
            .all(|process| !process.state.is_empty()),
        "{post_mortem:?}"
    );
    assert!(is_gone("7001.5"), "a child is left behind");
}

#[test]
fn a_post_mortem_distinguishes_a_busy_child_from_a_sleeping_one() {
    let busy = shell("while :; do :; done", Duration::from_millis(600));
    let Ending::TimedOut(busy) = busy.ending else {
        panic!("it ended by itself")
    };
    assert!(busy.cpu_seconds > 0.0 && busy.is_busy, "{busy}");
    assert_eq!(busy.processes[0].state, "R");
    let sleeping = shell("exec sleep 7002.5", Duration::from_millis(300));
    let Ending::TimedOut(sleeping) = sleeping.ending else {
        panic!("it ended by itself")
    };
    assert!(
        sleeping.cpu_seconds < 0.1 && !sleeping.is_busy,
        "{sleeping}"
    );
    assert_eq!(
        (
            sleeping.processes[0].name.as_str(),
            sleeping.processes[0].state.as_str()
        ),
        ("sleep", "S")
    );
}

#[test]
fn a_post_mortem_counts_the_bytes_written() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let script = "head -c 3000000 /dev/zero > file; sync file; exec sleep 7003.5";
    let finished = shell_in(directory.path(), script, Duration::from_millis(1500));
    let Ending::TimedOut(post_mortem) = finished.ending else {
        panic!("{finished:?}")
    };
    // The kernel adds the bytes that `head` wrote to those of the waiting shell.
    assert!(post_mortem.bytes_written >= 2_900_000, "{post_mortem}");
}

#[test]
fn output_larger_than_a_pipe_on_both_streams_does_not_block() {
    let script =
        "head -c 3000000 /dev/zero | tr '\\0' e >&2; head -c 3000000 /dev/zero | tr '\\0' o";
    let finished = shell(script, LONG);
    assert_eq!(finished.ending, Ending::Exited(0));
    assert_eq!(
        (finished.stdout.bytes.len(), finished.stderr.bytes.len()),
        (3_000_000, 3_000_000)
    );
}

#[test]
fn output_beyond_the_limit_is_dropped_and_counted() {
    let finished = shell("head -c 10000000 /dev/zero", LONG);
    assert_eq!(finished.stdout.bytes.len(), CAPTURE_LIMIT_BYTES);
    assert_eq!(
        finished.stdout.dropped_bytes,
        10_000_000 - CAPTURE_LIMIT_BYTES as u64
    );
}

#[test]
fn bytes_that_are_not_utf8_are_kept_and_shown_lossily() {
    let finished = shell("printf 'a\\377b'", LONG);
    assert_eq!(finished.stdout.bytes, b"a\xffb");
    assert_eq!(finished.stdout.text(), "a\u{fffd}b");
}

#[test]
fn a_call_that_ended_in_time_is_not_a_timeout_even_if_its_parent_reaps_it_late() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let parent = directory.path().join("parent");
    let finished = std::thread::scope(|scope| {
        // The shell stops the process that started it, which is continued much later.
        scope.spawn(|| {
            let number = || std::fs::read_to_string(&parent).unwrap_or_default();
            while !number().ends_with('\n') {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(Duration::from_millis(1500));
            ring::signal(number().trim().parse().unwrap(), "CONT");
        });
        let script = format!(
            "[ $PPID = {} ] || kill -STOP $PPID; echo $PPID > parent; exit 3",
            std::process::id()
        );
        // The limit expires long before the shell is reaped.
        shell_in(directory.path(), &script, Duration::from_millis(500))
    });
    assert_eq!(finished.ending, Ending::Exited(3), "{finished:?}");
}

#[test]
fn the_environment_is_clean() {
    let finished = shell("env | cut -d= -f1 | sort", LONG);
    let text = finished.stdout.text();
    let names: Vec<&str> = text
        .lines()
        .filter(|name| !["_", "PWD", "SHLVL", "OLDPWD"].contains(name))
        .collect();
    assert_eq!(names, ["LC_ALL", "PATH", "TMPDIR", "TZ"]);
}

#[test]
fn cpu_time_is_that_of_the_child_only() {
    let busy = shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done", LONG);
    assert!(busy.cpu > Duration::from_millis(20), "{:?}", busy.cpu);
    let idle = shell("sleep 0.3", LONG);
    assert!(idle.elapsed >= Duration::from_millis(300));
    assert!(idle.cpu < idle.elapsed / 2, "{:?}", idle.cpu);
}

#[test]
fn a_grandchild_that_holds_the_pipe_open_neither_delays_nor_survives() {
    let started = Instant::now();
    let finished = shell("sleep 7004.5 & echo done", LONG);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(
        (finished.ending, finished.stdout.text().as_str()),
        (Ending::Exited(0), "done\n")
    );
    assert!(is_gone("7004.5"), "the grandchild is left behind");
}

#[test]
fn a_program_that_cannot_be_started_is_reported_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("missing");
    let invocation = Invocation {
        program: &program,
        arguments: &[],
        directory: directory.path(),
        limit: LONG,
        grace: Duration::ZERO,
        sandbox: None,
        environment: &[],
        input: None,
        memory_bytes_max: None,
    };
    let error = run(&invocation).unwrap_err().to_string();
    assert!(
        error.contains("missing") && !error.contains('\n'),
        "{error}"
    );
}

#[test]
fn a_starved_process_does_not_time_out() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // Both run on one processor. The kernel runs idle-class processes only when no other wants the processor (sched(7), SCHED_IDLE).
    let starved = "taskset -cp 0 $$ >&2; chrt -i -p 0 $$ >&2; \
                   i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo counted";
    let spinner = "taskset -cp 0 $$ >&2; while :; do :; done";
    let mut spinner = Command::new("sh").args(["-c", spinner]).spawn().unwrap();
    let arguments = ["-c".to_owned(), starved.to_owned()];
    let ended = std::thread::scope(|scope| {
        let ended = scope.spawn(|| {
            run(&Invocation {
                memory_bytes_max: None,
                program: Path::new("/bin/sh"),
                arguments: &arguments,
                directory: directory.path(),
                limit: Duration::from_millis(300),
                grace: Duration::ZERO,
                sandbox: None,
                environment: &[],
                input: None,
            })
        });
        // The starved process gets almost no processor time for three times its limit.
        std::thread::sleep(Duration::from_millis(900));
        spinner.kill().unwrap();
        spinner.wait().unwrap();
        ended.join().unwrap().unwrap()
    });
    assert_eq!(ended.ending, Ending::Exited(0), "{ended:?}");
    assert_eq!(ended.stdout.text(), "counted\n");
}

/// Runs a script that exceeds its time limit. Returns the post-mortem and the elapsed time.
fn at_its_limit(script: &str, grace: Duration) -> (PostMortem, Duration) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let arguments = ["-c".to_owned(), script.to_owned()];
    let finished = run(&Invocation {
        memory_bytes_max: None,
        program: Path::new("/bin/sh"),
        arguments: &arguments,
        directory: directory.path(),
        limit: Duration::from_millis(500),
        grace,
        sandbox: None,
        environment: &[],
        input: None,
    })
    .unwrap();
    match finished.ending {
        Ending::TimedOut(post_mortem) => (post_mortem, finished.elapsed),
        _ => panic!("{finished:?}"),
    }
}

#[test]
fn busy_processes_get_a_grace_period_and_stopped_or_sleeping_ones_do_not() {
    let grace = Duration::from_millis(300);
    let cases = [
        ("while :; do :; done", "busy"),
        ("while :; do echo x > file; sync file; done", "busy"),
        ("kill -STOP $$", "stuck"),
        ("exec sleep 7005.5", "stuck"),
        // It is busy at first, but only the last tenth of the time counts.
        (
            "i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; exec sleep 7006.5",
            "stuck",
        ),
    ];
    std::thread::scope(|scope| {
        for (script, word) in cases {
            scope.spawn(move || {
                let (post_mortem, elapsed) = at_its_limit(script, grace);
                assert_eq!(post_mortem.word(), word, "{script}: {post_mortem}");
                let was_patient = elapsed >= Duration::from_millis(500) + grace;
                assert!(was_patient || word == "stuck", "{script}: {elapsed:?}");
            });
        }
    });
}
