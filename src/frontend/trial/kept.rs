//! The process that is kept for the trials of nextest, as a trial sees it.
//!
//! nextest starts a process for each trial, and each would open the tools anew. So the first trial starts one process
//! that opens them and is kept until no trial has come for some seconds (`serving.rs`); a trial sends it its case and
//! gets the records. Only good news is believed: whatever is no match, known or unsupported, and whatever goes wrong with
//! that process, leaves the case to the trial itself. The session of trials calls this module.

mod key;
mod serving;

pub(super) use serving::{is_asked, serve};

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CAMPAIGN, REGRESSION};
use crate::campaign::settings::Settings;
use crate::case::Case;
use crate::frontend::libtest::Flags;
use crate::frontend::trace::is_one_of_many;
use crate::process::kept_socket;
use crate::report::seed_file::SeedFile;
use crate::run::record::{Class, Record};
use crate::tool::launcher::ExecMode;

/// The variable that makes a process the kept one; its value is the key for which.
const VARIABLE: &str = "__IMGDUEL_KEPT_FOR";

/// How long the kept process may take to say who it is.
const HELLO_PATIENCE: Duration = Duration::from_secs(2);

/// How long it may be silent while it runs a case.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The longest line that a trial reads, in bytes.
const LINE_MAX: u64 = 64 << 20;

/// The first line of the kept process: for which key it runs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hello {
    key: String,
}

/// What a trial asks for.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrialCase {
    /// The case.
    pub(super) case: Case,
    /// The seed file that it is from.
    pub(super) seed: Option<SeedFile>,
    /// Whether the reference's kept answers may be taken.
    pub(super) is_the_same_each_time: bool,
}

/// The answer: the records, or nothing if the trial has to see for itself.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    records: Option<Vec<Record>>,
}

/// A connection to the kept process.
pub(super) struct Kept {
    stream: BufReader<UnixStream>,
}

impl Kept {
    /// Returns a connection for the trial that these flags select, if there is to be one and it can be had.
    pub(super) fn for_trial(flags: &Flags, settings: &Settings) -> Option<Self> {
        let is_of_cases = |name: &String| {
            let module = name.split_once("::").map(|(module, _)| module);
            module.is_some_and(|module| [REGRESSION, CAMPAIGN].contains(&module))
        };
        let is_one = flags.exact && flags.filters.len() == 1 && !flags.list;
        if !is_one || !is_one_of_many() || !flags.filters.iter().all(is_of_cases) {
            return None;
        }
        // What is logged, kept or compared call by call is this process's own business.
        let is_plain = settings.log.is_none() && !settings.keep;
        if !is_plain || settings.exec_mode != ExecMode::Fork {
            return None;
        }
        let key = key::for_settings(settings)?;
        let path = socket_path(&kept_socket::directory().ok()?, &key);
        let stream = kept_socket::reached(&path, (VARIABLE, &key), key::is_of_runner)?;
        Self::greeted(stream, &key)
    }

    /// Returns the connection if the other side says that it runs for this key.
    fn greeted(stream: UnixStream, key: &str) -> Option<Self> {
        stream.set_read_timeout(Some(HELLO_PATIENCE)).ok()?;
        let mut kept = Self {
            stream: BufReader::new(stream),
        };
        let hello: Hello = serde_json::from_str(&kept.line().ok()?).ok()?;
        (hello.key == key).then_some(kept)
    }

    /// Returns the records of a case that raises no question; `None` if the trial has to run it itself.
    pub(super) fn records(mut self, trial_case: &TrialCase) -> Option<Vec<Record>> {
        let stream = self.stream.get_mut();
        stream.set_read_timeout(Some(SILENCE_MAX)).ok()?;
        stream.set_write_timeout(Some(SILENCE_MAX)).ok()?;
        let mut line = serde_json::to_vec(trial_case).ok()?;
        line.push(b'\n');
        stream.write_all(&line).ok()?;
        let answer = loop {
            let line = self.line().ok()?;
            // An empty line says that it is still at it.
            if !line.is_empty() {
                break line;
            }
        };
        let answer: Answer = serde_json::from_str(&answer).ok()?;
        let records = answer.records.filter(|records| !records.is_empty())?;
        let id = trial_case.case.id().to_string();
        let is_good = |record: &Record| {
            let class = matches!(
                record.class(),
                Class::Match | Class::Known | Class::Unsupported
            );
            class && record.id == id
        };
        records.iter().all(is_good).then_some(records)
    }

    fn line(&mut self) -> io::Result<String> {
        line(&mut self.stream)
    }
}

/// Returns the next line without its end.
fn line(stream: &mut BufReader<UnixStream>) -> io::Result<String> {
    let mut line = Vec::new();
    stream.take(LINE_MAX).read_until(b'\n', &mut line)?;
    match line.pop() {
        Some(b'\n') => String::from_utf8(line).map_err(io::Error::other),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn socket_path(directory: &Path, key: &str) -> PathBuf {
    directory.join(format!("{key}.sock"))
}
