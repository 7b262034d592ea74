//! Predicts which lies a case triggers without running it: from the command lines of its steps, as if each succeeded.
//!
//! A case that does not trigger a lie cannot find it, so a hunt need not run it. The prediction only selects cases: a lie counts as found
//! when a real run has found it.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use imgduel::case::Case;
use imgduel::operation::Operation;
use imgduel::oracle::coverage::Observed;
use imgduel::oracle::observations::{Observations, Side, SideRun, Step, StepResult};
use imgduel::tool::request::{Exit, ImageFile, Request};
use imgduel::tool::{Reproducer, Tool};

use crate::catalogue::every_lie;
use crate::image::Facts;
use crate::liar::Call;

thread_local! {
    /// The predicted facts of images, by their names.
    static FORESEEN: RefCell<HashMap<String, Facts>> = RefCell::default();
}

/// Returns the predicted facts of an image.
pub fn facts(path: &str) -> Option<Facts> {
    FORESEEN.with_borrow(|foreseen| foreseen.get(path).cloned())
}

fn foresee(file: &ImageFile, size: u64, snapshots: u64) {
    let format = file.format.name();
    if format != "raw" && format != "qcow2" {
        return;
    }
    let is_qcow2 = format == "qcow2";
    let facts = Facts {
        format: format.to_owned(),
        size,
        cluster: if is_qcow2 { file.cluster_size() } else { 0 },
        refcount_bits: file.options.refcount_width(),
        version: if file.options.is_version_2() { 2 } else { 3 },
        extended_l2: file.options.has_extended_l2(),
        lazy: file.options.lazy_refcounts() == Some(true),
        snapshots,
        backing: file.backing.as_ref().map(|below| below.path.clone()),
    };
    FORESEEN.with_borrow_mut(|foreseen| foreseen.insert(file.path.clone(), facts));
}

/// Returns the observations of a run in which every step succeeds without output.
fn smooth(steps: &[Step]) -> Observations {
    let step_result = |step: &Step| StepResult {
        scratch_bytes: 0,
        measured_again: None,
        step: step.clone(),
        by: Side::Reference,
        answer: Exit::Success.into(),
        file_bytes: None,
        changed_files: Default::default(),
    };
    let side_run = || SideRun {
        lacks: Vec::new(),
        step_results: steps.iter().map(step_result).collect(),
        inspections: Vec::new(),
    };
    Observations {
        candidate: side_run(),
        reference: Some(side_run()),
        ..Observations::default()
    }
}

/// Returns the coverage that follows from the requests alone, and the lies that the case would trigger.
pub fn foreseen(case: &Case, tool: &dyn Tool) -> (BTreeSet<u32>, Vec<&'static str>) {
    let Operation::Chain(chain) = &case.ops[0] else {
        return (BTreeSet::new(), Vec::new());
    };
    FORESEEN.with_borrow_mut(HashMap::clear);
    let context = case.context(0);
    let steps = case.ops[0].perform().steps(&context);
    let observations = smooth(&steps);
    let courses: HashMap<usize, _> = chain
        .followed(&context, &observations)
        .into_iter()
        .map(|(step, _, chain_state)| (step, chain_state))
        .collect();
    let mut told = BTreeSet::new();
    for (index, step) in steps.iter().enumerate() {
        if let Some(chain_state) = courses.get(&index) {
            let (model, below) = (&chain_state.model, chain_state.below());
            for (file, view) in below.iter().zip(&model.below) {
                foresee(file, view.view.size, 0);
            }
            foresee(
                chain_state.top(),
                model.top.size,
                model.snapshots.len() as u64,
            );
        }
        let Some(request) = step.task.request() else {
            continue;
        };
        if let Some(Reproducer::CommandLine(words)) = tool.reproducer(request) {
            let program = Path::new(&words[0]).file_name().unwrap_or_default();
            let call = Call {
                program: program.to_string_lossy().into_owned(),
                arguments: words[1..].to_vec(),
            };
            let lies = every_lie().filter(|lie| (lie.tell)(&call).is_some());
            told.extend(lies.map(|lie| lie.name));
        }
        if let Request::Create { file, size } = request {
            foresee(file, file.format.created_size(size.bytes()), 0);
        }
    }
    FORESEEN.with_borrow_mut(HashMap::clear);
    (
        Observed::from_observations(&observations).behaviours,
        told.into_iter().collect(),
    )
}
