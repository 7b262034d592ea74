//! `imgduel shrink`, and the shrinking of new groups at the end of a campaign: the runs, files and messages around
//! [`shrink`](crate::case::shrink).

pub(super) mod image;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::base::error::{Cause, Error, Result};
use crate::base::prose::printable;
use crate::base::variants::CaseSize;
use crate::base::whole_file::{write_json, write_text};
use crate::campaign::candidate_set::CandidateSet;
use crate::campaign::settings::Settings;
use crate::case::Case;
use crate::case::shrink::{Limits, Progress, Symptom, shrink};
use crate::oracle::signature::Group;
use crate::process::{Interrupt, stop_requested};
use crate::report::findings::{self, Found};
use crate::report::seed_file::{Drawn, SeedFile};
use crate::report::terminal::{self, excerpt};
use crate::run::record::{Class, Record};
use crate::run::session::Session;

/// Limits of shrinking one finding at the end of a campaign.
const AUTOMATIC_LIMITS: Limits = Limits {
    attempts: 400,
    time: Duration::from_secs(30),
};

/// How many new groups are shrunk at the end of a campaign; further groups are kept unshrunken.
const AUTOMATIC_GROUPS_MAX: usize = 10;

/// How long shrinking at the end of a campaign may take before no further group is begun.
const AUTOMATIC_TIME_MAX: Duration = Duration::from_secs(120);

/// Limits of one run of `imgduel shrink`.
const LIMITS: Limits = Limits {
    attempts: 5000,
    time: Duration::from_secs(600),
};

/// The result of shrinking one finding.
pub(super) struct Shrunk {
    /// The record of the smallest case.
    record: Record,
    /// The size of the original case.
    before: CaseSize,
    progress: Progress,
    /// Why shrinking was interrupted, if it was. Reaching a limit is no interruption.
    cut_short: Option<Error>,
}

/// Shrinks the finding of a record, and continues where an earlier run was interrupted. A candidate case is rejected
/// if it shows one of the `others` or a group that is kept already; otherwise two findings would shrink to one, and
/// the other would be lost.
fn shrink_record(
    session: &Session,
    record: &Record,
    group: &Group,
    others: &[&Group],
    directory: &Path,
    limits: Limits,
) -> Result<Shrunk> {
    let symptom = symptom(record, group);
    let known_too = record.class() == Class::Known;
    let path = findings::progress_path(directory, &record.candidate, group);
    let case = record.case_shown()?;
    let begun = saved(&path).filter(|begun| begun.is_of(case, &symptom));
    let mut progress = begun.unwrap_or_else(|| Progress::new(case.clone(), symptom));
    let shown = |case: &Case| {
        if stop_requested() != Interrupt::None {
            return Err(Error::interrupted());
        }
        let tried = session.try_case(case.clone())?;
        let is_other = tried.group().is_some_and(|shown| {
            let is_kept = || findings::kept(directory, &tried.candidate, &shown).is_some();
            shown != *group && (others.contains(&&shown) || is_kept())
        });
        let symptoms = tried.symptoms(known_too);
        Ok(if is_other { Vec::new() } else { symptoms })
    };
    let save = |progress: &Progress| write_json(&path, progress, "keep the shrinker's progress in");
    let cut_short = shrink(&mut progress, limits, shown, save).err();
    if let Some(error) = cut_short
        .as_ref()
        .filter(|error| error.cause() != Cause::Interrupted)
    {
        return Err(error.clone());
    }
    if progress.finished {
        // The file does not exist if nothing was tried.
        let _ = fs::remove_file(&path);
    }
    let smallest = if progress.case == *case {
        record.clone()
    } else {
        session.try_case(progress.case.clone())?
    };
    Ok(Shrunk {
        record: smallest,
        before: case.case_size(),
        progress,
        cut_short,
    })
}

/// What a smaller case must show.
fn symptom(record: &Record, group: &Group) -> Symptom {
    Symptom {
        kind: group.kind.clone(),
        operation: group.operation.clone(),
        blame: record.blame,
        known: record.known.clone(),
        cause: record.cause(),
    }
}

/// Keeps the cases of this campaign beside the findings: `accept` tests new entries of the catalogue on them.
fn keep_cases(directory: &Path, found: &[&Found]) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let records = found.iter().flat_map(|found| &found.some);
    let lines = records.map(|record| {
        let line = serde_json::to_string(record);
        line.map(|line| line + "\n")
    });
    let text: String = lines
        .collect::<serde_json::Result<_>>()
        .map_err(|error| Error::system(error.to_string()))?;
    let path = directory.join(findings::LAST_FILE);
    write_text(&path, &text, "keep the cases of the campaign in")
}

fn saved(path: &Path) -> Option<Progress> {
    // Progress that cannot be read is ignored, and shrinking begins anew.
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Keeps every new group as a pending finding, after shrinking if `is_shrinking`. Returns the text to print, one line
/// and one command for each group, and the error that interrupted it, if any.
pub(super) fn keep_new(
    candidate_set: &CandidateSet,
    settings: &Settings,
    found: &[&Found],
    is_shrinking: bool,
) -> (String, Option<Error>) {
    let mut text = String::new();
    let mut shrunk_groups = 0;
    let mut interrupted = None;
    let started = Instant::now();
    if let Err(error) = keep_cases(&settings.findings, found) {
        return (text, Some(error));
    }
    let groups: Vec<&Group> = found.iter().map(|found| &found.group).collect();
    for found in found {
        let record = &found.first;
        if let Some(path) = findings::kept(&settings.findings, &record.candidate, &found.group) {
            text.push_str(&terminal::pending_finding(&path, found.count));
            text.push_str(&excerpt::evidence(record));
            text.push_str(&format!("  again: {}\n", record.reproduce));
            continue;
        }
        let path = findings::path(&settings.findings, &record.candidate, &found.group);
        // A record that was read from a file may lack its case.
        let wanted = is_shrinking
            && record.case.is_some()
            && interrupted.is_none()
            && stop_requested() == Interrupt::None
            && shrunk_groups < AUTOMATIC_GROUPS_MAX
            && started.elapsed() < AUTOMATIC_TIME_MAX;
        let shrink = || {
            let session = candidate_set.session_of(&record.candidate);
            let (directory, limits) = (&settings.findings, AUTOMATIC_LIMITS);
            shrink_record(session, record, &found.group, &groups, directory, limits)
        };
        let shrunk = wanted.then(shrink).transpose();
        let kept = shrunk.and_then(|shrunk| {
            shrunk_groups += usize::from(shrunk.is_some());
            let smallest = shrunk.as_ref().map_or(record, |shrunk| &shrunk.record);
            SeedFile::resolved(smallest, &found.group, found.drawn.as_ref()).write(&path)?;
            let evidence = excerpt::evidence(smallest);
            Ok((shrunk, evidence))
        });
        match kept {
            Ok((shrunk, evidence)) => {
                text.push_str(&terminal::new_finding(&path, &found.group, found.count));
                if let Some(shrunk) = shrunk {
                    text.push_str(&shrunk.words());
                    interrupted = shrunk.cut_short.or(interrupted);
                }
                text.push_str(&evidence);
                text.push_str(&terminal::replay_command(
                    &path,
                    candidate_set.session_of(&record.candidate).spec(),
                ));
                text.push_str(&format!("  as it was drawn: {}\n", record.reproduce));
            }
            Err(error) => return (text, Some(error)),
        }
    }
    (text, interrupted)
}

/// `imgduel shrink`: prints the smaller case on standard output, and all else on standard error.
pub(super) fn shrink_one(
    session: &Session,
    settings: &Settings,
    case: Case,
    seed: Option<&SeedFile>,
) -> Result<ExitCode> {
    let record = session.try_case(case)?;
    let Some(seen) = record.group() else {
        let why = record.reason.as_deref().map(|why| format!(" ({why})"));
        return Err(Error::usage(format!(
            "{} shows no divergence here, but {}{}: there is nothing to shrink",
            record.id,
            record.verdict,
            why.unwrap_or_default()
        )));
    };
    // The group in the seed file determines the finding's file name, even if the differences have changed since.
    let kept_for = seed
        .and_then(|seed| seed.seen.as_ref())
        .map(|seen| seen.group());
    let is_same = |group: &Group| (&group.kind, &group.operation) == (&seen.kind, &seen.operation);
    let group = kept_for.filter(is_same).unwrap_or(seen);
    let mut shrunk = shrink_record(session, &record, &group, &[], &settings.findings, LIMITS)?;
    let path: PathBuf = findings::kept(&settings.findings, &record.candidate, &group)
        .unwrap_or_else(|| findings::path(&settings.findings, &record.candidate, &group));
    let of_image = image::shrink(
        session,
        settings,
        &shrunk.record,
        &symptom(&record, &group),
        &path,
    )?;
    let mut of_image_words = String::new();
    if let Some(smaller) = of_image {
        shrunk.record = smaller.record;
        of_image_words = smaller.words;
    }
    let kept = seed.and_then(|seed| seed.seen.as_ref()?.drawn.clone());
    let drawn = kept
        .map(|drawn| *drawn)
        .or_else(|| Drawn::from_record(&record));
    SeedFile::resolved(&shrunk.record, &group, drawn.as_ref()).write(&path)?;
    let line = serde_json::to_string(&shrunk.record.case)
        .map_err(|error| Error::system(error.to_string()))?;
    super::print_text(&format!("{line}\n"));
    let words = shrunk.words() + &of_image_words + &terminal::replay_command(&path, session.spec());
    let words = printable(&words);
    let _ = std::io::Write::write_all(&mut std::io::stderr(), words.as_bytes());
    match shrunk.cut_short {
        Some(error) => Err(error),
        None => Ok(ExitCode::SUCCESS),
    }
}

impl Shrunk {
    fn words(&self) -> String {
        let Progress {
            attempts, finished, ..
        } = self.progress;
        terminal::shrunk(
            self.before,
            self.progress.case.case_size(),
            attempts,
            finished,
        )
    }
}
