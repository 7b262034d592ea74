//! Sessions: what each request of one means to a guest, whether it must be performed or refused, and what it must read.
//!
//! A request means what the step of the same name means, so that the rules for steps hold for it too
//! ([`ChainState::admit`]). The rules, the chain's state and the judge of steps call this module.

use super::chain_state::ChainState;
use super::rules::{Admission, Rejection};
use super::step::{ChainStep, ChainStepKind};
use super::witnesses::witnesses;
use crate::image::content::{ContentDifference, Contents, Fill, Write};
use crate::oracle::observations::ExitExpectation;
use crate::oracle::verdict::{Blame, Difference, DivergenceKind, Finding, Subject};
use crate::tool::request::{Answer, SessionOutcome, SessionRequest, SessionRequestKind, singles};

/// A request of a session read what it must not, or was refused or performed wrongly.
const SESSION: DivergenceKind = DivergenceKind::ChainSession;

/// What must come of a request of a session.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectedOutcome {
    /// It is performed.
    Performed,
    /// It is refused, and changes nothing.
    Refused,
    /// It may be refused; it changes nothing.
    Either,
    /// It reads this. Beyond the end of the image a tool may refuse, or read zeros.
    Reads {
        /// The contents, as if the range were an image of its own.
        contents: Contents,
        /// Whether it may be refused.
        may_refuse: bool,
    },
}

/// Returns what must come of each request of a session on this state, in order; of those that are made together, of each.
pub fn expected_outcomes(
    chain_state: &ChainState,
    requests: &[SessionRequest],
) -> Vec<ExpectedOutcome> {
    let mut chain_state = chain_state.clone();
    let outcomes = singles(requests).map(|request| {
        let expected = chain_state.expected(request);
        chain_state.pass(request);
        expected
    });
    outcomes.collect()
}

/// Returns the step that means the same to a guest; `None` for reads, flushes, and requests without length.
pub(super) fn equivalent(request: &SessionRequest) -> Option<ChainStep> {
    match request {
        SessionRequest::Write(write) => (write.length > 0).then(|| ChainStep::Write {
            writes: vec![*write],
        }),
        SessionRequest::WriteVector { offset, byte, .. } => {
            let (_, length) = request.range()?;
            (length > 0).then(|| ChainStep::Write {
                writes: vec![Write::repeated(*offset, length, *byte)],
            })
        }
        SessionRequest::WriteZeroes {
            offset,
            length,
            unmap,
        } => (*length > 0).then_some(ChainStep::WriteZeroes {
            offset: *offset,
            length: *length,
            unmap: *unmap,
        }),
        SessionRequest::Discard { offset, length } => (*length > 0).then_some(ChainStep::Discard {
            offset: *offset,
            length: *length,
        }),
        SessionRequest::Resize { size } => Some(ChainStep::Resize {
            size: *size,
            preallocation: None,
        }),
        SessionRequest::Read { .. }
        | SessionRequest::ReadVector { .. }
        | SessionRequest::Flush
        | SessionRequest::Together { .. } => None,
    }
}

/// Returns the names of what the requests do, as those of steps.
pub(super) fn kinds(requests: &[SessionRequest]) -> impl Iterator<Item = ChainStepKind> {
    singles(requests).filter_map(|request| Some(equivalent(request)?.kind()))
}

impl ChainState {
    /// Returns why a session is not meaningful; its requests are made one after another on this state.
    pub(super) fn sense_of_session(&self, requests: &[SessionRequest]) -> Result<(), Rejection> {
        if self.is_of_doubtful_size() {
            let why = "what a request beyond the end does is not known where the end is not";
            return Err(Rejection::Unsettled(why));
        }
        let [first @ .., last] = requests else {
            return Ok(());
        };
        if first.is_empty() {
            return self.sense_of_request(last);
        }
        let mut chain_state = self.clone();
        for request in requests {
            chain_state.sense_of_request(request)?;
            chain_state.pass_session(std::slice::from_ref(request));
        }
        Ok(())
    }

    fn sense_of_request(&self, request: &SessionRequest) -> Result<(), Rejection> {
        if let SessionRequest::Together { requests } = request {
            self.sense_of_together(requests)?;
        }
        // Those that are made together change neither the size nor what the others may do.
        let steps = request.parts().iter().filter_map(equivalent);
        for step in steps {
            match self.admit(&step) {
                Admission::Admitted(ExitExpectation::Succeed)
                | Admission::Rejected(Rejection::MustBeRefused(_)) => {}
                Admission::Admitted(_) => {
                    let why = "whether a request within a session succeeds is not settled";
                    return Err(Rejection::Unsettled(why));
                }
                Admission::Rejected(rejection) => return Err(rejection),
            }
        }
        Ok(())
    }

    /// Requests that are made together must be inside the image and come to the same in any order.
    fn sense_of_together(&self, requests: &[SessionRequest]) -> Result<(), Rejection> {
        let rejection =
            Rejection::Unsettled("the order of requests that are made together is not settled");
        let mut done: Vec<(u64, u64, Option<Fill>)> = Vec::new();
        for request in requests {
            let range = request.range();
            let Some((offset, length)) =
                range.filter(|(offset, length)| *length > 0 && !self.ends_before(*offset, *length))
            else {
                return Err(rejection);
            };
            let fill = match request {
                SessionRequest::Write(write) if write.recipe().is_none() => Some(write.fill),
                SessionRequest::WriteVector { byte, .. } => Some(Fill::Byte(*byte)),
                SessionRequest::WriteZeroes { .. } => Some(Fill::Byte(0)),
                SessionRequest::Read { .. } | SessionRequest::ReadVector { .. } => None,
                _ => return Err(rejection),
            };
            let meets = |(from, to, other): &(u64, u64, Option<Fill>)| {
                *from < offset + length && offset < *to && *other != fill
            };
            if done.iter().any(meets) {
                return Err(rejection);
            }
            done.push((offset, offset + length, fill));
        }
        Ok(())
    }

    /// Whether the image ends before this range does.
    fn ends_before(&self, offset: u64, length: u64) -> bool {
        let end = offset.checked_add(length);
        end.is_none_or(|end| end > self.model.top.size)
    }

    /// Performs the requests that are performed as expected.
    pub(super) fn pass_session(&mut self, requests: &[SessionRequest]) {
        singles(requests).for_each(|request| self.pass(request));
    }

    fn pass(&mut self, request: &SessionRequest) {
        if let Some(step) = equivalent(request).filter(|step| self.is_expected_to_succeed(step)) {
            self.advance(&step, true);
        }
    }

    fn expected(&self, request: &SessionRequest) -> ExpectedOutcome {
        let Some((offset, length)) = request.range() else {
            return ExpectedOutcome::Performed;
        };
        let is_out = self.ends_before(offset, length);
        if request.is_read() {
            return ExpectedOutcome::Reads {
                contents: self.model.top.window(offset, length).contents(),
                may_refuse: is_out || length == 0,
            };
        }
        match (is_out, length) {
            (_, 0) => ExpectedOutcome::Either,
            (true, _) => ExpectedOutcome::Refused,
            (false, _) => ExpectedOutcome::Performed,
        }
    }
}

/// Judges a session request by request. Returns the first difference between the candidate, the reference and the
/// model.
pub(super) fn judge(
    requests: &[SessionRequest],
    chain_state: &ChainState,
    ours: &Answer,
    theirs: &Answer,
) -> Option<Finding> {
    let mut chain_state = chain_state.clone();
    let none: &[SessionOutcome] = &[];
    let [ours, theirs] = [ours, theirs].map(|answer| answer.report.session().unwrap_or(none));
    for (index, request) in singles(requests).enumerate() {
        let expected = chain_state.expected(request);
        let outcomes = [ours.get(index), theirs.get(index)];
        let found = came_out(request.kind(), &chain_state, &expected, outcomes);
        let (start, _) = request.range().unwrap_or_default();
        let found = found.or_else(|| read(index + 1, start, &chain_state, &expected, outcomes));
        if found.is_some() {
            return found;
        }
        chain_state.pass(request);
    }
    None
}

/// Compares whether a request was performed.
fn came_out(
    request: SessionRequestKind,
    chain_state: &ChainState,
    expected: &ExpectedOutcome,
    outcomes: [Option<&SessionOutcome>; 2],
) -> Option<Finding> {
    let wanted = match expected {
        ExpectedOutcome::Performed
        | ExpectedOutcome::Reads {
            may_refuse: false, ..
        } => "performed",
        ExpectedOutcome::Refused => "refused",
        ExpectedOutcome::Either | ExpectedOutcome::Reads { .. } => {
            let is_answered = outcomes.iter().all(Option::is_some);
            return (!is_answered).then(|| unanswered(request, chain_state, outcomes));
        }
    };
    let file = chain_state.top().path.clone();
    let [ours, theirs] = outcomes.map(|outcome| match outcome {
        Some(outcome) if outcome.is_done() => "performed",
        Some(_) => "refused",
        None => "not answered",
    });
    let subject = Subject::SessionRequest { request, file };
    let found = witnesses(SESSION, subject, [ours, theirs, wanted].map(str::to_owned))?;
    Some(with_messages(found, outcomes))
}

fn unanswered(
    request: SessionRequestKind,
    chain_state: &ChainState,
    outcomes: [Option<&SessionOutcome>; 2],
) -> Finding {
    let file = chain_state.top().path.clone();
    let [ours, theirs] = outcomes.map(|outcome| match outcome {
        Some(_) => "answered",
        None => "not answered",
    });
    let subject = Subject::SessionRequest { request, file };
    let difference = Difference::new(subject, ours, theirs).with_expected("answered");
    let blame = Blame::among(&ours, &theirs, &"answered");
    Finding::of_difference(SESSION, difference).blamed(blame)
}

/// Adds the messages of refusals to the values of a finding.
fn with_messages(mut finding: Finding, outcomes: [Option<&SessionOutcome>; 2]) -> Finding {
    for difference in &mut finding.differences {
        let values = [&mut difference.candidate, &mut difference.reference];
        for (value, outcome) in values.into_iter().zip(outcomes) {
            if let Some(SessionOutcome::Refused(why)) = outcome {
                *value = format!("{value}: {why}");
            }
        }
    }
    finding
}

/// Compares what a request read, as far as it was not refused.
fn read(
    number: usize,
    start: u64,
    chain_state: &ChainState,
    expected: &ExpectedOutcome,
    outcomes: [Option<&SessionOutcome>; 2],
) -> Option<Finding> {
    let ExpectedOutcome::Reads { contents, .. } = expected else {
        return None;
    };
    let [ours, theirs] = outcomes.map(|outcome| match outcome {
        Some(SessionOutcome::Read(contents)) => Some(contents),
        _ => None,
    });
    // One that refuses what may be refused agrees with whatever the other reads rightly.
    let (ours, theirs) = (ours.unwrap_or(contents), theirs.unwrap_or(contents));
    let blame = Blame::among(ours, theirs, contents);
    let (found, text) = match ours.difference(theirs) {
        Some(found) => {
            let text = match theirs.difference(contents) {
                None => found.second.clone(),
                Some(_) if ours == contents => found.first.clone(),
                Some(other) => format!("neither ({})", other.place),
            };
            (found, text)
        }
        None => {
            let found = theirs.difference(contents)?;
            let text = found.second.clone();
            let second = found.first.clone();
            (ContentDifference { second, ..found }, text)
        }
    };
    let subject = Subject::SessionContents {
        number,
        file: chain_state.top().path.clone(),
        place: found.place.behind(start),
    };
    let difference = Difference::new(subject, found.first, found.second).with_expected(text);
    Some(Finding::of_difference(SESSION, difference).blamed(blame))
}
