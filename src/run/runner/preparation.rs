//! Images that the reference prepares for both sides: it makes them once, and the candidate's side gets copies.
//!
//! The runner asks while it carries out the steps. Only an operation's first steps count, up to the first that the candidate's tool has a part in:
//! until then both sides' images come from the same requests to the same tool. The copies are made when the reference has carried out the last of
//! these steps and before its own next one, so that nothing of what is under test is in them.

use std::collections::BTreeSet;

use super::CaseRun;
use crate::oracle::observations::{Executor, Side, SideRun, Step, Task};

impl CaseRun<'_> {
    /// How many of the first steps the reference carries out on both sides; 0 on the candidate's side, where nothing is handed over.
    pub(super) fn prepared(&self, side: Side, steps: &[Step]) -> usize {
        if side == Side::Candidate {
            return 0;
        }
        let is_of_reference = |step: &&Step| {
            let is_left_to_it = match step.executor {
                Executor::Reference => true,
                Executor::SideOrReference => !self.can(Side::Candidate, &step.task),
                _ => false,
            };
            // What records the path of a side's directory is another image on the other side.
            is_left_to_it
                && matches!(&step.task, Task::Tool(request) if !request.names_its_directory())
        };
        steps.iter().take_while(is_of_reference).count()
    }

    /// Gives the candidate's side copies of what the reference has prepared. False if the candidate's side has to prepare its own images: a
    /// step has failed, or a file cannot be copied.
    pub(super) fn hand_over(&mut self, prepared: &SideRun) -> bool {
        let results = &prepared.step_results;
        let names: BTreeSet<&String> = results
            .iter()
            .flat_map(|result| &result.changed_files)
            .collect();
        let is_whole = results.iter().all(|result| result.answer.succeeded());
        if !is_whole || self.scratch_dir.hand_over(&names).is_err() {
            self.scratch_dir.take_back(&names);
            return false;
        }
        self.handed_over = results.len();
        true
    }
}
