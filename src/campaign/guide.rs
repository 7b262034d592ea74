//! Which case is next in a guided campaign: a fresh one, or one made of a case that showed what no other had shown.
//!
//! Of some proposals - children of such cases, and the next fresh one - the one is taken that promises most for what it costs: the
//! behaviours that follow from its requests alone, those that nobody has seen first of all. What only a run shows (complaints, shapes of
//! maps) decides which cases have children.
//!
//! Everything that is chosen follows from the seed and from what came of the cases so far: with one case at a time a campaign goes the
//! same way every time. With several, the order in which cases end decides as well; each case can still be made again from its id.

mod resumption;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::iter::Peekable;

use super::corpus::Corpus;
use super::{Supply, passing_over};
use crate::base::error::{Error, Result};
use crate::base::rng::NativeRandom;
use crate::case::Case;
use crate::case::generation::Generation;
use crate::case::generation::lineage::{Change, lineage};
use crate::image::options::Encryption;
use crate::operation::Operation;
use crate::oracle::behaviour::Observed;
use crate::run::record::{Class, Record};
use crate::tool::request::ImageFile;

/// How many of a hundred cases are drawn afresh whatever was seen.
const FRESH_PERCENT: u64 = 20;

/// How many children are proposed for each other one.
const PROPOSALS: usize = 8;

/// What a case costs beside its steps, in steps: its images are made, and looked at in the end.
const FIXED_COST: u64 = 8;

/// What it costs to open an image that is encrypted with LUKS, in steps: half a second for its key, where an ordinary call takes five
/// milliseconds (qemu-img 10.0.2).
const LUKS_COST: u64 = 80;

/// How many of a hundred children have a second parent.
const SPLICED_PERCENT: u64 = 25;

/// How many parents are kept; those of which the least is to be expected go.
const PARENTS_MAX: usize = 256;

/// How many changes lie between a case and the drawn one that it comes from, at the most.
const CHANGES_MAX: usize = 8;

/// What a behaviour that one case alone has shown is worth; one that was seen more often is worth less.
const WORTH: u64 = 1 << 16;

/// Keeps the guide's draws apart from those of the cases.
const TAG: u64 = 0x6775_6964_6564;

/// Drawn cases, in their order.
type Drawn = Box<dyn Iterator<Item = Case> + Send>;

/// Gives the cases of a guided campaign.
pub struct Guide {
    seed: u64,
    start: u64,
    pool: Option<Vec<String>>,
    fresh: Peekable<Drawn>,
    random: NativeRandom,
    left: u64,
    parents: Vec<Parent>,
    /// How many cases have shown each behaviour.
    seen: HashMap<u32, u64>,
    /// The iterations of the drawn cases among the parents.
    drawn: Vec<u64>,
    /// Whether anybody can be asked anything of a case.
    concerns: Concerns,
    /// What is tried before anything is drawn.
    first: VecDeque<Case>,
    /// Where is kept what shows something new.
    corpus: Option<Corpus>,
    /// Why that could not be done.
    failure: Option<Error>,
}

/// Tells whether anybody can be asked anything of a case.
type Concerns = Box<dyn Fn(&Case) -> bool + Send + Sync>;

/// A case that showed something new.
struct Parent {
    case: Case,
    behaviours: BTreeSet<u32>,
    /// How many children were made of it, taken or not: the number of the next one.
    proposed: u64,
    /// How many of them were taken.
    children: u64,
    /// The iterations of those that it was spliced with.
    partners: BTreeSet<u64>,
}

impl Guide {
    /// For so many cases of a generation that can be changed.
    pub fn new(
        generation: &'static Generation,
        seed: u64,
        start: u64,
        pool: Option<&[String]>,
        cases: u64,
    ) -> Result<Self> {
        if !generation.can_be_guided() {
            return Err(Error::usage(format!(
                "{} cannot be guided: its cases are drawn as they always were; name native1, native2 or a narrowing of them",
                generation.name
            )));
        }
        Ok(Self {
            seed,
            start,
            pool: pool.map(<[String]>::to_vec),
            fresh: Drawn::peekable(Box::new(generation.cases(seed, start, pool)?)),
            random: NativeRandom::new(NativeRandom::iteration_seed(seed ^ TAG, start)),
            left: cases,
            parents: Vec::new(),
            seen: HashMap::new(),
            drawn: Vec::new(),
            concerns: Box::new(|_| true),
            first: VecDeque::new(),
            corpus: None,
            failure: None,
        })
    }

    /// The same without the cases that nobody can be asked.
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

    /// The same with what earlier campaigns have kept at its beginning, and with what this one keeps.
    pub fn with_corpus(self, mut corpus: Corpus, is_tried: impl Fn(&Case) -> bool) -> Self {
        let mut first = corpus.take_cases();
        first.retain(|case| (self.concerns)(case) && !is_tried(case));
        Self {
            first,
            corpus: Some(corpus),
            ..self
        }
    }

    /// What may be expected of a parent's next child: the rarer its behaviours and the fewer its children, the more.
    fn worth(&self, parent: &Parent) -> u64 {
        let seen = parent
            .behaviours
            .iter()
            .map(|behaviour| self.seen[behaviour]);
        let worth: u64 = seen.map(|times| WORTH / (times * times)).sum();
        worth / (1 + parent.children) + 1
    }

    /// What a case promises for its cost: a behaviour is worth the less the more often it was seen.
    fn promise(&self, case: &Case) -> u64 {
        let (mut promise, mut cost) = (0, FIXED_COST);
        for (index, operation) in case.ops.iter().enumerate() {
            if matches!(operation, Operation::Chain(chain) if chain.is_unbearable()) {
                return 0;
            }
            let steps = operation.perform().steps(&case.ground(index));
            let locked = steps.iter().filter(|step| has_luks(step.request.file()));
            cost += steps.len() as u64 + LUKS_COST * locked.count() as u64;
            let foreseen = Observed::foreseen(&steps).into_iter();
            let worths = foreseen.map(|behaviour| match self.seen.get(&behaviour) {
                None => WORTH,
                Some(times) => WORTH / (8 * times * times),
            });
            promise += worths.sum::<u64>();
        }
        promise / cost
    }

    /// The best of the proposals.
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

    /// A child of one of the parents, with the parent's place.
    fn child(&mut self, worths: &[u64]) -> Result<(usize, Case)> {
        let chosen = self.random.weighted(worths);
        let is_spliced = !self.drawn.is_empty() && self.random.percent(SPLICED_PERCENT);
        let partner = is_spliced.then(|| *self.random.choice(&self.drawn));
        let parent = &mut self.parents[chosen];
        // The same twice would be the same child.
        let partner = partner.filter(|partner| parent.partners.insert(*partner));
        let change = partner.map_or(Change::Mutation(parent.proposed), Change::Splice);
        parent.proposed += u64::from(partner.is_none());
        Ok((chosen, Generation::child(&parent.case, change)?))
    }
}

/// Whether the image, or one below it, is encrypted with LUKS.
fn has_luks(file: &ImageFile) -> bool {
    file.options.encrypt_format() == Some(Encryption::Luks)
        || file.backing.as_deref().is_some_and(has_luks)
}

impl Supply for Guide {
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
        let mut is_new = false;
        for behaviour in &record.behaviours {
            let times = self.seen.entry(*behaviour).or_default();
            is_new |= *times == 0;
            *times += 1;
        }
        // What differs already need not be changed to differ.
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
mod tests {
    use super::*;
    use crate::run::record::FORMAT_VERSION;

    /// A record of a match that showed one behaviour for each step.
    fn record(case: &Case) -> Record {
        let text = serde_json::to_string(&case.ops).unwrap();
        let steps = text.matches("\"step\":\"").count() as u32;
        let words = text.split("\"step\":\"").skip(1);
        let kinds =
            words.map(|rest| u32::from(rest.as_bytes()[0]) * 256 + u32::from(rest.as_bytes()[1]));
        let tool = serde_json::json!({"name": "t", "version": "1"});
        let record = serde_json::json!({
            "format_version": FORMAT_VERSION, "id": case.id().to_string(), "generation": case.generation, "seed": case.seed,
            "iteration": case.iteration, "iter_seed": case.iter_seed, "verdict": "match", "candidate": tool,
            "reference": tool, "operations": [], "duration_ms": 1.0, "tool_calls": 1, "tool_cpu_ms": 1.0,
            "behaviours": kinds.chain([steps]).collect::<BTreeSet<u32>>(),
        });
        serde_json::from_value(record).unwrap()
    }

    fn guide(cases: u64) -> Guide {
        let generation = Generation::named("native1").unwrap();
        Guide::new(generation, 5, 0, None, cases).unwrap()
    }

    fn run(mut guide: Guide) -> Vec<Case> {
        let mut cases = Vec::new();
        while let Some(case) = guide.next() {
            let case = case.unwrap();
            guide.learn(&case, &record(&case));
            cases.push(case);
        }
        cases
    }

    #[test]
    fn a_campaign_goes_the_same_way_every_time_and_every_case_is_made_again_from_its_id() {
        let cases = run(guide(200));
        assert_eq!(cases.len(), 200);
        assert_eq!(run(guide(200)), cases);
        let children = cases.iter().filter(|case| case.generation != "native1");
        assert!(children.clone().count() > 80);
        for case in children {
            assert_eq!(Generation::case(&case.id(), None).unwrap(), *case);
            let text = serde_json::to_string(case).unwrap();
            assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), *case);
        }
    }

    #[test]
    fn no_id_of_a_campaign_is_part_of_another() {
        let ids: Vec<String> = run(guide(120))
            .iter()
            .map(|case| case.id().to_string())
            .collect();
        for (index, id) in ids.iter().enumerate() {
            let is_part = |other: &String| other.contains(id.as_str());
            assert!(!ids[index + 1..].iter().any(is_part), "{id}");
            assert!(!ids[..index].iter().any(is_part), "{id}");
        }
    }

    #[test]
    fn fresh_cases_are_those_of_an_unguided_campaign() {
        let generation = Generation::named("native1").unwrap();
        let cases = run(guide(100));
        let fresh = cases.iter().filter(|case| case.generation == "native1");
        let drawn = generation.cases(5, 0, None).unwrap();
        assert!(fresh.zip(drawn).all(|(fresh, drawn)| *fresh == drawn));
    }

    #[test]
    fn what_the_python_harness_drew_is_not_guided() {
        let error = Guide::new(Generation::usual(), 1, 0, None, 1)
            .err()
            .unwrap();
        assert!(error.to_string().contains("cannot be guided"), "{error}");
    }
}
