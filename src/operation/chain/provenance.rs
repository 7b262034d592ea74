//! Facts about the step or file at which a chain diverges: where its data came from, and which steps changed it.
//!
//! Called by the chain's [`facts`](crate::operation::Perform::facts). The data of a file comes from the file, its
//! backing images, the image that it was converted from, the images that were committed into it, and its former backing
//! images. Steps on other images of the chain are not included, because they cannot explain the difference.

use std::collections::{BTreeMap, BTreeSet};

use super::Chain;
use super::chain_state::ChainState;
use super::session;
use super::step::{ChainStep, ChainStepKind};
use crate::image::format::SECTOR_BYTES;
use crate::image::options::Subformat;
use crate::operation::facts::{Facts, of_file};
use crate::operation::feature::Feature;
use crate::oracle::observations::{Observations, Side, StepContext};
use crate::oracle::verdict::Place;
use crate::tool::request::{ImageFile, Report};

/// The history of one file, or of all files that data came from.
#[derive(Clone, Default)]
struct Past {
    /// Formats and options of the files that the data came from.
    origin: BTreeSet<Feature>,
    /// Steps on the file.
    done: BTreeSet<&'static str>,
    /// Steps on the file that the candidate's own tool performed.
    own: BTreeSet<&'static str>,
    /// Steps on the files that the data came from.
    before: BTreeSet<&'static str>,
    own_before: BTreeSet<&'static str>,
    /// Known qemu-img bugs that the steps met.
    met: BTreeSet<Feature>,
    /// The largest size in bytes that a guest has seen, plus the sizes of all snapshots.
    bytes_max: u64,
}

impl Past {
    /// Adds the history of another file whose data comes into this one.
    fn inherit(&mut self, other: &Self) {
        self.origin.extend(&other.origin);
        self.before.extend(other.done.iter().chain(&other.before));
        self.own_before
            .extend(other.own.iter().chain(&other.own_before));
        self.met.extend(&other.met);
        self.bytes_max = self.bytes_max.max(other.bytes_max);
    }

    fn add_to(&self, facts: &mut Facts) {
        for (key, features) in [("origin", &self.origin), ("met", &self.met)] {
            let names = features.iter().map(|feature| feature.name());
            names.for_each(|name| facts.add(key, name));
        }
        for (key, names) in [
            ("done", &self.done),
            ("own", &self.own),
            ("before", &self.before),
            ("own_before", &self.own_before),
        ] {
            names.iter().for_each(|name| facts.add(key, name));
        }
    }
}

#[derive(Default)]
struct Ancestry(BTreeMap<String, Past>);

impl Ancestry {
    /// Returns the history of the layers of a chain. The results have the order of [`Chain::creation_steps`]: each layer is created and
    /// written, and then its steps follow.
    fn from_layers(chain: &Chain, context: &StepContext<'_>, observations: &Observations) -> Self {
        let mut ancestry = Self::default();
        let mut chain_state = ChainState::bare(&context.stem);
        let step_results = observations.candidate.step_results.iter();
        let mut is_own = step_results.map(|step_result| step_result.by == Side::Candidate);
        let mut is_own = || is_own.next().unwrap_or(false);
        for layer in &chain.layers {
            chain_state.add_layer(layer);
            ancestry.made(&chain_state, "create", is_own());
            if !layer.writes.is_empty() {
                ancestry.made(&chain_state, "write", is_own());
            }
            for step in &layer.steps {
                ancestry.apply(&chain_state, step, is_own());
                chain_state.advance(step, true);
            }
        }
        ancestry
    }

    fn past(&mut self, file: &ImageFile) -> &mut Past {
        self.0.entry(file.path.clone()).or_default()
    }

    /// Returns the history of everything that the current image shows; `done` and `own` are those of its own file.
    fn past_of(&self, chain_state: &ChainState) -> Past {
        let files = chain_state.below().iter().chain([chain_state.top()]);
        let mut all = Past::default();
        for file in files {
            all.origin.extend(of_file(file));
            self.0
                .get(&file.path)
                .into_iter()
                .for_each(|past| all.inherit(past));
        }
        if let Some(own) = self.0.get(&chain_state.top().path) {
            all.done.clone_from(&own.done);
            all.own.clone_from(&own.own);
            all.bytes_max = own.bytes_max;
        }
        all
    }

    /// Records that the current image was created, or written for the first time.
    fn made(&mut self, chain_state: &ChainState, how: &'static str, is_own: bool) {
        let size = chain_state.model.top.size;
        let past = self.past(chain_state.top());
        past.done.insert(how);
        past.own.extend(is_own.then_some(how));
        past.bytes_max = past.bytes_max.max(size);
        let guessed = chain_state.top().backing.as_deref().is_some_and(|below| {
            let is_fixed = below.options.subformat() == Some(Subformat::Fixed);
            let is_vpc = below.format == crate::image::format::Format::Vpc;
            chain_state.top().format == crate::image::format::Format::Qcow && is_vpc && is_fixed
        });
        past.met.extend(guessed.then_some(Feature::GuessedBacking));
    }

    /// Records a step, in the state before it.
    fn apply(&mut self, chain_state: &ChainState, step: &ChainStep, is_own: bool) {
        let (chain_state, step) = chain_state.resolved(step);
        let (chain_state, inherited) = (&*chain_state, self.past_of(&chain_state));
        let size = chain_state.model.top.size;
        let names = names(chain_state, step);
        let met = known_bugs(chain_state, step);
        let past = self.past(chain_state.top());
        past.done.extend(&names);
        past.own.extend(names.iter().filter(|_| is_own));
        past.met.extend(&met);
        // The options no longer show that an image had version 2 before it was amended to version 3.
        past.origin.extend(of_file(chain_state.top()));
        match step {
            ChainStep::Resize { size: wanted, .. } => past.bytes_max = past.bytes_max.max(*wanted),
            ChainStep::Snapshot { .. } => past.bytes_max += size,
            // A rebase copies data of the old backing images into the overlay.
            ChainStep::Rebase { .. } => past.inherit(&inherited),
            ChainStep::Commit { base, .. } => {
                let index = chain_state.committed_into(*base);
                if let Some(below) = index.and_then(|index| chain_state.below().get(index)) {
                    let into = self.past(below);
                    into.inherit(&inherited);
                    into.done.insert("committed_into");
                    into.own.extend(is_own.then_some("committed_into"));
                    into.met.extend(&met);
                    into.bytes_max = into.bytes_max.max(size);
                }
            }
            _ => {}
        }
    }

    /// Records that the current image is a copy of the previous one.
    fn copied(&mut self, before: &Past, chain_state: &ChainState, step: &ChainStep, is_own: bool) {
        let size = chain_state.model.top.size;
        let past = self.past(chain_state.top());
        past.inherit(before);
        past.done.insert(step.name());
        past.own.extend(is_own.then_some(step.name()));
        past.done
            .extend(is_compressed(step).then_some("compressed"));
        past.own
            .extend((is_own && is_compressed(step)).then_some("compressed"));
        past.bytes_max = size;
    }
}

fn is_compressed(step: &ChainStep) -> bool {
    matches!(step, ChainStep::Convert(to) if to.compress)
}

/// Returns the name of the step, and a more specific one for a resize and for an amend to version 2.
fn names(chain_state: &ChainState, step: &ChainStep) -> Vec<&'static str> {
    let size = chain_state.model.top.size;
    let more = match step {
        ChainStep::Resize { size: wanted, .. } if *wanted > size => Some("grow"),
        ChainStep::Resize { size: wanted, .. } if *wanted < size => Some("shrink"),
        ChainStep::Amend { options } if options.is_version_2() => Some("downgrade"),
        _ => None,
    };
    let mut names: Vec<&'static str> = std::iter::once(step.name()).chain(more).collect();
    if let ChainStep::Session { requests } = step {
        // The history of a file has what was done within a session as well.
        names.extend(session::kinds(requests).map(ChainStepKind::name));
    }
    names
}

fn known_bugs(chain_state: &ChainState, step: &ChainStep) -> Vec<Feature> {
    let has_huge_run = chain_state.has_huge_encrypted_runs();
    let endless = has_huge_run.then_some(Feature::HugeEncryptedRun);
    chain_state.bugs_met_by(step).chain(endless).collect()
}

/// Adds the facts about the place that are specific to chains.
pub(super) fn add(
    chain: &Chain,
    context: &StepContext<'_>,
    observations: &Observations,
    place: &Place,
    facts: &mut Facts,
) {
    let mut ancestry = Ancestry::from_layers(chain, context, observations);
    let mut found = None;
    let mut index = chain.creation_steps(context).len();
    let mut copy: Option<(Past, ChainStep, bool)> = None;
    let end = chain.follow(context, observations, |step, chain_state, ours, _| {
        if let Some((before, step, is_own)) = copy.take() {
            ancestry.copied(&before, chain_state, &step, is_own);
        }
        if found.is_some() {
            return;
        }
        let is_own = ours.by == Side::Candidate;
        ancestry.apply(chain_state, step, is_own);
        if place.file.is_none() && place.step == Some(index) {
            let (chain_state, step) = chain_state.resolved(step);
            let names = names(&chain_state, step);
            names.into_iter().for_each(|name| facts.add("step", name));
            found = Some((ancestry.past_of(&chain_state), of_files(&chain_state)));
        }
        if step.is_copy() {
            copy = Some((ancestry.past_of(chain_state), step.clone(), is_own));
        }
        index += 1;
    });
    if let Some((before, step, is_own)) = copy.take() {
        ancestry.copied(&before, &end, &step, is_own);
    }
    let (past, files) = found.unwrap_or_else(|| {
        let name = place.file.as_ref();
        let mut lower = end.inspected_backing_images();
        let lower = lower.find(|lower| name == Some(&lower.top().path));
        let chain_state = lower.as_ref().unwrap_or(&end);
        (ancestry.past_of(chain_state), of_files(chain_state))
    });
    past.add_to(facts);
    for (key, feature) in files {
        facts.add(key, feature.name());
    }
    space(observations, place, past.bytes_max, facts);
}

/// Returns the features of the current image and of its backing images.
fn of_files(chain_state: &ChainState) -> Vec<(&'static str, Feature)> {
    let is_odd = !chain_state.model.top.size.is_multiple_of(2 * SECTOR_BYTES);
    let own = of_file(chain_state.top()).into_iter();
    let own = own.chain(is_odd.then_some(Feature::OddSectors));
    let own = own.map(|feature| ("file", feature));
    let below = chain_state.below().iter().flat_map(of_file);
    own.chain(below.map(|feature| ("below", feature))).collect()
}

/// Adds whether the candidate's file takes more host space than a guest could ever have filled.
fn space(observations: &Observations, place: &Place, bytes_max: u64, facts: &mut Facts) {
    let Some(name) = &place.file else { return };
    let inspections = observations.candidate.inspections.iter();
    let mut audits = inspections.filter(|inspection| inspection.task.name() == "audit");
    let audit = audits.find(|inspection| inspection.task.file().path == *name);
    if let Some(Report::Audit(audit)) = audit.map(|inspection| &inspection.answer.report) {
        // Tables and preallocation take a little more.
        let fits =
            audit.allocated_bytes <= bytes_max.saturating_add(bytes_max / 8 + super::HOST_SLACK);
        facts.add("space", if fits { "within_size" } else { "beyond_size" });
    }
}

#[cfg(test)]
mod tests;
