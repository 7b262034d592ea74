//! Steps of which one call fails: what may be left of the image, and whether it is.
//!
//! The image must be as before the step or as after it, byte by byte, and have no errors but leaks; what earlier steps
//! wrote is there. The rules, the operation and the judge of steps call this module.

use super::chain_state::ChainState;
use super::rules::{Admission, Rejection};
use super::session::equivalent;
use super::step::ChainStep;
use super::witnesses::witnesses;
use crate::image::format::Format;
use crate::image::model::View;
use crate::oracle::observations::{Executor, ExitExpectation, HarnessAction, Step, Task};
use crate::oracle::verdict::{DivergenceKind, Finding, Subject};
use crate::tool::request::{Answer, Fault, FaultyCall, ImageFile, Report, singles};

/// After a call failed, the image is neither as before nor as after the step, or has errors.
const FAULT: DivergenceKind = DivergenceKind::ChainFault;

impl ChainState {
    /// A step within which a call fails is meaningful if the step is. Snapshots are left out: where a call fails while
    /// qemu-img 10.0.2 makes or deletes one, refcounts or the flags that tell of them are wrong.
    pub(super) fn sense_of_fault(&self, step: &ChainStep, fault: Fault) -> Result<(), Rejection> {
        // After such a failure qemu-img 10.0.2 goes on, and leaves clusters in use that no refcount counts.
        if fault.call == FaultyCall::Flush && matches!(step, ChainStep::Session { .. }) {
            let why = "what several requests leave when a flush between them fails is not settled";
            return Err(Rejection::Unsettled(why));
        }
        // An image that may have lost its encrypted backing file can be opened neither with nor without the secret for that.
        let is_locked_below = self.below().iter().any(ImageFile::is_encrypted);
        if matches!(step, ChainStep::Rebase { .. }) && is_locked_below {
            let why = "whether the image still has its encrypted backing file is not settled";
            return Err(Rejection::Unsettled(why));
        }
        // It is tried on a copy of the side's directory, whose overlays would lie on the images of the directory itself.
        if self.top().names_its_directory() {
            let why = "absolute names lead out of the copy on which a call fails";
            return Err(Rejection::Unsettled(why));
        }
        let changes = matches!(
            step,
            ChainStep::Write { .. }
                | ChainStep::WriteZeroes { .. }
                | ChainStep::Discard { .. }
                | ChainStep::Resize { .. }
                | ChainStep::Rebase { .. }
                | ChainStep::Commit { .. }
                | ChainStep::Session { .. }
        );
        // The other formats order nothing that they write, and a lazy image says that its refcounts are not to be trusted.
        let is_ordered = match self.top().format {
            Format::Qcow2 => !self.has_lazy_refcounts() && self.top().data_file().is_none(),
            Format::Raw => true,
            _ => false,
        };
        if !changes || !is_ordered || self.is_of_doubtful_size() {
            let why = "what such a step leaves when a call fails is not settled";
            return Err(Rejection::Unsettled(why));
        }
        match self.admit(step) {
            Admission::Admitted(ExitExpectation::Succeed | ExitExpectation::GoOn) => Ok(()),
            Admission::Admitted(_) => Err(Rejection::Unsettled("the step has no settled end")),
            Admission::Rejected(rejection) => Err(rejection),
        }
    }

    /// Returns the step of the operation: for one within which a call fails, the action of the harness.
    pub(super) fn faulty(&self, step: &ChainStep, step_of_tool: Step) -> Step {
        let (ChainStep::Fault { step, fault }, Task::Tool(request)) = (step, &step_of_tool.task)
        else {
            return step_of_tool;
        };
        Step {
            task: Task::Harness(HarnessAction::Fault {
                request: Box::new(request.clone()),
                file: self.top().clone(),
                fault: *fault,
                allowed: self.allowed_within(step),
            }),
            executor: Executor::Harness,
            expected_exit: ExitExpectation::Succeed,
            ..step_of_tool
        }
    }

    /// Returns what a guest may see in the image while the step is under way.
    fn allowed_within(&self, step: &ChainStep) -> Vec<View> {
        let mut allowed = vec![self.model.top.clone()];
        let mut chain_state = self.clone();
        let steps: Vec<ChainStep> = match step {
            ChainStep::Session { requests } => singles(requests).filter_map(equivalent).collect(),
            ChainStep::Write { writes } => {
                let writes = writes.iter().map(|write| ChainStep::Write {
                    writes: vec![*write],
                });
                writes.collect()
            }
            step => vec![step.clone()],
        };
        for step in &steps {
            chain_state.advance_as_expected(step);
            if allowed.last() != Some(&chain_state.model.top) {
                allowed.push(chain_state.model.top.clone());
            }
        }
        allowed
    }
}

/// Judges what is left. A tool of which no call can fail was not asked.
pub(super) fn judge(chain_state: &ChainState, ours: &Answer, theirs: &Answer) -> Option<Finding> {
    let left = |answer: &Answer| match &answer.report {
        Report::Fault(report) => report.verdict(),
        _ => SOUND.to_owned(),
    };
    let file = chain_state.top().path.clone();
    let values = [left(ours), left(theirs), SOUND.to_owned()];
    witnesses(FAULT, Subject::AfterFault { file }, values)
}

/// What [`FaultReport::verdict`](crate::tool::request::FaultReport::verdict) says where nothing is wrong.
const SOUND: &str = "as before or as after";
