//! A guided campaign goes on where its records end.
//!
//! With one case at a time a campaign goes the same way every time: it is gone again, without any tool, and what comes then is what would
//! have come. Where the records tell of another way - several at a time, or a corpus - what they tell is learned, and not tried again.

use std::collections::HashSet;

use super::{Drawn, Guide, TAG};
use crate::base::error::Result;
use crate::base::rng::NativeRandom;
use crate::campaign::Supply;
use crate::case::Case;
use crate::case::generation::Generation;
use crate::case::generation::lineage::{Change, lineage, parted};
use crate::run::record::Record;

impl Guide {
    /// The guide that `make` makes, at the point to which a campaign came that left these records.
    pub fn after(make: impl Fn() -> Result<Self>, records: &[Record]) -> Result<Self> {
        match make()?.retracing(records)? {
            Some(guide) => Ok(guide),
            None => make()?.learning(records),
        }
    }

    /// Goes the same way again, if it is the same.
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

    /// Learns what there was, and draws nothing of it again.
    fn learning(mut self, records: &[Record]) -> Result<Self> {
        let mut done = HashSet::new();
        let mut count = 0;
        for of_case in records.chunk_by(|one, next| one.id == next.id) {
            let case = Generation::case(&of_case[0].id.parse()?, self.pool.as_deref())?;
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
        // What chose the cases that there were does not choose again.
        let from = self.start.wrapping_add(count);
        Ok(Self {
            fresh: fresh.peekable(),
            random: NativeRandom::new(NativeRandom::iteration_seed(self.seed ^ TAG, from)),
            ..self
        })
    }

    /// So that it is not made of its parent again.
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
