//! `chain`: an image with its backing files, and a list of steps on it; each step works on the result of the step
//! before.
//!
//! The native generations draw these cases. Each side's own tool performs a step if it supports it; otherwise the
//! reference performs it on both sides, so that later steps still meet the files that the candidate wrote. A `Model`
//! follows the same steps and is the third witness for everything that is read.

use serde::{Deserialize, Serialize};

use super::facts::{self, Facts};
use super::feature::Feature;
use super::{Operation, Perform};
use crate::base::size::Size;
use crate::base::variants::CaseSize;
use crate::image::ImageRecipe;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::validity::Validity;
use crate::oracle::observations::{
    Executor, ExitExpectation, ExpectedSnapshot, Observations, Output, Side, Step, StepContext,
    StepResult, Task,
};
use crate::oracle::verdict::{
    Blame, Difference, DivergenceKind, Finding, OutputRole, Place, Subject, Verdict,
};
use crate::tool::request::{Answer, ImageFile, Request, RequestKind};

pub use chain_state::ChainState;
pub use final_checks::{HOST_RATIO, HOST_SLACK, is_bloated, may_touch};
pub use known_bug::KnownQemuBug;
pub use layer_creation::placed;
pub use rules::{Admission, REBUILT_CLUSTER_MAX, Rejection, WALKED_BYTES_MAX};
pub use session::{ExpectedOutcome, expected_outcomes};
pub use step::{BESIDE, ChainStep, ChainStepKind, Conversion, Layer, Naming};

mod chain_state;
mod faults;
mod final_checks;
mod inspection;
mod kept_overlay;
mod known_bug;
mod layer_creation;
mod measurement;
mod parameters;
mod provenance;
mod rules;
mod sanitize;
mod session;
mod simplification;
mod situations;
mod step;
mod validity;
mod witnesses;

/// The reference crashed because of a known defect.
const REFERENCE_CRASH: DivergenceKind = DivergenceKind::ReferenceCrash;

const MADE: DivergenceKind = DivergenceKind::ChainLayer;

/// A `chain` operation, as a generation draws it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    /// The backing chain, bottom first. The steps work on the last layer.
    pub layers: Vec<Layer>,
    /// The steps, in order.
    pub steps: Vec<ChainStep>,
}

impl Chain {
    /// Returns the source image of a case that has only chains. No image is created from it.
    pub fn no_source() -> ImageRecipe {
        ImageRecipe::plain(Format::Raw, Size::literal("1M"))
    }

    /// Visits each step that was performed, together with the state of the chain before it and both sides' results.
    /// Returns the final state.
    fn follow<'step_results>(
        &self,
        context: &StepContext<'_>,
        observations: &'step_results Observations,
        mut visit: impl FnMut(
            &ChainStep,
            &ChainState,
            &'step_results StepResult,
            &'step_results StepResult,
        ),
    ) -> ChainState {
        let mut chain_state = ChainState::start(&context.stem, &self.layers);
        let before = self.creation_steps(context).len();
        let candidate = &observations.candidate.step_results;
        let reference = observations
            .reference
            .as_ref()
            .map_or(candidate, |side_run| &side_run.step_results);
        for (index, step) in self.steps.iter().enumerate() {
            let (Some(ours), Some(theirs)) =
                (candidate.get(before + index), reference.get(before + index))
            else {
                break;
            };
            visit(step, &chain_state, ours, theirs);
            if step.is_copy() && !theirs.answer.succeeded() {
                // The requests that follow name an image that is not there.
                break;
            }
            // If the image size was in doubt, the request has fewer writes than the step.
            let requested = match &theirs.step.task {
                Task::Tool(Request::Write { writes, .. })
                    if matches!(step, ChainStep::Write { .. }) =>
                {
                    let writes = writes.clone();
                    ChainStep::Write { writes }
                }
                _ => step.clone(),
            };
            chain_state.advance(&requested, theirs.answer.succeeded());
        }
        chain_state
    }
}

impl Chain {
    /// Returns a finding if the reference crashed because of a known defect while either side's step ran. Whether a
    /// rebase crashes depends on what follows a heap buffer, so the candidate may survive it.
    fn crashed(&self, ours: &StepResult, theirs: &StepResult) -> Option<Finding> {
        let is_known = match &theirs.step.task {
            Task::Tool(Request::Rebase { .. }) => {
                self.features().contains(&Feature::UnalignedRebase)
            }
            _ => self.has_huge_run([&ours.answer, &theirs.answer]),
        };
        let is_ours = ours.by == Side::Candidate && ours.answer.crashed();
        let request = theirs.step.task.kind();
        let finding = died(request, &ours.answer, &theirs.answer);
        finding.filter(|_| is_known && !is_ours)
    }

    /// Returns the finding at the steps, if it was made before anything changed an image from outside: what follows is no longer judged.
    fn found_at_first_look(&self, context: &StepContext<'_>, found: &[Finding]) -> Option<Finding> {
        let is_outside = |layer: &Layer| layer.outside.is_some();
        let [finding] = found else { return None };
        if !self.layers.iter().any(is_outside) {
            return None;
        }
        let looks = self.steps.iter().take_while(|step| step.is_look()).count();
        let end = self.creation_steps(context).len() + looks;
        let is_early = finding.place.step.is_some_and(|step| step < end);
        is_early.then(|| finding.clone())
    }

    /// Whether an answer shows the crash on a run of 2 GiB in an encrypted image.
    fn has_huge_run(&self, answers: [&Answer; 2]) -> bool {
        let mut dead = answers.into_iter().filter(|answer| answer.crashed());
        let is_known_assertion = |answer: &Answer| {
            answer
                .transcript
                .stderr
                .text()
                .contains("bdrv_co_do_block_status")
        };
        dead.any(is_known_assertion) && self.features().contains(&Feature::HugeEncryptedRun)
    }

    /// Returns a finding if the reference crashed because of a known defect while it mapped a final image.
    fn crashed_looking(&self, observations: &Observations) -> Option<Finding> {
        let is_map = |request: &Request| matches!(request, Request::Map { .. });
        let reference = observations.reference.as_ref()?;
        let inspections = observations.candidate.inspections.iter();
        let mut maps =
            inspections.filter(|inspection| inspection.task.request().is_some_and(is_map));
        maps.find_map(|inspection| {
            let (ours, output) = (&inspection.answer, inspection.output);
            let theirs = reference.inspection(output, Side::Reference, is_map)?;
            let is_known = self.has_huge_run([ours, theirs]);
            let finding = died(RequestKind::Map, ours, theirs).filter(|_| is_known)?;
            Some(finding.placed(Place::file(&inspection.task.file().path)))
        })
    }

    /// Returns each step that was performed, with its index in the operation and the state of the chain before it. A
    /// step on a backing image is returned as the inner step, with the state of that image.
    pub fn followed(
        &self,
        context: &StepContext<'_>,
        observations: &Observations,
    ) -> Vec<(usize, ChainStep, ChainState)> {
        let mut followed = Vec::new();
        let before = self.creation_steps(context).len();
        self.follow(context, observations, |step, chain_state, _, _| {
            let (chain_state, step) = chain_state.resolved(step);
            followed.push((
                before + followed.len(),
                step.clone(),
                chain_state.into_owned(),
            ));
        });
        followed
    }
}

fn died(request: RequestKind, ours: &Answer, theirs: &Answer) -> Option<Finding> {
    let is_dead = ours.crashed() || theirs.crashed();
    let subject = Subject::Exit { request };
    let difference = Difference::new(subject, ours.describe(), theirs.describe());
    let finding = Finding::of_difference(REFERENCE_CRASH, difference);
    is_dead.then(|| finding.blamed(Blame::Reference))
}

fn shared_step(request: Request, expected_exit: ExitExpectation) -> Step {
    Step {
        executor: Executor::SideOrReference,
        expected_exit,
        ..Step::own(request)
    }
}

impl Perform for Chain {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        self.validity_of_all()
    }

    fn reads_source(&self) -> bool {
        false
    }

    /// Returns the kinds of the steps, the formats of the images, and the notable options.
    fn features(&self) -> Vec<Feature> {
        let mut features: Vec<Feature> = self.steps.iter().flat_map(ChainStep::features).collect();
        let of_layers = self.layers.iter().flat_map(|layer| &layer.steps);
        features.extend(of_layers.map(ChainStep::feature_below));
        let made = self.steps.iter().filter_map(ChainStep::format);
        let formats = self.layers.iter().map(|layer| layer.format).chain(made);
        features.extend(formats.map(Feature::Format));
        let of_steps = self.steps.iter().flat_map(ChainStep::options);
        let options = self
            .layers
            .iter()
            .flat_map(|layer| layer.options.iter())
            .chain(of_steps);
        features.extend(facts::of_options(options));
        features.extend(
            self.has_guessed_backing()
                .then_some(Feature::GuessedBacking),
        );
        let mut chain_state = ChainState::start("", &self.layers);
        let mut has_huge_run = chain_state.has_huge_encrypted_runs();
        for step in &self.steps {
            let (acting, inner) = chain_state.resolved(step);
            features.extend(acting.bugs_met_by(inner));
            drop(acting);
            chain_state.advance_as_expected(step);
            has_huge_run |= chain_state.has_huge_encrypted_runs();
        }
        features.extend(has_huge_run.then_some(Feature::HugeEncryptedRun));
        let is_odd = !chain_state.model.top.size.is_multiple_of(2 * SECTOR_BYTES);
        features.extend(is_odd.then_some(Feature::OddSectors));
        features
    }

    fn facts(
        &self,
        context: &StepContext<'_>,
        observations: &Observations,
        outputs: &[Output],
        place: &Place,
    ) -> Vec<String> {
        let mut facts = Facts::of_place(observations, outputs, place);
        provenance::add(self, context, observations, place, &mut facts);
        facts.in_order()
    }

    fn judges_by_aspect(&self) -> bool {
        true
    }

    fn simpler(&self) -> Vec<Operation> {
        let versions = self.simpler_chains().into_iter();
        versions.map(Operation::Chain).collect()
    }

    fn case_size(&self) -> CaseSize {
        self.size_of_chain()
    }

    fn skipped(&self) -> Option<String> {
        let mut of_layers = self.layers.iter().flat_map(|layer| &layer.steps);
        if of_layers.any(ChainStep::is_copy) {
            return Some("a layer is copied before another is put onto it".to_owned());
        }
        let mut chain_state = ChainState::start("", &self.layers);
        self.steps.iter().find_map(|step| {
            let objection = chain_state.objection(step);
            chain_state.advance_as_expected(step);
            objection.map(str::to_owned)
        })
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let mut steps = self.creation_steps(context);
        let mut chain_state = ChainState::start(&context.stem, &self.layers);
        for step in &self.steps {
            let request = chain_state.request(step);
            let step_of_tool = shared_step(request, chain_state.expected_exit(step));
            steps.push(chain_state.faulty(step, step_of_tool));
            chain_state.advance_as_expected(step);
        }
        steps
    }

    fn leaves(&self, context: &StepContext<'_>) -> Vec<ImageFile> {
        let mut chain_state = ChainState::start(&context.stem, &self.layers);
        for step in &self.steps {
            chain_state.advance_as_expected(step);
        }
        vec![chain_state.top().clone()]
    }

    fn outputs(&self, context: &StepContext<'_>, observations: &Observations) -> Vec<Output> {
        let chain_state = self.follow(context, observations, |_, _, _, _| {});
        let closely = |output: Output| Output {
            closely: true,
            ..output
        };
        let top = Output {
            snapshots: snapshots(&chain_state),
            inventory: chain_state.inventory(),
            ..Output::new(
                chain_state.top().clone(),
                OutputRole::Chain,
                chain_state.model.contents(),
            )
        };
        let lower = chain_state.inspected_backing_images().map(|lower| Output {
            snapshots: snapshots(&lower),
            inventory: lower.inventory(),
            ..Output::new(
                lower.top().clone(),
                OutputRole::ChainBacking,
                lower.model.contents(),
            )
        });
        std::iter::once(top).chain(lower).map(closely).collect()
    }

    fn witnessed(
        &self,
        context: &StepContext<'_>,
        observations: &Observations,
    ) -> Option<ImageFile> {
        let chain_state = self.follow(context, observations, |_, _, _, _| {});
        Some(chain_state.top().clone())
    }

    fn judge_steps(&self, observations: &Observations) -> Option<Verdict> {
        let reference = observations.reference_or_candidate();
        let pairs = || {
            let pairs = observations
                .candidate
                .step_results
                .iter()
                .zip(&reference.step_results);
            pairs.enumerate()
        };
        let placed = |index: usize, finding: Option<Finding>| {
            finding.map(|finding| finding.placed(Place::step(index)))
        };
        pairs()
            .find_map(|(index, (ours, theirs))| placed(index, self.crashed(ours, theirs)))
            .or_else(|| {
                pairs().find_map(|(index, (ours, theirs))| {
                    placed(index, final_checks::touched(ours, theirs))
                })
            })
            .map(Verdict::from)
    }

    fn judge(&self, context: &StepContext<'_>, observations: &Observations) -> Option<Verdict> {
        if let Some(finding) = self.crashed_looking(observations) {
            return Some(finding.into());
        }
        let mut found = Vec::new();
        let mut places = self.creation_steps(context).len()..;
        let chain_state = self.follow(context, observations, |step, chain_state, ours, theirs| {
            let place = places.next().map(Place::step).unwrap_or_default();
            let finding = inspection::judge(step, chain_state, ours, theirs);
            found.extend(finding.map(|finding| finding.placed(place)));
        });
        // Of the divergences at steps, only the first counts; of those at final images, all. The one of the first
        // aspect is reported.
        found.truncate(1);
        if let Some(looked) = self.found_at_first_look(context, &found) {
            return Some(looked.into());
        }
        found.extend(final_checks::judge(observations, 0, &chain_state));
        for (index, lower) in (1..).zip(chain_state.inspected_backing_images()) {
            found.extend(final_checks::judge(observations, index, &lower));
        }
        if found.is_empty() && chain_state.must_be_sound() {
            found.extend(final_checks::unclean(observations, chain_state.top()));
        }
        found.sort_by_key(|finding| finding.kind.aspect());
        found.into_iter().next().map(Verdict::from)
    }
}

/// Returns the contents that a guest must see in the snapshots, as far as they are defined. A snapshot whose size
/// differs from the current image's is omitted, because `qemu-img convert -l` reads it with the image's size.
fn snapshots(chain_state: &ChainState) -> Option<Vec<ExpectedSnapshot>> {
    let settled = chain_state.model.snapshots.values().filter_map(|snapshot| {
        let view = snapshot.seen.as_ref()?;
        let readable = view.size == chain_state.model.top.size;
        readable.then(|| ExpectedSnapshot {
            id: snapshot.id.to_string(),
            contents: view.contents(),
        })
    });
    let settled: Vec<_> = settled.collect();
    (!settled.is_empty()).then_some(settled)
}
