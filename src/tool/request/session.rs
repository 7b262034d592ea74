//! Requests of one session: many on an image that is opened once, and what came of each.
//!
//! A chain's step has them, the tools carry them out, the operation holds each outcome against the model. Nothing here
//! knows tools or judges.

use serde::{Deserialize, Serialize};

use crate::image::content::{Contents, Write};

/// The maximum number of bytes of a request that needs a buffer.
pub const BUFFER_BYTES_MAX: u64 = 64 << 20;

/// A request to an image that stays open. Offsets and lengths are in bytes of the guest's address space; they may lie
/// anywhere, so that refusals can be tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum SessionRequest {
    /// Write guest data.
    Write(Write),
    /// Write guest data from several buffers at once.
    WriteVector {
        /// The guest offset.
        offset: u64,
        /// The lengths of the buffers, which follow each other.
        lengths: Vec<u64>,
        /// The byte that all of them repeat.
        byte: u8,
    },
    /// Write zeros.
    WriteZeroes {
        /// The guest offset.
        offset: u64,
        /// The number of bytes.
        length: u64,
        /// Whether the tool may unmap the range.
        unmap: bool,
    },
    /// Discard a range; it reads as zeros afterwards.
    Discard {
        /// The guest offset.
        offset: u64,
        /// The number of bytes.
        length: u64,
    },
    /// Read guest data.
    Read {
        /// The guest offset.
        offset: u64,
        /// The number of bytes.
        length: u64,
    },
    /// Read guest data into several buffers at once.
    ReadVector {
        /// The guest offset.
        offset: u64,
        /// The lengths of the buffers, which follow each other.
        lengths: Vec<u64>,
    },
    /// Bring all that was written into the file.
    Flush,
    /// Change the size that a guest sees.
    Resize {
        /// The new size in bytes.
        size: u64,
    },
    /// Reads and writes that are all begun before the first is awaited. They overlap only where the order makes no
    /// difference.
    Together {
        /// The requests.
        requests: Vec<SessionRequest>,
    },
}

/// The kind of a request of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionRequestKind {
    /// [`SessionRequest::Write`].
    Write,
    /// [`SessionRequest::WriteVector`].
    WriteVector,
    /// [`SessionRequest::WriteZeroes`].
    WriteZeroes,
    /// [`SessionRequest::Discard`].
    Discard,
    /// [`SessionRequest::Read`].
    Read,
    /// [`SessionRequest::ReadVector`].
    ReadVector,
    /// [`SessionRequest::Flush`].
    Flush,
    /// [`SessionRequest::Resize`].
    Resize,
    /// [`SessionRequest::Together`].
    Together,
}

impl SessionRequestKind {
    /// All kinds.
    pub const ALL: &[Self] = &[
        Self::Write,
        Self::WriteVector,
        Self::WriteZeroes,
        Self::Discard,
        Self::Read,
        Self::ReadVector,
        Self::Flush,
        Self::Resize,
        Self::Together,
    ];

    /// Returns the name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::WriteVector => "write_vector",
            Self::WriteZeroes => "write_zeroes",
            Self::Discard => "discard",
            Self::Read => "read",
            Self::ReadVector => "read_vector",
            Self::Flush => "flush",
            Self::Resize => "resize",
            Self::Together => "together",
        }
    }
}

/// What came of a request of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionOutcome {
    /// It was performed, and nothing was read.
    Done,
    /// What was read, as if the range were an image of its own.
    Read(Contents),
    /// It was refused, with this message.
    Refused(String),
}

impl SessionOutcome {
    /// Whether the request was performed.
    pub fn is_done(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

impl SessionRequest {
    /// Returns the kind.
    pub fn kind(&self) -> SessionRequestKind {
        match self {
            Self::Write(_) => SessionRequestKind::Write,
            Self::WriteVector { .. } => SessionRequestKind::WriteVector,
            Self::WriteZeroes { .. } => SessionRequestKind::WriteZeroes,
            Self::Discard { .. } => SessionRequestKind::Discard,
            Self::Read { .. } => SessionRequestKind::Read,
            Self::ReadVector { .. } => SessionRequestKind::ReadVector,
            Self::Flush => SessionRequestKind::Flush,
            Self::Resize { .. } => SessionRequestKind::Resize,
            Self::Together { .. } => SessionRequestKind::Together,
        }
    }

    /// Returns the range that it accesses, as offset and length; `None` for a flush, a resize, and several requests
    /// together.
    pub fn range(&self) -> Option<(u64, u64)> {
        match self {
            Self::Write(write) => Some((write.offset, write.length)),
            Self::WriteVector {
                offset, lengths, ..
            }
            | Self::ReadVector { offset, lengths } => {
                let total = lengths
                    .iter()
                    .fold(0, |sum: u64, length| sum.saturating_add(*length));
                Some((*offset, total))
            }
            Self::WriteZeroes { offset, length, .. }
            | Self::Discard { offset, length }
            | Self::Read { offset, length } => Some((*offset, *length)),
            Self::Flush | Self::Resize { .. } | Self::Together { .. } => None,
        }
    }

    /// Whether it reads guest data.
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::ReadVector { .. })
    }

    /// Returns the request itself, or those that are made together, in order: each has an outcome of its own.
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::Together { requests } => requests,
            one => std::slice::from_ref(one),
        }
    }

    /// Returns the request outside a session that a tool must know to carry it out, by its name in the protocol of
    /// adapters; none for a flush.
    pub fn needs(&self) -> Option<&'static str> {
        match self {
            Self::Write(_) | Self::WriteVector { .. } => Some("write"),
            Self::WriteZeroes { .. } => Some("write_zeroes"),
            Self::Discard { .. } => Some("discard"),
            Self::Read { .. } | Self::ReadVector { .. } => Some("contents"),
            Self::Resize { .. } => Some("resize"),
            Self::Flush | Self::Together { .. } => None,
        }
    }
}

/// Returns the single requests of a session, in order.
pub fn singles(requests: &[SessionRequest]) -> impl Iterator<Item = &SessionRequest> {
    requests.iter().flat_map(SessionRequest::parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_name_of_its_kind_in_json() {
        let requests = [
            SessionRequest::Flush,
            SessionRequest::Resize { size: 512 },
            SessionRequest::Together {
                requests: vec![SessionRequest::Read {
                    offset: u64::MAX,
                    length: 0,
                }],
            },
        ];
        for request in requests {
            let json = serde_json::to_value(&request).unwrap();
            assert_eq!(json["do"], request.kind().name());
            assert_eq!(
                serde_json::from_value::<SessionRequest>(json).unwrap(),
                request
            );
        }
        let write = r#"{"do":"write","offset":512,"length":1,"byte":7}"#;
        let write: SessionRequest = serde_json::from_str(write).unwrap();
        assert_eq!(write.range(), Some((512, 1)));
    }
}
