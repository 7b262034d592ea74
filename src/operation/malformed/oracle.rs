//! Judges what tools do with a damaged image.
//!
//! The checks go from what no input excuses to what may be a matter of interpretation: crashes, excessive memory or
//! disk space, a changed input; different contents or sizes; one tool reads what the other refuses. The first failed
//! check is reported. A mere timeout of the reference is left to the common judges.

use crate::oracle::observations::{
    Executor, HarnessAction, Observations, Side, SideRun, StepResult, Task,
};
use crate::oracle::verdict::{Blame, Difference, DivergenceKind, Finding, Place, Subject};
use crate::tool::request::{Answer, Exit, Request, RequestKind};

const REFERENCE_CRASH: DivergenceKind = DivergenceKind::ReferenceCrash;
const MEMORY: DivergenceKind = DivergenceKind::MalformedMemory;
const DISK: DivergenceKind = DivergenceKind::MalformedDisk;
const CONTENTS: DivergenceKind = DivergenceKind::MalformedContent;
const INFO: DivergenceKind = DivergenceKind::MalformedInfo;

/// The maximum peak memory of a call in bytes: the images are smaller than 16 MiB, and caches of tables are bounded.
const PEAK_MEMORY_BYTES_MAX: u64 = 512 << 20;

/// The maximum space of all files of a side, in bytes.
const SCRATCH_BYTES_MAX: u64 = 512 << 20;

/// Messages of programs whose allocation failed.
const OUT_OF_MEMORY: [&str; 6] = [
    "memory allocation of",
    "failed to allocate",
    "cannot allocate memory",
    "out of memory",
    "memory exhausted",
    // Python's message.
    "memoryerror",
];

/// Returns the first failed check.
pub(super) fn judge(observations: &Observations) -> Option<Finding> {
    let pairs = Pairs::from_observations(observations)?;
    let checks: [fn(&Pair<'_>) -> Option<Finding>; 6] =
        [death, waste_of_memory, waste_of_disk, input, facts, exits];
    checks.iter().find_map(|check| {
        let mut found = pairs.0.iter().map(|pair| (pair, check(pair)));
        found.find_map(|(pair, finding)| Some(finding?.placed(Place::step(pair.index))))
    })
}

/// One step on both sides. A side that stopped before it has no result.
struct Pair<'observations> {
    /// The index of the step in the operation.
    index: usize,
    /// The kind of its request.
    request: RequestKind,
    candidate: Option<&'observations StepResult>,
    reference: Option<&'observations StepResult>,
    /// Whether only one side performed the step before.
    is_after_one_sided_change: bool,
}

struct Pairs<'observations>(Vec<Pair<'observations>>);

impl<'observations> Pairs<'observations> {
    /// Returns the steps after the damage; `None` if the harness could not damage the image.
    fn from_observations(observations: &'observations Observations) -> Option<Self> {
        let reference = observations.reference.as_ref()?;
        let is_damage = |step_result: &StepResult| {
            matches!(
                step_result.step.task,
                Task::Harness(HarnessAction::Damage { .. })
            )
        };
        let start = reference.step_results.iter().position(is_damage)? + 1;
        let step_result =
            |side_run: &'observations SideRun, index: usize| side_run.step_results.get(index);
        let end = reference
            .step_results
            .len()
            .max(observations.candidate.step_results.len());
        let pairs = (start..end).filter_map(|index| {
            let candidate = step_result(&observations.candidate, index);
            let reference_turn = step_result(reference, index);
            let done = |side_run| step_result(side_run, index - 1).is_some_and(is_accepted);
            Some(Pair {
                index,
                request: candidate.or(reference_turn)?.step.task.kind(),
                candidate,
                reference: reference_turn,
                is_after_one_sided_change: done(&observations.candidate) != done(reference),
            })
        });
        Some(Self(pairs.collect()))
    }
}

impl Pair<'_> {
    fn step_results(&self) -> [Option<&StepResult>; 2] {
        [self.candidate, self.reference]
    }

    /// Returns a finding if `is_so` holds on a side. It blames the candidate only if the candidate's own tool performed
    /// the step.
    fn finding(
        &self,
        kind: DivergenceKind,
        subject: Subject,
        describe: impl Fn(&StepResult) -> String,
        is_so: impl Fn(&StepResult) -> bool,
    ) -> Option<Finding> {
        let so = |step_result: Option<&StepResult>| step_result.is_some_and(&is_so);
        let candidate_is_tried = self
            .candidate
            .is_some_and(|step_result| step_result.by == Side::Candidate);
        let blame = match (so(self.candidate), so(self.reference)) {
            (false, false) => return None,
            (true, true) if candidate_is_tried => Blame::Both,
            (true, false) if candidate_is_tried => Blame::Candidate,
            _ => Blame::Reference,
        };
        let described = |step_result: Option<&StepResult>| {
            step_result.map_or_else(|| "not asked".to_owned(), &describe)
        };
        let difference = Difference::new(
            subject,
            described(self.candidate),
            described(self.reference),
        );
        Some(Finding::of_difference(kind, difference).blamed(blame))
    }
}

/// A crash, or a timeout of the candidate alone.
fn death(pair: &Pair<'_>) -> Option<Finding> {
    let crashed = |step_result: &StepResult| matches!(step_result.answer.exit, Exit::Crashed(_));
    let request = pair.request;
    let starved = |step_result: &StepResult| {
        let (message, death) = (
            step_result.answer.transcript.stderr.text(),
            step_result.answer.describe(),
        );
        let message = format!("{message}\n{death}").to_lowercase();
        crashed(step_result) && OUT_OF_MEMORY.iter().any(|words| message.contains(words))
    };
    let memory = Subject::Memory { request };
    let finding = pair.finding(MEMORY, memory, exit_of, starved);
    if finding.is_some() {
        return finding;
    }
    let is_candidate = pair
        .candidate
        .is_some_and(|step_result| step_result.by == Side::Candidate && crashed(step_result));
    let kind = match is_candidate {
        true => DivergenceKind::CandidateCrash,
        false => REFERENCE_CRASH,
    };
    let finding = pair.finding(kind, Subject::Exit { request }, exit_of, crashed);
    if finding.is_some() {
        return finding;
    }
    let timed_out = |step_result: &StepResult| matches!(step_result.answer.exit, Exit::TimedOut(_));
    let alone = pair.candidate.is_some_and(timed_out)
        && pair
            .reference
            .is_some_and(|step_result| !timed_out(step_result))
        && pair
            .candidate
            .is_some_and(|step_result| step_result.by == Side::Candidate);
    let (kind, exit) = (DivergenceKind::CandidateTimeout, Subject::Exit { request });
    alone
        .then(|| pair.finding(kind, exit, class_of, timed_out))
        .flatten()
}

/// Returns the reason of a crash; for any other exit only its class, because the messages differ between images.
fn exit_of(step_result: &StepResult) -> String {
    match step_result.answer.exit {
        Exit::Crashed(_) => step_result.answer.describe(),
        _ => class_of(step_result),
    }
}

fn class_of(step_result: &StepResult) -> String {
    let class = match step_result.answer.exit {
        Exit::Crashed(_) => "crashed",
        Exit::TimedOut(_) => "ran out of time",
        _ if is_accepted(step_result) => "accepted",
        _ => "refused",
    };
    class.to_owned()
}

fn waste_of_memory(pair: &Pair<'_>) -> Option<Finding> {
    let describe = |step_result: &StepResult| {
        format!(
            "{} bytes at once",
            step_result.answer.usage.peak_memory_bytes
        )
    };
    let is_waste = |step_result: &StepResult| {
        step_result.answer.usage.peak_memory_bytes > PEAK_MEMORY_BYTES_MAX
    };
    let request = pair.request;
    pair.finding(MEMORY, Subject::Memory { request }, describe, is_waste)
}

fn waste_of_disk(pair: &Pair<'_>) -> Option<Finding> {
    let describe =
        |step_result: &StepResult| format!("{} bytes in all files", step_result.scratch_bytes);
    let is_waste = |step_result: &StepResult| step_result.scratch_bytes > SCRATCH_BYTES_MAX;
    let request = pair.request;
    pair.finding(DISK, Subject::DiskSpace { request }, describe, is_waste)
}

/// Read requests alone must not change a file.
fn input(pair: &Pair<'_>) -> Option<Finding> {
    let is_asked = |step_result: &StepResult| {
        matches!(
            step_result.step.task,
            Task::Harness(HarnessAction::Untouched { .. })
        )
    };
    let is_changed =
        |step_result: &StepResult| is_asked(step_result) && !step_result.answer.succeeded();
    let describe = |step_result: &StepResult| match is_changed(step_result) {
        true => step_result.answer.transcript.stderr.first_line(),
        false => "as it was".to_owned(),
    };
    let kind = DivergenceKind::InputChanged;
    let finding = pair.finding(kind, Subject::ImageOnlyRead {}, describe, is_changed)?;
    // The harness inspects the files on both sides, so the changed side shows whose tool changed it.
    let blame = match pair
        .step_results()
        .map(|step_result| step_result.is_some_and(is_changed))
    {
        [true, true] => Blame::Both,
        [true, false] => Blame::Candidate,
        _ => Blame::Reference,
    };
    Some(finding.blamed(blame))
}

/// Compares what both tools report about an image that both accept.
fn facts(pair: &Pair<'_>) -> Option<Finding> {
    let [ours, theirs] = [&pair.candidate?.answer, &pair.reference?.answer];
    if !ours.succeeded() || !theirs.succeeded() {
        return None;
    }
    let is_after_change = pair.candidate?.step.executor == Executor::Reference;
    // Another check reports a change that only one side performed.
    if is_after_change && pair.is_after_one_sided_change {
        return None;
    }
    match pair.candidate?.step.task {
        Task::Tool(Request::Info { .. }) => values(INFO, "virtual-size", ours, theirs),
        Task::Tool(Request::Measure { .. }) => values(INFO, "fully-allocated", ours, theirs),
        Task::Tool(Request::Contents { .. }) => {
            let (ours, theirs) = (ours.report.contents()?, theirs.report.contents()?);
            let found = ours.difference(theirs)?;
            let place = found.place;
            let subject = match is_after_change {
                true => Subject::ContentsAfterChange { place },
                false => Subject::ContentsOfDamaged { place },
            };
            let difference = Difference::new(subject, found.first, found.second);
            Some(Finding::of_difference(CONTENTS, difference))
        }
        _ => None,
    }
}

fn values(kind: DivergenceKind, key: &str, ours: &Answer, theirs: &Answer) -> Option<Finding> {
    let value = |answer: &Answer| match answer.report.tree() {
        Ok(tree) => tree[key].to_string(),
        Err(why) => format!("no JSON: {why}"),
    };
    let difference = Difference::new(Subject::json_key(key), value(ours), value(theirs));
    (difference.candidate != difference.reference).then(|| Finding::of_difference(kind, difference))
}

/// One tool reads or changes what the other refuses.
fn exits(pair: &Pair<'_>) -> Option<Finding> {
    let (ours, theirs) = (pair.candidate?, pair.reference?);
    let came_to_an_end = |step_result: &StepResult| {
        matches!(step_result.answer.exit, Exit::Success | Exit::Refused(_))
    };
    let is_asked_of_tools = !matches!(
        ours.step.task,
        Task::Harness(HarnessAction::Untouched { .. })
    );
    if !is_asked_of_tools || !came_to_an_end(ours) || !came_to_an_end(theirs) {
        return None;
    }
    let request = pair.request;
    let subject = Subject::Exit { request };
    let difference = Difference::new(subject, ours.answer.describe(), theirs.answer.describe());
    (is_accepted(ours) != is_accepted(theirs))
        .then(|| Finding::of_difference(DivergenceKind::ExitCode, difference))
}

/// Whether the tool accepted the image. A check that finds errors was successful: according to qemu-img(1), `check`
/// then exits with 2 for errors or 3 for leaks.
fn is_accepted(step_result: &StepResult) -> bool {
    let is_check = matches!(
        step_result.step.task,
        Task::Tool(Request::Check { .. } | Request::Repair { .. })
    );
    match step_result.answer.exit {
        Exit::Success => true,
        Exit::Refused(2 | 3) => is_check,
        _ => false,
    }
}
