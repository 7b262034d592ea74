//! The trial that holds the candidates against the model alone: as many cases as a few seconds have room for.
//!
//! Whole cases run in workers, without the reference (`run::case_worker`). The trial passes if none of them is a new divergence; the test target says how many
//! there were. It is there for candidates that are libraries: others have no workers for whole cases.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::error::Result;
use crate::base::prose::counted;
use crate::campaign::candidate_set::CandidateSet;
use crate::campaign::settings::{Settings, TEST_SEED};
use crate::campaign::{self, Ended, Pace, passing_over};
use crate::case::generation::Generation;
use crate::run::record::{Record, Summary};
use crate::tool::ToolEnv;

/// How long cases are begun.
const BUDGET: Duration = Duration::from_secs(9);

/// The default of the most cases.
pub(super) const CASES: u64 = 5000;

/// The cases of the trial, not yet decoded.
#[derive(Clone)]
pub(super) struct AgainstModel {
    settings: Settings,
    generation: &'static Generation,
    seed: u64,
    count: u64,
}

/// What came of it.
pub(super) struct Tried {
    /// How many cases were compared to the end.
    pub(super) compared: u64,
    /// What is said of it, in one line.
    pub(super) line: String,
}

impl AgainstModel {
    /// Returns the trial for at most `count` cases; `None` if no candidate is a library, or the model judges no case of the generation.
    pub(super) fn from_settings(settings: &Settings, count: u64) -> Result<Option<Self>> {
        let Some(settings) = settings.against_model().filter(|_| count > 0) else {
            return Ok(None);
        };
        let generation = settings.generation()?;
        let seed = settings.seed.unwrap_or(TEST_SEED);
        Ok(generation.is_judged_by_model().then_some(Self {
            settings,
            generation,
            seed,
            count,
        }))
    }

    /// Returns what the trial's name has behind its module.
    pub(super) fn name(&self) -> String {
        format!("{}_s{}", self.generation.name, self.seed)
    }

    /// Runs the cases. `on_record` takes every record in which something is new.
    pub(super) fn run(&self, mut on_record: impl FnMut(&Record) -> Result<()>) -> Result<Tried> {
        let settings = &self.settings;
        let started = Instant::now();
        let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
        let candidate_set = Arc::new(CandidateSet::open(settings, &tool_env)?);
        let cases = self
            .generation
            .cases(self.seed, settings.start, &settings.selection())?;
        let asked = Arc::clone(&candidate_set);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let cases = passing_over(cases, move |case| asked.concerns(case)).take(count);
        let pace = Pace {
            jobs: settings.jobs(),
            fail_fast: settings.fail_fast,
            until: Some(started + BUDGET),
        };
        let summary = Summary::new(None, None, 0);
        let Ended { summary, cut_short } = campaign::run(
            &candidate_set,
            cases.map(Ok),
            pace,
            summary,
            |record| match record.class().is_open() {
                true => on_record(record),
                false => Ok(()),
            },
        );
        if let Some(error) = cut_short {
            return Err(error);
        }
        let tally = summary.cases();
        let compared = tally.compared();
        let said = [
            (tally.divergences, "new divergence"),
            (tally.known, "known divergence"),
            (tally.unsupported, "unsupported case"),
        ];
        let said = said.into_iter().filter(|(count, _)| *count > 0);
        let said: String = said
            .map(|(count, what)| format!(", {}", counted(count, what)))
            .collect();
        Ok(Tried {
            compared,
            line: format!(
                "against the model: {} of {} compared in {:.1} s{said}",
                counted(compared, "case"),
                self.generation.name,
                started.elapsed().as_secs_f64()
            ),
        })
    }
}
