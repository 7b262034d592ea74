//! Resumes a guided campaign from its records.
//!
//! A campaign that ran one case at a time is deterministic: the guide replays its choices from the records, without any tool, and continues
//! exactly as an uninterrupted campaign would. If the records do not match (several cases at a time, or a corpus), the guide learns their
//! coverage and does not run these cases again.

use std::collections::HashSet;

use super::{Drawn, Guide, TAG};
use crate::base::error::Result;
use crate::base::rng::NativeRandom;
use crate::campaign::CaseSource;
use crate::case::Case;
use crate::case::generation::Generation;
use crate::case::generation::ancestry::{Change, lineage, parted};
use crate::run::record::Record;

impl Guide {
    /// Returns the guide that `make` creates, advanced to the point where the campaign with these records stopped.
    pub fn after(make: impl Fn() -> Result<Self>, records: &[Record]) -> Result<Self> {
        match make()?.retracing(records)? {
            Some(guide) => Ok(guide),
            None => make()?.learning(records),
        }
    }

    /// Replays the choices of the campaign; `None` if they do not lead to these records.
    fn retracing(mut self, records: &[Record]) -> Result<Option<Self>> {
        for of_case in records.chunk_by(|one, next| one.id == next.id) {
            let drawn = self.next().transpose()?;
            let Some(case) = drawn.filter(|case| case.id().to_string() == of_case[0].id) else {
                return Ok(None);
            };
            of_case.iter().for_each(|record| self.learn(&case, record));
        }
        Ok(Some(self))
    }

    /// Learns the coverage of the records, and does not draw their cases again.
    fn learning(mut self, records: &[Record]) -> Result<Self> {
        let mut done = HashSet::new();
        let mut count = 0;
        for of_case in records.chunk_by(|one, next| one.id == next.id) {
            let case = Generation::case(&of_case[0].id.parse()?, &self.selection)?;
            if lineage(&case.generation).1.is_empty() && case.seed == Some(self.seed) {
                done.extend(case.iteration);
            }
            self.know_child(&case);
            of_case.iter().for_each(|record| self.learn(&case, record));
            self.left = self.left.saturating_sub(1);
            count += 1;
        }
        let fresh: Drawn = Box::new(self.fresh.filter(move |case| {
            case.iteration
                .is_none_or(|iteration| !done.contains(&iteration))
        }));
        // Use other random numbers than those that chose the recorded cases.
        let from = self.start.wrapping_add(count);
        Ok(Self {
            fresh: fresh.peekable(),
            random: NativeRandom::new(NativeRandom::iteration_seed(self.seed ^ TAG, from)),
            ..self
        })
    }

    /// Updates the parent of a recorded child, so that the same child is not proposed again.
    fn know_child(&mut self, child: &Case) {
        let Some((name, change)) = parted(&child.generation) else {
            return;
        };
        let is_parent = |case: &Case| {
            (&*case.generation, case.seed, case.iteration) == (name, child.seed, child.iteration)
        };
        let parents = &mut self.parents;
        let Some(parent) = parents.iter_mut().find(|parent| is_parent(&parent.case)) else {
            return;
        };
        parent.children += 1;
        match change {
            Change::Mutation(number) => parent.proposed = parent.proposed.max(number + 1),
            Change::Splice(iteration) => {
                parent.partners.insert(iteration);
            }
        }
    }
}
