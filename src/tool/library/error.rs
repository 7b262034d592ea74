//! What a library answers when it does not do what it was asked.
//!
//! The type does not implement `std::error::Error`, so that `?` turns every error of a library into a refusal.

use std::any::Any;
use std::fmt;
use std::io;

/// Why a library did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// It refused in an orderly way, with this message. Compared with what the reference does.
    Refused(String),
    /// It failed in a way that it does not mean to: a broken invariant, an error that must not happen. Counts as a crash.
    Failed(String),
    /// The image has a feature that the library reports as unknown to it. Counted, and not held against it.
    Unsupported(String),
    /// The library has no such method.
    Missing,
}

/// The result of a library's method.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns an orderly refusal.
    pub fn refused(why: impl fmt::Display) -> Self {
        Self::Refused(why.to_string())
    }

    /// Returns a failure that the library does not mean to have.
    pub fn failed(why: impl fmt::Display) -> Self {
        Self::Failed(why.to_string())
    }

    /// Returns that the image has a feature which the library reports as unknown.
    pub fn unsupported(feature: impl fmt::Display) -> Self {
        Self::Unsupported(feature.to_string())
    }

    /// Returns that the library has no such method: what every method that is not implemented says.
    pub fn missing() -> Self {
        Self::Missing
    }
}

/// An I/O error of the kind `Unsupported` is an unknown feature; every other error is a refusal.
impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let of_io = (&error as &dyn Any).downcast_ref::<io::Error>();
        match of_io.map(io::Error::kind) {
            Some(io::ErrorKind::Unsupported) => Self::unsupported(error),
            _ => Self::refused(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) | Self::Failed(why) | Self::Unsupported(why) => {
                formatter.write_str(why)
            }
            Self::Missing => formatter.write_str("the library has no such method"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_is_a_refusal_but_an_unknown_feature() {
        let of_text: Error = "x".parse::<u8>().unwrap_err().into();
        assert!(matches!(of_text, Error::Refused(_)));
        let of_io: Error = io::Error::other("no").into();
        assert_eq!(of_io, Error::refused("no"));
        let unknown: Error = io::Error::new(io::ErrorKind::Unsupported, "zstd").into();
        assert_eq!(unknown, Error::unsupported("zstd"));
    }
}
