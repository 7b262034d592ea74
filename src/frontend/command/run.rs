//! A run of many cases by the command: opens tools and report files, runs the cases, prints the results.
//!
//! `fuzz` and `replay` use it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::outcome::{exit_code, is_failure, stale_known, tell_github};
use super::resuming::Resumed;
use super::{EXIT_DIVERGENCE, issues, print_text, resuming, shrinking, stopping, vacuity};
use crate::base::error::{Cause, Error, Result};
use crate::campaign::candidate_set::{CandidateSet, second_judge};
use crate::campaign::settings::Settings;
use crate::campaign::{self, CaseSource, Ended, Pace, required};
use crate::report::findings::Findings;
use crate::report::junit::Fault;
use crate::report::progress::Progress;
use crate::report::sinks::Sinks;
use crate::report::{complain, python, terminal};
use crate::run::record::{Record, Summary};
use crate::tool::ToolEnv;

/// What a run prints on standard output for its cases.
pub(super) enum Telling {
    /// At the end, what differs in each group of divergences; with `verbose`, also the whole evidence of each group as
    /// it is found. New groups are kept as pending findings, with `shrink` after shrinking.
    Groups { shrink: bool, verbose: bool },
    /// The evidence of every case.
    Every,
}

/// The opened tools and report files of one run.
pub(super) struct Run {
    pub(super) candidate_set: Arc<CandidateSet>,
    pub(super) sinks: Sinks,
    pub(super) settings: Settings,
    pub(super) log_dir: Option<PathBuf>,
    /// The seed files that cases came from, by case id.
    pub(super) seed_files: HashMap<String, String>,
    /// How to file issues, if they are to be filed.
    pub(super) issues: Option<issues::Filing>,
    /// Whether the run is a campaign, which fails if it compares too little to prove anything.
    pub(super) must_prove: bool,
    /// The records of the run that is resumed.
    pub(super) resumed: Vec<Record>,
}

impl Run {
    pub(super) fn open(settings: &Settings, log_dir: Option<PathBuf>) -> Result<Self> {
        Self::open_for(settings, log_dir, None)
    }

    pub(super) fn open_for(
        settings: &Settings,
        log_dir: Option<PathBuf>,
        mut resumed: Option<Resumed>,
    ) -> Result<Self> {
        settings.begin_log();
        stopping::listen()?;
        let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
        required::check(settings, &tool_env)?;
        let (candidate_set, settings, absent) = CandidateSet::open_available(settings, &tool_env)?;
        let (candidate_set, settings) = (Arc::new(candidate_set), &settings);
        let notice = absent.as_ref().map(second_judge);
        notice.iter().for_each(complain);
        let sinks = match &mut resumed {
            Some(resumed) => {
                let records = resumed.go_on(settings, &candidate_set)?;
                Sinks::open_with(settings, Some(records))?
            }
            None => Sinks::open(settings)?,
        };
        candidate_set.notices().iter().for_each(complain);
        let unseen = settings.unseen_variables().map(Error::system);
        unseen.iter().for_each(complain);
        Ok(Self {
            candidate_set,
            sinks,
            settings: settings.clone(),
            log_dir,
            seed_files: HashMap::new(),
            issues: None,
            must_prove: false,
            resumed: resumed.map_or_else(Vec::new, |resumed| resumed.records),
        })
    }

    /// Runs the cases. Prints their results as they end, and then the summary.
    pub(super) fn campaign(
        mut self,
        cases: impl CaseSource + 'static,
        summary: Summary,
        telling: Telling,
    ) -> Result<ExitCode> {
        let mut summary = summary;
        summary.witnesses = self.candidate_set.witnesses();
        // The number of cases of a campaign that is limited by time is known only at its end.
        let is_timed = summary.iterations == 0;
        let sessions = self.candidate_set.sessions().len() as u64;
        summary.iterations = summary.iterations.saturating_mul(sessions);
        let mut progress = Progress::new((!is_timed).then_some(summary.iterations));
        let pace = Pace {
            jobs: self.settings.jobs(),
            fail_fast: self.settings.fail_fast,
            until: self.settings.deadline(),
        };
        let mut findings = Findings::default();
        resuming::cases(&self.resumed).for_each(|case| summary.add_resumed(case));
        for record in &self.resumed {
            progress.add_resumed();
            findings.add(record);
            self.sinks.remember(record)?;
        }
        let candidate_set = Arc::clone(&self.candidate_set);
        let Ended { summary, cut_short } =
            campaign::run(&candidate_set, cases, pace, summary, |record| {
                self.take(record, &telling, &mut progress, &mut findings)
            });
        progress.finish();
        let mut summary = summary;
        if is_timed {
            summary.iterations = summary.iterations_completed;
        }
        let remark = self.judge_vacuity(&mut summary);
        if let Some(error) = cut_short
            .as_ref()
            .filter(|error| error.cause() != Cause::Interrupted)
        {
            self.sinks.add_fault(&Fault {
                name: "imgduel::campaign",
                message: &error.to_string(),
                is_missing_tool: error.cause() == Cause::MissingTool,
            })?;
        }
        let is_shrinking = matches!(telling, Telling::Groups { shrink: true, .. });
        let found = findings.in_order();
        let (kept, stopped) =
            shrinking::keep_new(&self.candidate_set, &self.settings, &found, is_shrinking);
        let written = self.sinks.finish(&summary);
        print_text(&kept);
        let compared = self.tell(&summary, remark);
        match cut_short.or(stopped).or(compared.err()) {
            // Divergences that were found before an interruption still count.
            Some(error)
                if error.cause() == Cause::Interrupted
                    && written.is_ok()
                    && is_failure(&summary, &self.settings) =>
            {
                complain(&error);
                Ok(ExitCode::from(EXIT_DIVERGENCE))
            }
            Some(error) => Err(error),
            None => written.map(|()| exit_code(&summary, &self.settings)),
        }
    }

    /// Processes the record of a case when the case ends.
    fn take(
        &mut self,
        record: &Record,
        telling: &Telling,
        progress: &mut Progress,
        findings: &mut Findings,
    ) -> Result<()> {
        let mut from_file;
        let mut record = record;
        if let Some(file) = self.seed_files.get(&record.id) {
            from_file = record.clone();
            from_file.came_from_file(file.clone());
            record = &from_file;
        }
        progress.add(record);
        let is_printed = match telling {
            Telling::Groups { verbose, .. } => findings.add(record) && *verbose,
            Telling::Every => true,
        };
        if is_printed {
            let block = terminal::evidence_block(record);
            progress.aside(|| print_text(&format!("{block}\n")));
        }
        let log_dir = self.log_dir.as_deref();
        if let Some(directory) = log_dir.filter(|_| record.class().is_open()) {
            python::write_divergence(directory, record)?;
        }
        self.sinks.add(record)
    }

    /// Notes in the summary if the campaign compared too little. Returns a remark if that is no failure.
    fn judge_vacuity(&self, summary: &mut Summary) -> Option<String> {
        if !self.must_prove || self.settings.allow_vacuous {
            return None;
        }
        let complaint = vacuity::complaint(summary, self.sinks.digest(), &self.settings)?;
        if complaint.is_failure {
            summary.vacuous = Some(complaint.why);
            return None;
        }
        Some(complaint.why)
    }

    /// Prints the summary, also for GitHub, and files issues if requested. Returns the error if comparing the tools'
    /// releases failed.
    fn tell(&self, summary: &Summary, remark: Option<String>) -> Result<Option<String>> {
        print_text(&terminal::summary(summary));
        print_text(&terminal::stale(&stale_known(summary, &self.settings)));
        if let Some(why) = remark {
            print_text(&format!(
                "{why}: not a failure with so few cases, but they prove little\n"
            ));
        }
        tell_github(summary, self.sinks.digest());
        if let Some(filing) = &self.issues {
            issues::create(&self.sinks.digest().groups, filing);
        }
        let compared = self.candidate_set.compared().transpose();
        if let Ok(Some(line)) = &compared {
            print_text(&format!("{line}\n"));
        }
        compared
    }
}
