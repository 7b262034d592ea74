//! `imgduel merge`: joins the records of many processes or machines into one summary, JUnit file and page.
//!
//! nextest runs each test in its own process and sees only its exit code; the merge counts inconclusive cases as
//! inconclusive again. It reads the records twice, one at a time, so their number is not limited by memory.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

use super::outcome::{exit_code, stale_known, tell_github};
use super::print_text;
use super::record_lines::{Key, each_line, files, parse};
use crate::base::error::{Error, Result};
use crate::campaign::settings::Settings;
use crate::case::generation::ancestry::lineage;
use crate::process::own_cpu_time;
use crate::report::sinks::Sinks;
use crate::report::terminal;
use crate::run::record::{Record, Summary};

#[derive(Args)]
pub(super) struct MergeArguments {
    #[command(flatten)]
    settings: Settings,

    /// Record files, and directories of record files (*.jsonl)
    #[arg(required = true, value_name = "RECORDS")]
    records: Vec<PathBuf>,
}

pub(super) fn merge(arguments: &MergeArguments) -> Result<ExitCode> {
    let files = files(&arguments.records)?;
    // If a case was run several times, its last record counts.
    let mut last: HashMap<u128, (u32, u32)> = HashMap::new();
    for (file, path) in files.iter().enumerate() {
        each_line(path, |number, line| {
            let key: Key = parse(path, number, line)?;
            let name = hash(key.trial.as_deref().unwrap_or(&key.id), &key.reproduce);
            let place = (file as u32, number as u32);
            // A record that was only carried over yields to any other record of the case.
            if key.carried_over {
                last.entry(name).or_insert(place);
            } else {
                last.insert(name, place);
            }
            Ok(())
        })?;
    }
    if last.is_empty() {
        return Err(Error::usage(
            "there is no record in these files: a merge of nothing proves nothing",
        ));
    }
    let mut sinks = Sinks::open(&arguments.settings)?;
    let mut joined = Joined::new(last.len() as u64);
    for (file, path) in files.iter().enumerate() {
        each_line(path, |number, line| {
            let record: Record = parse(path, number, line)?;
            let name = record.trial.as_ref().unwrap_or(&record.id);
            let name = hash(name, &record.reproduce);
            if last.get(&name) != Some(&(file as u32, number as u32)) {
                return Ok(());
            }
            joined.add(&record);
            sinks.add(&record)
        })?;
    }
    let summary = joined.finish();
    sinks.finish(&summary)?;
    print_text(&terminal::summary(&summary));
    print_text(&terminal::stale(&stale_known(
        &summary,
        &arguments.settings,
    )));
    tell_github(&summary, sinks.digest());
    Ok(exit_code(&summary, &arguments.settings))
}

/// The identity of a case, by name and settings: a million cases are kept by their hashes, in about 30 MiB.
fn hash(name: &str, reproduce: &str) -> u128 {
    xxh3_128(format!("{name}\0{reproduce}").as_bytes())
}

/// The summary of merged records. Its elapsed time is that from the first start to the last end.
struct Joined {
    summary: Summary,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Joined {
    fn new(total: u64) -> Self {
        Self {
            summary: Summary::new(None, None, total),
            first: None,
            last: None,
        }
    }

    fn add(&mut self, record: &Record) {
        // A mutated case belongs to the campaign of the drawn case that it descends from.
        let generation = Some(lineage(&record.generation).0.to_owned());
        if self.summary.iterations_completed == 0 {
            self.summary.generation = generation.clone();
            self.summary.seed = record.seed;
        }
        self.summary.guided |= record.parent.is_some();
        let own = (&self.summary.generation, self.summary.seed);
        if own != (&generation, record.seed) {
            (self.summary.generation, self.summary.seed) = (None, None);
        }
        self.summary.add(record);
        if let Some(started) = record.started {
            let ended = started.checked_add(record.duration()).unwrap_or(started);
            self.first = self.first.into_iter().chain([started]).min();
            self.last = self.last.max(Some(ended));
        }
    }

    fn finish(mut self) -> Summary {
        let elapsed = self.first.zip(self.last).map(|(first, last)| {
            let elapsed = last.duration_since(first);
            elapsed.try_into().unwrap_or_default()
        });
        self.summary.list_all_candidates();
        self.summary
            .finish(elapsed.unwrap_or_default(), own_cpu_time());
        self.summary
    }
}
