//! How the trial against the model ends: its divergences, and the line that says how much was tried.

use std::collections::HashSet;
use std::sync::PoisonError;

use super::TestSession;
use crate::base::prose::counted;
use crate::frontend::libtest::Outcome;
use crate::frontend::trial::against_model::{AgainstModel, Tried};

impl TestSession {
    /// Runs the trial.
    pub(super) fn against_model(&self, name: &str, cases: &AgainstModel) -> Outcome {
        let mut texts: Vec<String> = Vec::new();
        let (mut shown, mut more) = (HashSet::new(), 0);
        let done = cases.run(|record| {
            let mut record = record.clone();
            record.trial = Some(name.to_owned());
            if let Some(written) = &mut *self.lock() {
                written.summary.add_case(std::slice::from_ref(&record));
                written.sinks.add(&record)?;
                let document = written.document.as_mut();
                document.map_or(Ok(()), |document| document.append(&record))?;
            }
            // Of each group, the first case tells everything.
            if !shown.insert((record.candidate.to_string(), record.group())) {
                more += 1;
            } else if let Outcome::Failed(text) = self.outcome(name, &record, None) {
                texts.push(text);
            }
            Ok(())
        });
        let Tried { compared, line } = match done {
            Ok(tried) => tried,
            Err(error) => return self.not_possible(name, &error),
        };
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.clone());
        match (texts.is_empty(), compared) {
            (false, _) => {
                let more = match more {
                    0 => String::new(),
                    more => format!("\n{} more of the same\n", counted(more, "case")),
                };
                Outcome::Failed(format!("{line}\n{}{more}", texts.join("\n")))
            }
            (true, 0) => Outcome::Ignored(line),
            (true, _) => Outcome::Passed,
        }
    }
}
