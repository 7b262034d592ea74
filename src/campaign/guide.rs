//! Chooses the next case of a coverage-guided campaign: a fresh one, or a mutation of a case that had new coverage.
//!
//! The guide compares several proposals, the next fresh case and children of such parents, and takes the one with the highest predicted
//! coverage per cost. The prediction uses the case's requests and the situations of its steps (how the range lies, what is there, on what
//! image, after which step), and favours what has not been seen yet. Coverage that only a
//! run reveals (messages of tools, shapes of maps) decides which cases become parents.
//!
//! All choices depend on the seed and on earlier results. With one case at a time, a campaign is therefore deterministic. With several,
//! it also depends on the order in which cases end, but each case can still be rebuilt from its id.

mod resumption;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::iter::Peekable;

use super::corpus::Corpus;
use super::{CaseSource, passing_over};
use crate::base::error::{Error, Result};
use crate::base::rng::NativeRandom;
use crate::case::Case;
use crate::case::generation::ancestry::{Change, lineage};
use crate::case::generation::{Generation, Selection};
use crate::operation::Operation;
use crate::oracle::coverage::Observed;
use crate::run::record::{Class, Record};

/// Percentage of cases that are fresh regardless of coverage.
const FRESH_PERCENT: u64 = 20;

/// The number of children that are proposed for each of the other cases.
const PROPOSALS: usize = 8;

/// The cost of the final checks, in ordinary calls.
const FIXED_COST: u64 = 8;

/// Percentage of children with two parents.
const SPLICED_PERCENT: u64 = 25;

/// The maximum number of parents. The one with the least expected value is dropped first.
const PARENTS_MAX: usize = 256;

/// The maximum number of changes between a case and the drawn case that it descends from.
const CHANGES_MAX: usize = 8;

/// The value of coverage that only one case had. The value falls with the number of cases.
const WORTH: u64 = 1 << 16;

/// The value of a situation in which no step has been. A case has many more situations than behaviours.
const SITUATION_WORTH: u64 = WORTH / 4;

/// Separates the guide's random numbers from those of the cases.
const TAG: u64 = 0x6775_6964_6564;

/// The drawn cases of a campaign, in order.
type Drawn = Box<dyn Iterator<Item = Case> + Send>;

/// The source of cases of a guided campaign.
pub struct Guide {
    seed: u64,
    start: u64,
    selection: Selection,
    fresh: Peekable<Drawn>,
    random: NativeRandom,
    left: u64,
    parents: Vec<Parent>,
    /// The number of cases that had each coverage item.
    seen: HashMap<u32, u64>,
    /// The number of cases that had each situation.
    met: HashMap<u32, u64>,
    /// The iterations of parents that are drawn cases: partners for splices.
    drawn: Vec<u64>,
    /// Whether any candidate supports a case.
    concerns: Concerns,
    /// The cases from the corpus, which run before any case is drawn.
    first: VecDeque<Case>,
    /// The corpus that stores cases with new coverage.
    corpus: Option<Corpus>,
    /// Why a case could not be stored.
    failure: Option<Error>,
}

/// Returns whether any candidate supports a case.
type Concerns = Box<dyn Fn(&Case) -> bool + Send + Sync>;

/// A case that had new coverage.
struct Parent {
    case: Case,
    behaviours: BTreeSet<u32>,
    /// The number of mutations proposed so far, taken or not, which is the number of the next one.
    proposed: u64,
    /// The number of children that were taken.
    children: u64,
    /// The iterations of the cases that it was spliced with.
    partners: BTreeSet<u64>,
}

impl Guide {
    /// Creates the guide of a campaign of `cases` cases. Fails unless the cases of the generation can be mutated.
    pub fn new(
        generation: &'static Generation,
        seed: u64,
        start: u64,
        selection: &Selection,
        cases: u64,
    ) -> Result<Self> {
        if !generation.can_be_guided() {
            return Err(Error::usage(format!(
                "{} cannot be guided, because its cases cannot be mutated: name native1 to native4 or a narrower variant of them",
                generation.name
            )));
        }
        Ok(Self {
            seed,
            start,
            selection: selection.clone(),
            fresh: Drawn::peekable(Box::new(generation.cases(seed, start, selection)?)),
            random: NativeRandom::new(NativeRandom::iteration_seed(seed ^ TAG, start)),
            left: cases,
            parents: Vec::new(),
            seen: HashMap::new(),
            met: HashMap::new(),
            drawn: Vec::new(),
            concerns: Box::new(|_| true),
            first: VecDeque::new(),
            corpus: None,
            failure: None,
        })
    }

    /// Returns a guide that omits cases that no candidate supports.
    pub fn passing_over(
        self,
        concerns: impl Fn(&Case) -> bool + Clone + Send + Sync + 'static,
    ) -> Self {
        let fresh: Drawn = Box::new(passing_over(self.fresh, concerns.clone()));
        Self {
            fresh: fresh.peekable(),
            concerns: Box::new(concerns),
            ..self
        }
    }

    /// Returns a guide that starts with the cases of the corpus, except those that ran already, and stores new cases in it.
    pub fn with_corpus(self, mut corpus: Corpus, is_tried: impl Fn(&Case) -> bool) -> Self {
        let mut first = corpus.take_cases();
        first.retain(|case| (self.concerns)(case) && !is_tried(case));
        Self {
            first,
            corpus: Some(corpus),
            ..self
        }
    }

    /// Returns the expected value of a parent's next child: it is higher for rare coverage and few children.
    fn worth(&self, parent: &Parent) -> u64 {
        let seen = parent
            .behaviours
            .iter()
            .map(|behaviour| self.seen[behaviour]);
        let worth: u64 = seen.map(|times| WORTH / (times * times)).sum();
        worth / (1 + parent.children) + 1
    }

    /// Returns the predicted value of the coverage of a case per unit of cost.
    fn promise(&self, case: &Case) -> u64 {
        let (mut promise, mut cost) = (0, FIXED_COST);
        for (index, operation) in case.ops.iter().enumerate() {
            if let Operation::Chain(chain) = operation {
                if chain.is_unbearable() {
                    return 0;
                }
                cost += Generation::cost_of_chain(chain);
            }
            let steps = operation.perform().steps(&case.context(index));
            let foreseen = Observed::foreseen(&steps).into_iter();
            let worths = foreseen.map(|behaviour| match self.seen.get(&behaviour) {
                None => WORTH,
                Some(times) => WORTH / (8 * times * times),
            });
            promise += worths.sum::<u64>();
            promise += self.novelty(operation);
        }
        promise / cost
    }

    /// Returns the predicted value of the situations of an operation.
    fn novelty(&self, operation: &Operation) -> u64 {
        let worths = situations(operation).into_iter();
        let worths = worths.map(|situation| match self.met.get(&situation) {
            None => SITUATION_WORTH,
            Some(times) => SITUATION_WORTH / (8 * times * times),
        });
        worths.sum()
    }

    /// Proposes children and returns the best one; `None` if the next fresh case is at least as good.
    fn best(&mut self) -> Option<Result<Case>> {
        let worths: Vec<u64> = self
            .parents
            .iter()
            .map(|parent| self.worth(parent))
            .collect();
        let mut children = Vec::new();
        for _ in 0..PROPOSALS {
            match self.child(&worths) {
                Ok((_, child)) if !(self.concerns)(&child) => {}
                Ok(child) => children.push(child),
                Err(error) => return Some(Err(error)),
            }
        }
        let fresh = self.fresh.peek().cloned();
        let fresh = fresh.map_or(0, |case| self.promise(&case));
        let promises = children.iter().map(|(_, child)| self.promise(child));
        let best = promises.enumerate().max_by_key(|(_, promise)| *promise);
        let (place, _) = best.filter(|(_, promise)| *promise > fresh)?;
        let (parent, child) = children.swap_remove(place);
        self.parents[parent].children += 1;
        Some(Ok(child))
    }

    /// Returns a child of a parent drawn by `worths`, and the parent's index.
    fn child(&mut self, worths: &[u64]) -> Result<(usize, Case)> {
        let chosen = self.random.weighted(worths);
        let is_spliced = !self.drawn.is_empty() && self.random.percent(SPLICED_PERCENT);
        let partner = is_spliced.then(|| *self.random.choice(&self.drawn));
        let parent = &mut self.parents[chosen];
        // Splicing with the same partner again would give the same child.
        let partner = partner.filter(|partner| parent.partners.insert(*partner));
        let change = partner.map_or(Change::Mutation(parent.proposed), Change::Splice);
        parent.proposed += u64::from(partner.is_none());
        Ok((chosen, Generation::child(&parent.case, change)?))
    }
}

/// Returns the situations of the steps of a chain; no other operation has any.
fn situations(operation: &Operation) -> BTreeSet<u32> {
    match operation {
        Operation::Chain(chain) => chain.situations(),
        _ => BTreeSet::new(),
    }
}

impl CaseSource for Guide {
    fn next(&mut self) -> Option<Result<Case>> {
        if let Some(failure) = self.failure.take() {
            self.left = 0;
            return Some(Err(failure));
        }
        self.left = self.left.checked_sub(1)?;
        if let Some(case) = self.first.pop_front() {
            return Some(Ok(case));
        }
        if self.parents.is_empty() || self.random.percent(FRESH_PERCENT) {
            return self.fresh.next().map(Ok);
        }
        self.best().or_else(|| self.fresh.next().map(Ok))
    }

    fn learn(&mut self, case: &Case, record: &Record) {
        for situation in case.ops.iter().flat_map(situations) {
            *self.met.entry(situation).or_default() += 1;
        }
        let mut is_new = false;
        for behaviour in &record.behaviours {
            let times = self.seen.entry(*behaviour).or_default();
            is_new |= *times == 0;
            *times += 1;
        }
        // Cases that diverge do not become parents: their children would mostly show the same divergence.
        let is_sound = matches!(record.class(), Class::Match | Class::Unsupported);
        let (_, changes) = lineage(&case.generation);
        if let Some(corpus) = self.corpus.as_mut().filter(|_| is_sound)
            && let Err(error) = corpus.learn(case, &record.behaviours, is_new)
        {
            self.failure = Some(error);
        }
        if !is_new || !is_sound || changes.len() >= CHANGES_MAX {
            return;
        }
        if changes.is_empty() {
            self.drawn.extend(case.iteration);
        }
        self.parents.push(Parent {
            case: case.clone(),
            behaviours: record.behaviours.clone(),
            proposed: 0,
            children: 0,
            partners: BTreeSet::new(),
        });
        if self.parents.len() > PARENTS_MAX {
            let worths = self.parents.iter().map(|parent| self.worth(parent));
            let least = worths.enumerate().min_by_key(|(_, worth)| *worth);
            if let Some((least, _)) = least {
                self.parents.remove(least);
            }
        }
    }

    fn end(&mut self) -> Result<()> {
        let failure = self.failure.take().map_or(Ok(()), Err);
        let ended = self.corpus.as_mut().map_or(Ok(()), Corpus::end);
        failure.and(ended)
    }
}

#[cfg(test)]
mod tests;
