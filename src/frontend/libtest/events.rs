//! libtest's event stream: one JSON object per line, written as it happens, with libtest's keys in libtest's order.
//!
//! The format is that of Rust 1.95 (`library/test/src/formatters/json.rs`); a test compares it with a plain libtest
//! binary.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Outcome, Schedule, Trial, outcome};

/// After how long a running trial is reported as slow, as in libtest.
const SLOW_AFTER: Duration = Duration::from_secs(60);

/// How often the stream looks for slow trials.
const SLOW_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The state that the threads share.
struct Stream<'output> {
    output: &'output mut (dyn Write + Send),
    report_time: bool,
    passed: u64,
    failed: u64,
    ignored: u64,
    /// The start of each running trial, without those that have been reported as slow.
    running: BTreeMap<String, Instant>,
}

impl Stream<'_> {
    /// Writes a line and flushes, so that a reader sees what is running now.
    fn line(&mut self, line: &str) {
        // Without a reader, the exit code still says the result.
        let _ = writeln!(self.output, "{line}");
        let _ = self.output.flush();
    }

    fn started(&mut self, name: &str) {
        self.running.insert(name.to_owned(), Instant::now());
        let name = quoted(name);
        self.line(&format!(
            r#"{{ "type": "test", "event": "started", "name": {name} }}"#
        ));
    }

    /// Writes the end of a trial; `elapsed` is `None` if it was not run.
    fn ended(&mut self, name: &str, outcome: &Outcome, elapsed: Option<Duration>) {
        self.running.remove(name);
        let (event, key, text) = match outcome {
            Outcome::Passed => ("ok", "", ""),
            Outcome::Failed(text) => ("failed", "stdout", text.as_str()),
            Outcome::Ignored(reason) => ("ignored", "message", reason.as_str()),
        };
        *match outcome {
            Outcome::Passed => &mut self.passed,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Ignored(_) => &mut self.ignored,
        } += 1;
        let name = quoted(name);
        let mut line = format!(r#"{{ "type": "test", "name": {name}, "event": "{event}""#);
        if let Some(elapsed) = elapsed.filter(|_| self.report_time) {
            let _ = write!(line, r#", "exec_time": {}"#, elapsed.as_secs_f64());
        }
        if !text.is_empty() {
            let _ = write!(line, r#", "{key}": {}"#, quoted(text));
        }
        line.push_str(" }");
        self.line(&line);
    }

    fn report_slow_trials(&mut self) {
        let is_slow = |began: &Instant| began.elapsed() >= SLOW_AFTER;
        let names = self.running.iter().filter(|(_, began)| is_slow(began));
        let names: Vec<String> = names.map(|(name, _)| name.clone()).collect();
        for name in names {
            self.running.remove(&name);
            let name = quoted(&name);
            self.line(&format!(
                r#"{{ "type": "test", "event": "timeout", "name": {name} }}"#
            ));
        }
    }
}

/// Runs the trials and writes the event stream to `output`. Returns the number of failures.
pub(super) fn run(schedule: Schedule, output: &mut (dyn Write + Send)) -> u64 {
    let began = Instant::now();
    let count = schedule.trials.len();
    let seed = schedule
        .shuffle_seed
        .map(|seed| format!(r#", "shuffle_seed": {seed}"#));
    let mut stream = Stream {
        output,
        report_time: schedule.report_time,
        passed: 0,
        failed: 0,
        ignored: 0,
        running: BTreeMap::new(),
    };
    stream.line(&format!(
        r#"{{ "type": "suite", "event": "started", "test_count": {count}{} }}"#,
        seed.unwrap_or_default()
    ));
    let stream = Mutex::new(stream);
    let trials = Mutex::new(schedule.trials.into_iter());
    std::thread::scope(|scope| {
        let (over, is_over) = mpsc::channel::<()>();
        for _ in 0..schedule.threads.min(count) {
            let over = over.clone();
            let (trials, stream) = (&trials, &stream);
            scope.spawn(move || {
                while let Some(trial) = next(trials) {
                    run_trial(trial, stream);
                }
                drop(over);
            });
        }
        drop(over);
        let still_going = || {
            let waited = is_over.recv_timeout(SLOW_CHECK_INTERVAL);
            waited == Err(mpsc::RecvTimeoutError::Timeout)
        };
        while still_going() {
            lock(&stream).report_slow_trials();
        }
    });
    let mut stream = stream.into_inner().unwrap_or_else(PoisonError::into_inner);
    let event = if stream.failed == 0 { "ok" } else { "failed" };
    stream.line(&format!(
        r#"{{ "type": "suite", "event": "{event}", "passed": {}, "failed": {}, "ignored": {}, "measured": 0, "filtered_out": {}, "exec_time": {} }}"#,
        stream.passed,
        stream.failed,
        stream.ignored,
        schedule.filtered_out,
        began.elapsed().as_secs_f64(),
    ));
    stream.failed
}

fn run_trial(trial: Trial, stream: &Mutex<Stream<'_>>) {
    lock(stream).started(&trial.name);
    let began = Instant::now();
    let (outcome, elapsed) = match trial.ignored {
        Some(reason) => (Outcome::Ignored(reason), None),
        None => {
            let outcome = outcome(trial.run);
            (outcome, Some(began.elapsed()))
        }
    };
    lock(stream).ended(&trial.name, &outcome, elapsed);
}

fn next(trials: &Mutex<impl Iterator<Item = Trial>>) -> Option<Trial> {
    trials.lock().unwrap_or_else(PoisonError::into_inner).next()
}

fn lock<'stream, 'output>(
    stream: &'stream Mutex<Stream<'output>>,
) -> std::sync::MutexGuard<'stream, Stream<'output>> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lists the trials as events.
pub(super) fn list(trials: &[Trial]) -> String {
    let mut text = "{ \"type\": \"suite\", \"event\": \"discovery\" }\n".to_owned();
    let mut ignored = 0;
    for trial in trials {
        ignored += u64::from(trial.ignored.is_some());
        let source = trial.source.as_deref().map(|path| path.to_string_lossy());
        let line = u64::from(source.is_some());
        let _ = writeln!(
            text,
            r#"{{ "type": "test", "event": "discovered", "name": {}, "ignore": {}, "ignore_message": {}, "source_path": {}, "start_line": {line}, "start_col": {line}, "end_line": {line}, "end_col": {line} }}"#,
            quoted(&trial.name),
            trial.ignored.is_some(),
            quoted(trial.ignored.as_deref().unwrap_or_default()),
            quoted(&source.unwrap_or_default()),
        );
    }
    let count = trials.len();
    let _ = writeln!(
        text,
        r#"{{ "type": "suite", "event": "completed", "tests": {count}, "benchmarks": 0, "total": {count}, "ignored": {ignored} }}"#
    );
    text
}

/// Quotes a text as a JSON string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
