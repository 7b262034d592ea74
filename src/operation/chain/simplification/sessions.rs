//! Simpler versions of sessions: fewer and plainer requests, or the step that one of them stands for.

use super::super::session::equivalent;
use super::super::step::ChainStep;
use super::moved_write;
use super::ranges::{ranges, simpler_writes};
use crate::base::variants::{elementwise, numbers, shorter_not_empty};
use crate::image::content::Write;
use crate::tool::request::{SessionRequest, singles};

/// Single requests are made plainer once a session has only so many: every version is compared with all others.
const FEW: usize = 8;
/// The maximum number of plainer versions of a request.
const VERSIONS_MAX: usize = 16;

/// Returns the step of a session's only request, then sessions with fewer and plainer requests.
pub(super) fn simpler_session(requests: &[SessionRequest]) -> Vec<ChainStep> {
    let step = match requests {
        [one] => equivalent(one),
        _ => None,
    };
    let fewer = shorter_not_empty(requests).into_iter();
    let apart: Vec<SessionRequest> = singles(requests).cloned().collect();
    let apart = (apart != requests).then_some(apart);
    let few = if requests.len() <= FEW { requests } else { &[] };
    let plainer = elementwise(few, |request| {
        let mut versions = simpler_requests(request);
        versions.truncate(VERSIONS_MAX);
        versions
    });
    let lists = fewer.chain(apart).chain(plainer);
    step.into_iter()
        .chain(lists.map(|requests| ChainStep::Session { requests }))
        .collect()
}

fn simpler_requests(request: &SessionRequest) -> Vec<SessionRequest> {
    let range = request.range().unwrap_or_default();
    let at = |put: &dyn Fn(u64, u64) -> SessionRequest| {
        let ranges = short_ranges(range.0, range.1).into_iter();
        ranges.map(|(offset, length)| put(offset, length)).collect()
    };
    match request {
        SessionRequest::Write(write) => {
            let writes = simpler_writes(write).into_iter();
            writes.map(SessionRequest::Write).collect()
        }
        SessionRequest::WriteVector {
            offset,
            lengths,
            byte,
        } => {
            let (offset, length) = (*offset, range.1);
            let whole = SessionRequest::Write(Write::repeated(offset, length, *byte));
            let fewer = shorter_not_empty(lengths).into_iter();
            let fewer = fewer.map(|lengths| SessionRequest::WriteVector {
                offset,
                lengths,
                byte: *byte,
            });
            std::iter::once(whole).chain(fewer).collect()
        }
        SessionRequest::WriteZeroes { unmap, .. } => {
            at(&|offset, length| SessionRequest::WriteZeroes {
                offset,
                length,
                unmap: *unmap,
            })
        }
        SessionRequest::Discard { .. } => {
            at(&|offset, length| SessionRequest::Discard { offset, length })
        }
        SessionRequest::Read { .. } => {
            at(&|offset, length| SessionRequest::Read { offset, length })
        }
        SessionRequest::ReadVector { offset, lengths } => {
            let (offset, length) = (*offset, range.1);
            let whole = SessionRequest::Read { offset, length };
            let fewer = shorter_not_empty(lengths).into_iter();
            let fewer = fewer.map(|lengths| SessionRequest::ReadVector { offset, lengths });
            std::iter::once(whole).chain(fewer).collect()
        }
        SessionRequest::Flush => Vec::new(),
        SessionRequest::Resize { size } => {
            let sizes = super::sizes(*size).into_iter();
            sizes.map(|size| SessionRequest::Resize { size }).collect()
        }
        SessionRequest::Together { requests } => {
            let fewer = shorter_not_empty(requests).into_iter();
            let plainer = elementwise(requests, simpler_requests);
            fewer
                .chain(plainer)
                .map(|requests| SessionRequest::Together { requests })
                .collect()
        }
    }
}

/// Returns simpler ranges, down to a single byte.
fn short_ranges(offset: u64, length: u64) -> Vec<(u64, u64)> {
    let shorter = numbers(length, &[1]).into_iter();
    let shorter = shorter.filter(|shorter| (1..512).contains(shorter));
    let shorter = shorter.map(|length| (offset, length));
    ranges(offset, length).into_iter().chain(shorter).collect()
}

/// Returns the requests, adjusted to an image whose size changed from `old` to `new` bytes: what was at its end, or
/// beyond, still is.
pub(super) fn moved_session(
    requests: &[SessionRequest],
    old: u64,
    new: u64,
) -> Vec<SessionRequest> {
    let moved = requests
        .iter()
        .map(|request| moved_request(request, old, new));
    moved.collect()
}

fn moved_request(request: &SessionRequest, old: u64, new: u64) -> SessionRequest {
    let (place, length) = request.range().unwrap_or_default();
    let place = match place.checked_add(length) {
        Some(end) if end > new => place.saturating_sub(old.saturating_sub(new)),
        _ => place,
    };
    let mut moved = request.clone();
    match &mut moved {
        SessionRequest::Write(write) if write.offset.checked_add(write.length).is_some() => {
            *write = moved_write(write, old, new);
        }
        SessionRequest::Write(_) | SessionRequest::Flush => {}
        SessionRequest::WriteVector { offset, .. }
        | SessionRequest::WriteZeroes { offset, .. }
        | SessionRequest::Discard { offset, .. }
        | SessionRequest::Read { offset, .. }
        | SessionRequest::ReadVector { offset, .. } => *offset = place,
        SessionRequest::Resize { size } => *size = size.saturating_add(new).saturating_sub(old),
        SessionRequest::Together { requests } => *requests = moved_session(requests, old, new),
    }
    moved
}
