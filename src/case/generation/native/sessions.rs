//! Draws sessions: many requests on an image that stays open, most of them near places that the session has touched before.
//!
//! What is possible in the state of the chain is decided by [`ChainState::admit`], as for every step.

use super::NativeProfile;
use super::edges::{self, Grain};
use super::space::{self, zero_limit};
use crate::base::rng::NativeRandom;
use crate::image::content::Write;
use crate::image::format::Format;
use crate::operation::chain::{ChainState, ChainStep, KnownQemuBug};
use crate::tool::request::SessionRequest;

/// The maximum number of requests of a session.
const REQUESTS_MAX: u64 = 18;
/// The maximum number of requests that are made together.
const TOGETHER_MAX: u64 = 5;
/// The maximum number of buffers of a vectored request.
const BUFFERS_MAX: u64 = 5;
/// The maximum length of a read or write in bytes.
const REQUEST_BYTES_MAX: u64 = 128 << 10;
/// The maximum number of bytes that a session reads: qemu-io prints them.
const READ_BYTES_MAX: u64 = 256 << 10;
/// Percentage of sessions that only read.
const READING_PERCENT: u64 = 20;
/// Percentage of requests that lie near an earlier one.
const NEAR_PERCENT: u64 = 55;
/// Percentage of requests in place of which data is read, cut off, and read again behind new growth.
const CUT_PERCENT: u64 = 2;
/// Percentage of requests that lie behind the end of the image, or have no length.
const ODD_PERCENT: u64 = 7;
/// Percentage of sessions on images of version 2 that neither zero nor discard: not every tool can there.
const SPARING_PERCENT: u64 = 75;

/// What a session may do.
struct Session {
    is_reading: bool,
    spares_zeros: bool,
    /// The ranges of the requests so far, as offset and length.
    touched: Vec<(u64, u64)>,
    /// The sizes that the image has had.
    sizes: Vec<u64>,
    /// The number of bytes that are read so far.
    read: u64,
}

/// Draws a session; `None` if nothing is possible.
pub(super) fn draw(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> Option<ChainStep> {
    let only_read = profile.for_readers || !chain_state.is_writable();
    let is_plain = matches!(chain_state.top().format, Format::Raw | Format::Qcow2);
    let percent = if is_plain { READING_PERCENT } else { 50 };
    let is_version_2 = chain_state.top().options.is_version_2();
    let mut session = Session {
        is_reading: random.percent(percent) || only_read,
        spares_zeros: random.percent(SPARING_PERCENT) && is_version_2,
        touched: Vec::new(),
        sizes: Vec::new(),
        read: 0,
    };
    let mut chain_state = chain_state.clone();
    let mut requests = Vec::new();
    for _ in 0..random.between(3, REQUESTS_MAX) {
        let drawn = match !session.is_reading && random.percent(CUT_PERCENT) {
            true => session.cut_and_regrown(random, &chain_state),
            false => session.request(random, &chain_state).into_iter().collect(),
        };
        for request in drawn {
            if session.makes(&request, &mut chain_state) {
                requests.push(request);
            }
        }
    }
    (!requests.is_empty()).then_some(ChainStep::Session { requests })
}

/// Returns a session of this request alone, if it is meaningful and meets no known bug.
fn admitted(request: &SessionRequest, chain_state: &ChainState) -> Option<ChainStep> {
    let requests = vec![request.clone()];
    let step = ChainStep::Session { requests };
    let is_admitted = chain_state.admit(&step).is_admitted();
    (is_admitted && KnownQemuBug::met_by(chain_state, &step).is_none()).then_some(step)
}

impl Session {
    /// Makes the request if it is meaningful, and says whether it was.
    fn makes(&mut self, request: &SessionRequest, chain_state: &mut ChainState) -> bool {
        let Some(step) = admitted(request, chain_state) else {
            return false;
        };
        if matches!(request, SessionRequest::Resize { .. }) {
            self.sizes.push(chain_state.model.top.size);
        }
        chain_state.advance(&step, true);
        for part in request.parts() {
            let (offset, length) = part.range().unwrap_or_default();
            if length > 0 && offset < chain_state.model.top.size {
                self.touched.push((offset, length));
            }
            self.read += if part.is_read() { length } else { 0 };
        }
        true
    }

    /// Draws a read of data, a cut that takes it away, growth, and the same read again: whoever keeps data or tables that he has read must
    /// forget them.
    fn cut_and_regrown(
        &self,
        random: &mut NativeRandom,
        chain_state: &ChainState,
    ) -> Vec<SessionRequest> {
        let size = chain_state.model.top.size;
        let grain = Grain::for_file(chain_state.top());
        let data: Vec<(u64, u64)> = chain_state.model.top.runs().collect();
        let is_short = READ_BYTES_MAX.saturating_sub(self.read) < 2 * REQUEST_BYTES_MAX;
        if !chain_state.is_resized() || data.is_empty() || is_short {
            return Vec::new();
        }
        let (start, end) = *random.choice(&data);
        let cut = (start / grain.cluster * grain.cluster).max(grain.cluster);
        let place = start.max(cut);
        if place >= end || size - cut > grain.reach() {
            return Vec::new();
        }
        let read = SessionRequest::Read {
            offset: place,
            length: (end - place).min(REQUEST_BYTES_MAX / 2),
        };
        vec![
            read.clone(),
            SessionRequest::Resize { size: cut },
            SessionRequest::Resize { size },
            read,
        ]
    }

    fn request(
        &self,
        random: &mut NativeRandom,
        chain_state: &ChainState,
    ) -> Option<SessionRequest> {
        if random.percent(ODD_PERCENT) {
            return Some(self.odd(random, chain_state));
        }
        let kind = match self.is_reading {
            true => random.weighted(&[60, 25, 15]),
            false => random.weighted(&[36, 8, 8, 22, 6, 10, 8, 4, 12]),
        };
        match kind {
            2 => {
                let count = random.between(2, TOGETHER_MAX);
                let mut requests: Vec<SessionRequest> = Vec::new();
                for _ in 0..count {
                    let kind = match self.is_reading {
                        true => random.weighted(&[70, 30]),
                        false => random.weighted(&[30, 10, 0, 40, 10, 10]),
                    };
                    requests.extend(self.plain(random, chain_state, kind));
                    let one = SessionRequest::Together {
                        requests: requests.clone(),
                    };
                    if admitted(&one, chain_state).is_none() {
                        requests.pop();
                    }
                }
                (requests.len() > 1).then_some(SessionRequest::Together { requests })
            }
            kind => self.plain(random, chain_state, kind),
        }
    }

    /// Draws a request of this kind within the image: a read, a vectored read, a write, a vectored write, zeros, a
    /// discard, a flush, or a resize.
    fn plain(
        &self,
        random: &mut NativeRandom,
        chain_state: &ChainState,
        kind: usize,
    ) -> Option<SessionRequest> {
        let grain = Grain::for_file(chain_state.top());
        let (offset, length) = self.range(random, chain_state, grain);
        let byte = match random.percent(6) {
            true => 0,
            false => random.between(1, 255) as u8,
        };
        let room = READ_BYTES_MAX.saturating_sub(self.read);
        match kind {
            0 | 1 if room == 0 => None,
            0 => Some(SessionRequest::Read {
                offset,
                length: length.min(room),
            }),
            1 => Some(SessionRequest::ReadVector {
                offset,
                lengths: parts(random, length.min(room)),
            }),
            3 => Some(SessionRequest::Write(Write::repeated(offset, length, byte))),
            4 => Some(SessionRequest::WriteVector {
                offset,
                lengths: parts(random, length),
                byte,
            }),
            5 | 6 if self.spares_zeros => None,
            5 => Some(SessionRequest::WriteZeroes {
                offset,
                length: length.min(zero_limit(chain_state, grain)),
                unmap: random.percent(50),
            }),
            6 if chain_state.discards_surely() => {
                let step = space::discard(random, chain_state, grain);
                let near = self.near(random).map(|(offset, _)| offset);
                discard_near(step, near, chain_state, grain)
            }
            7 => Some(SessionRequest::Flush),
            8 if chain_state.is_resized() => self.resize(random, chain_state, grain),
            _ => None,
        }
    }

    /// Draws a size: one that the image has had, one that cuts off what was touched, or any.
    fn resize(
        &self,
        random: &mut NativeRandom,
        chain_state: &ChainState,
        grain: Grain,
    ) -> Option<SessionRequest> {
        let size = match random.below(3) {
            0 if !self.sizes.is_empty() => *random.choice(&self.sizes),
            1 if !self.touched.is_empty() => {
                let (offset, _) = *random.choice(&self.touched);
                (offset / grain.cluster * grain.cluster).max(grain.cluster)
            }
            _ => match space::resize(random, chain_state, grain) {
                ChainStep::Resize { size, .. } => size,
                _ => return None,
            },
        };
        let is_far = chain_state.model.top.size.abs_diff(size) > grain.reach();
        (!is_far).then_some(SessionRequest::Resize { size })
    }

    /// Draws an earlier range, or none.
    fn near(&self, random: &mut NativeRandom) -> Option<(u64, u64)> {
        let is_near = random.percent(NEAR_PERCENT) && !self.touched.is_empty();
        is_near.then(|| *random.choice(&self.touched))
    }

    /// Draws a range within the image: at a boundary, or at, around, within or before an earlier one.
    fn range(
        &self,
        random: &mut NativeRandom,
        chain_state: &ChainState,
        grain: Grain,
    ) -> (u64, u64) {
        let size = chain_state.model.top.size;
        let others = chain_state.edges();
        let (offset, near) = match self.near(random) {
            None => (edges::offset(random, size, grain, &others), None),
            Some((offset, length)) => {
                let offset = match random.below(6) {
                    0 => offset + length / 2,
                    1 => (offset + length).saturating_sub(1),
                    2 => offset + length,
                    3 => offset.saturating_sub(random.between(1, 4096)),
                    4 => offset / grain.cluster * grain.cluster,
                    _ => offset,
                };
                (offset.min(size - 1), Some(length))
            }
        };
        let length = match near {
            Some(length) if random.percent(50) => length.min(size - offset).min(REQUEST_BYTES_MAX),
            _ => edges::length(random, offset, size, grain, REQUEST_BYTES_MAX),
        };
        (offset, length)
    }

    /// Draws a request that lies behind the end of the image at least in part, or has no length.
    fn odd(&self, random: &mut NativeRandom, chain_state: &ChainState) -> SessionRequest {
        let size = chain_state.model.top.size;
        let offset = *random.choice(&[
            size,
            size - 1,
            size + 511,
            1 << 62,
            (1 << 63) - 512,
            1 << 63,
            u64::MAX - 511,
        ]);
        let (offset, length) = match random.below(4) {
            0 => (*random.choice(&[0, size - 1, size, size + 1]), 0),
            1 => (offset, 1),
            2 => (offset, 512),
            _ => (offset, 4096),
        };
        let is_huge = random.percent(30);
        let length_of_zeros = if is_huge && length > 0 {
            1 << 62
        } else {
            length
        };
        let kind = if self.is_reading { 0 } else { random.below(4) };
        match kind {
            0 => SessionRequest::Read { offset, length },
            1 if !self.spares_zeros => SessionRequest::WriteZeroes {
                offset,
                length: length_of_zeros,
                unmap: random.percent(50),
            },
            2 if !self.spares_zeros => SessionRequest::Discard {
                offset,
                length: length_of_zeros,
            },
            _ => SessionRequest::Write(Write::repeated(offset, length, 0xee)),
        }
    }
}

/// Returns the discard, moved to the cluster at `near`.
fn discard_near(
    step: ChainStep,
    near: Option<u64>,
    chain_state: &ChainState,
    grain: Grain,
) -> Option<SessionRequest> {
    let ChainStep::Discard { offset, length } = step else {
        return None;
    };
    let size = chain_state.model.top.size;
    let offset = near.map_or(offset, |near| near / grain.cluster * grain.cluster);
    let length = length.min(size.saturating_sub(offset));
    (length > 0).then_some(SessionRequest::Discard { offset, length })
}

/// Draws the lengths of buffers that come to `length` bytes. None is empty: the tools' own interfaces take no such buffers.
fn parts(random: &mut NativeRandom, length: u64) -> Vec<u64> {
    let mut rest = length;
    let mut lengths = Vec::new();
    for _ in 1..random.between(1, BUFFERS_MAX) {
        let part = match random.below(4) {
            0 => 1,
            1 => 512,
            2 => rest / 2,
            _ => random.below(rest + 1),
        };
        if part > 0 && part < rest {
            lengths.push(part);
            rest -= part;
        }
    }
    lengths.push(rest);
    lengths
}
