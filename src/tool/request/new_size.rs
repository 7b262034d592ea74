//! The new size of a resize, as given.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::size::Size;

/// A new size. In JSON: `64M`, `+1M`, `-512K`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NewSize {
    /// This size.
    Absolute(Size),
    /// An increase.
    Grown(Size),
    /// A decrease.
    Shrunk(Size),
}

impl NewSize {
    /// Parses a size, or a change with its sign.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (new, digits): (fn(Size) -> Self, &str) = match text.as_bytes().first() {
            Some(b'+') => (Self::Grown, &text[1..]),
            Some(b'-') => (Self::Shrunk, &text[1..]),
            _ => (Self::Absolute, text),
        };
        match Size::parse(digits) {
            Ok(size) => Ok(new(size)),
            Err(_) => Err(format!(
                "'{}' is no size: write bytes, or a number with K, M, G or T, with a sign for a change",
                text.escape_debug()
            )),
        }
    }

    /// Returns an absolute size.
    pub fn of_bytes(bytes: u64) -> Self {
        Self::Absolute(Size::of_bytes(bytes))
    }

    /// Returns the new size in bytes for an old one, if the result is a valid size.
    pub fn bytes_from(&self, before: u64) -> Option<u64> {
        match self {
            Self::Absolute(size) => Some(size.bytes()),
            Self::Grown(size) => before.checked_add(size.bytes()),
            Self::Shrunk(size) => before.checked_sub(size.bytes()),
        }
    }

    /// Whether it is a change.
    pub fn is_relative(&self) -> bool {
        !matches!(self, Self::Absolute(_))
    }
}

impl fmt::Display for NewSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(size) => write!(formatter, "{size}"),
            Self::Grown(size) => write!(formatter, "+{size}"),
            Self::Shrunk(size) => write!(formatter, "-{size}"),
        }
    }
}

impl TryFrom<String> for NewSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<NewSize> for String {
    fn from(size: NewSize) -> Self {
        size.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_with_a_sign_is_relative() {
        for (text, bytes) in [("64M", Some(64 << 20)), ("+1K", Some(2048)), ("-2K", None)] {
            let size = NewSize::parse(text).expect(text);
            assert_eq!(
                (size.bytes_from(1024), size.to_string()),
                (bytes, text.to_owned())
            );
        }
        for text in ["", "+", "--1M", "+-1", "1X", "é"] {
            assert!(NewSize::parse(text).is_err(), "{text}");
        }
    }
}
