//! A size in the syntax of command lines: `64M`, `1G`, `512`.
//!
//! A `Size` keeps its text, because generations draw the text and tools receive it; `Size::bytes` is its value.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::base::error::{Error, Result};

/// A number of bytes together with the text that it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    text: String,
    bytes: u64,
}

impl Size {
    /// Parses decimal digits with at most one of qemu-img's suffixes k, K, M, G, T (powers of 1024). Fails for any other text, and for values
    /// over 64 bits.
    pub fn parse(text: &str) -> Result<Self> {
        let digits_end = text
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, suffix) = text.split_at(digits_end);
        let shift = match suffix {
            "" => Some(0),
            "k" | "K" => Some(10),
            "M" => Some(20),
            "G" => Some(30),
            "T" => Some(40),
            _ => None,
        };
        let bytes = shift.and_then(|shift| digits.parse::<u64>().ok()?.checked_mul(1 << shift));
        match bytes {
            Some(bytes) => Ok(Self {
                text: text.to_owned(),
                bytes,
            }),
            None => Err(Error::usage(format!(
                "'{text}' is not a size: write a number of bytes, or a number with K, M, G or T"
            ))),
        }
    }

    /// A size that this program's own code writes; panics if it does not parse.
    pub(crate) fn literal(text: &str) -> Self {
        Self::parse(text).expect("a size literal in this program is valid")
    }

    /// A size written as a plain number of bytes.
    pub fn of_bytes(bytes: u64) -> Self {
        Self {
            text: bytes.to_string(),
            bytes,
        }
    }

    /// The size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The text that this size was parsed from.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl TryFrom<String> for Size {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_powers_of_1024() {
        let bytes = |text: &str| Size::parse(text).map(|size| size.bytes());
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(bytes("4K"), Ok(4096));
        assert_eq!(bytes("1G"), Ok(1 << 30));
    }

    #[test]
    fn text_that_is_not_a_size_is_refused_in_one_line() {
        for text in ["", "M", "-1M", "1X", "1MM", "99999999999999999999"] {
            let error = Size::parse(text).expect_err(text);
            assert!(!error.to_string().contains('\n'));
        }
    }
}
