//! What must hold of a damaged image, whatever tools make of it.
//!
//! From what no input excuses to what may be a matter of taste: death, waste, a changed input; other data or another size; one tool
//! reads what the other refuses. The first that does not hold is told. A reference that only ran out of time is for the judges of
//! every operation.

use crate::oracle::exchange::{Actor, Deed, Exchange, HarnessAction, Side, Task, Turn};
use crate::oracle::verdict::{Blame, Difference, DivergenceKind, Finding, Place, Subject};
use crate::tool::request::{Answer, Exit, Request, RequestKind};

const REFERENCE_CRASH: DivergenceKind = DivergenceKind::ReferenceCrash;
const MEMORY: DivergenceKind = DivergenceKind::MalformedMemory;
const DISK: DivergenceKind = DivergenceKind::MalformedDisk;
const CONTENTS: DivergenceKind = DivergenceKind::MalformedContent;
const INFO: DivergenceKind = DivergenceKind::MalformedInfo;

/// The most memory that a call may use: the images are smaller than 16 MiB, and caches of tables are bounded.
const PEAK_MEMORY_BYTES_MAX: u64 = 512 << 20;

/// The most space that all files of a side may take.
const SCRATCH_BYTES_MAX: u64 = 512 << 20;

/// Words by which a program says that it was given no memory.
const OUT_OF_MEMORY: [&str; 6] = [
    "memory allocation of",
    "failed to allocate",
    "cannot allocate memory",
    "out of memory",
    "memory exhausted",
    // Python's.
    "memoryerror",
];

/// The first thing that does not hold.
pub(super) fn judge(exchange: &Exchange) -> Option<Finding> {
    let pairs = Pairs::of(exchange)?;
    let checks: [fn(&Pair<'_>) -> Option<Finding>; 6] =
        [death, waste_of_memory, waste_of_disk, input, facts, exits];
    checks.iter().find_map(|check| {
        let mut found = pairs.0.iter().map(|pair| (pair, check(pair)));
        found.find_map(|(pair, finding)| Some(finding?.placed(Place::step(pair.index))))
    })
}

/// One step on both sides; a side that is dead has none.
struct Pair<'exchange> {
    /// The step's place in the operation.
    index: usize,
    /// What is asked in it.
    request: RequestKind,
    candidate: Option<&'exchange Turn>,
    reference: Option<&'exchange Turn>,
    /// Whether the step before it was done on one side only.
    is_after_one_sided_change: bool,
}

struct Pairs<'exchange>(Vec<Pair<'exchange>>);

impl<'exchange> Pairs<'exchange> {
    /// The steps that follow the damage; nothing when it could not be inflicted.
    fn of(exchange: &'exchange Exchange) -> Option<Self> {
        let reference = exchange.reference.as_ref()?;
        let is_damage =
            |turn: &Turn| matches!(turn.step.task, Task::Harness(HarnessAction::Damage { .. }));
        let start = reference.turns.iter().position(is_damage)? + 1;
        let turn = |deed: &'exchange Deed, index: usize| deed.turns.get(index);
        let end = reference.turns.len().max(exchange.candidate.turns.len());
        let pairs = (start..end).filter_map(|index| {
            let candidate = turn(&exchange.candidate, index);
            let reference_turn = turn(reference, index);
            let done = |deed| turn(deed, index - 1).is_some_and(is_accepted);
            Some(Pair {
                index,
                request: candidate.or(reference_turn)?.step.task.kind(),
                candidate,
                reference: reference_turn,
                is_after_one_sided_change: done(&exchange.candidate) != done(reference),
            })
        });
        Some(Self(pairs.collect()))
    }
}

impl Pair<'_> {
    fn turns(&self) -> [Option<&Turn>; 2] {
        [self.candidate, self.reference]
    }

    /// A finding about the sides that `is_so`; one that is so on a side of a tool of its own blames that side's tool.
    fn finding(
        &self,
        kind: DivergenceKind,
        subject: Subject,
        says: impl Fn(&Turn) -> String,
        is_so: impl Fn(&Turn) -> bool,
    ) -> Option<Finding> {
        let so = |turn: Option<&Turn>| turn.is_some_and(&is_so);
        let candidate_is_tried = self
            .candidate
            .is_some_and(|turn| turn.by == Side::Candidate);
        let blame = match (so(self.candidate), so(self.reference)) {
            (false, false) => return None,
            (true, true) if candidate_is_tried => Blame::Both,
            (true, false) if candidate_is_tried => Blame::Candidate,
            _ => Blame::Reference,
        };
        let told = |turn: Option<&Turn>| turn.map_or_else(|| "not asked".to_owned(), &says);
        let difference = Difference::new(subject, told(self.candidate), told(self.reference));
        Some(Finding::of_difference(kind, difference).blamed(blame))
    }
}

/// A signal, a panic, an abort; a candidate that alone runs out of time.
fn death(pair: &Pair<'_>) -> Option<Finding> {
    let crashed = |turn: &Turn| matches!(turn.answer.exit, Exit::Crashed(_));
    let request = pair.request;
    let starved = |turn: &Turn| {
        let (said, death) = (turn.answer.stderr.text(), turn.answer.describe());
        let said = format!("{said}\n{death}").to_lowercase();
        crashed(turn) && OUT_OF_MEMORY.iter().any(|words| said.contains(words))
    };
    let memory = Subject::Memory { request };
    let finding = pair.finding(MEMORY, memory, exit_of, starved);
    if finding.is_some() {
        return finding;
    }
    let is_candidate = pair
        .candidate
        .is_some_and(|turn| turn.by == Side::Candidate && crashed(turn));
    let kind = match is_candidate {
        true => DivergenceKind::CandidateCrash,
        false => REFERENCE_CRASH,
    };
    let finding = pair.finding(kind, Subject::Exit { request }, exit_of, crashed);
    if finding.is_some() {
        return finding;
    }
    let timed_out = |turn: &Turn| matches!(turn.answer.exit, Exit::TimedOut(_));
    let alone = pair.candidate.is_some_and(timed_out)
        && pair.reference.is_some_and(|turn| !timed_out(turn))
        && pair
            .candidate
            .is_some_and(|turn| turn.by == Side::Candidate);
    let (kind, exit) = (DivergenceKind::CandidateTimeout, Subject::Exit { request });
    alone
        .then(|| pair.finding(kind, exit, class_of, timed_out))
        .flatten()
}

/// How a tool died, and of any other the class alone: its words are another in every image.
fn exit_of(turn: &Turn) -> String {
    match turn.answer.exit {
        Exit::Crashed(_) => turn.answer.describe(),
        _ => class_of(turn),
    }
}

fn class_of(turn: &Turn) -> String {
    let class = match turn.answer.exit {
        Exit::Crashed(_) => "crashed",
        Exit::TimedOut(_) => "ran out of time",
        _ if is_accepted(turn) => "accepted",
        _ => "refused",
    };
    class.to_owned()
}

fn waste_of_memory(pair: &Pair<'_>) -> Option<Finding> {
    let says = |turn: &Turn| format!("{} bytes at once", turn.answer.peak_memory_bytes);
    let is_waste = |turn: &Turn| turn.answer.peak_memory_bytes > PEAK_MEMORY_BYTES_MAX;
    let request = pair.request;
    pair.finding(MEMORY, Subject::Memory { request }, says, is_waste)
}

fn waste_of_disk(pair: &Pair<'_>) -> Option<Finding> {
    let says = |turn: &Turn| format!("{} bytes in all files", turn.scratch_bytes);
    let is_waste = |turn: &Turn| turn.scratch_bytes > SCRATCH_BYTES_MAX;
    let request = pair.request;
    pair.finding(DISK, Subject::DiskSpace { request }, says, is_waste)
}

/// After looks alone, every file is what it was.
fn input(pair: &Pair<'_>) -> Option<Finding> {
    let is_asked = |turn: &Turn| {
        matches!(
            turn.step.task,
            Task::Harness(HarnessAction::Untouched { .. })
        )
    };
    let is_changed = |turn: &Turn| is_asked(turn) && !turn.answer.succeeded();
    let says = |turn: &Turn| match is_changed(turn) {
        true => turn.answer.stderr.first_line(),
        false => "as it was".to_owned(),
    };
    let kind = DivergenceKind::InputChanged;
    let finding = pair.finding(kind, Subject::ImageOnlyRead {}, says, is_changed)?;
    // The harness looks on both sides, so the side that is changed tells whose tool it was.
    let blame = match pair.turns().map(|turn| turn.is_some_and(is_changed)) {
        [true, true] => Blame::Both,
        [true, false] => Blame::Candidate,
        _ => Blame::Reference,
    };
    Some(finding.blamed(blame))
}

/// What both tools tell of an image that both accept.
fn facts(pair: &Pair<'_>) -> Option<Finding> {
    let [ours, theirs] = [&pair.candidate?.answer, &pair.reference?.answer];
    if !ours.succeeded() || !theirs.succeeded() {
        return None;
    }
    let is_after_change = pair.candidate?.step.actor == Actor::Reference;
    // A change that only one of them made is told as such.
    if is_after_change && pair.is_after_one_sided_change {
        return None;
    }
    match pair.candidate?.step.task {
        Task::Tool(Request::Info { .. }) => values(INFO, "virtual-size", ours, theirs),
        Task::Tool(Request::Measure { .. }) => values(INFO, "fully-allocated", ours, theirs),
        Task::Tool(Request::Contents { .. }) => {
            let found = ours
                .contents
                .as_ref()?
                .difference(theirs.contents.as_ref()?)?;
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
    let value = |answer: &Answer| match answer.json() {
        Ok(json) => json[key].to_string(),
        Err(error) => format!("no JSON: {error}"),
    };
    let difference = Difference::new(Subject::json_key(key), value(ours), value(theirs));
    (difference.candidate != difference.reference).then(|| Finding::of_difference(kind, difference))
}

/// One tool reads, or changes, what the other refuses.
fn exits(pair: &Pair<'_>) -> Option<Finding> {
    let (ours, theirs) = (pair.candidate?, pair.reference?);
    let came_to_an_end = |turn: &Turn| matches!(turn.answer.exit, Exit::Success | Exit::Refused(_));
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

/// Whether the tool made something of the image. A check that finds errors has been made: qemu-img(1), check, exits with 2 for errors and 3
/// for leaks then.
fn is_accepted(turn: &Turn) -> bool {
    let is_check = matches!(
        turn.step.task,
        Task::Tool(Request::Check { .. } | Request::Repair { .. })
    );
    match turn.answer.exit {
        Exit::Success => true,
        Exit::Refused(2 | 3) => is_check,
        _ => false,
    }
}
