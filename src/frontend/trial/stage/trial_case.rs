//! Who runs the case of a trial: the process that is kept for trials, or this one.

use std::sync::PoisonError;

use super::{Opened, TestSession};
use crate::base::error::Result;
use crate::frontend::trial::kept::{Kept, TrialCase};
use crate::run::record::Record;

impl TestSession {
    /// Lets the kept process run the case of this process, if that raises no question.
    pub(in crate::frontend::trial) fn take_from(&self, kept: Kept) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }

    /// Returns the records of a case with all its candidates.
    pub(super) fn records_of(&self, trial_case: &TrialCase) -> Result<Vec<Record>> {
        // Not held while the case runs.
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match kept.and_then(|kept| kept.records(trial_case)) {
            Some(records) => Ok(records),
            None => self.records_for(trial_case),
        }
    }

    /// Runs a case with all its candidates, here.
    pub(in crate::frontend::trial) fn records_for(
        &self,
        trial_case: &TrialCase,
    ) -> Result<Vec<Record>> {
        let Opened {
            candidate_set,
            absent,
        } = self.opened()?;
        if let (Some(_), Some(absent)) = (&trial_case.seed, absent) {
            return Err(absent.clone());
        }
        let with_answers = || {
            let opened = self.with_answers.get_or_init(|| self.cached(candidate_set));
            opened.as_ref()
        };
        let candidate_set = match trial_case.is_the_same_each_time {
            true => with_answers().unwrap_or(candidate_set),
            false => candidate_set,
        };
        let TrialCase { case, seed, .. } = trial_case;
        let mut records = candidate_set.run_confirmed(case)?;
        records.extend(self.of_seeds.run(seed.as_ref(), &self.settings, case)?);
        Ok(records)
    }
}
