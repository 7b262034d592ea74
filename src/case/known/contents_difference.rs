//! How the guest-visible contents of the candidate differ from the reference's, without the values themselves.
//!
//! Conditions use it, only for contents; other values have texts.

use serde::{Deserialize, Serialize};

use crate::image::content::ContentPlace;
use crate::oracle::verdict::Difference;

/// How two values of guest data differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shows {
    /// The candidate has zeros where the reference has data.
    ZerosForData,
    /// The candidate has data where the reference has zeros.
    DataForZeros,
    /// Both have data, but different data.
    OtherData,
    /// The sizes differ.
    AnotherSize,
}

impl Shows {
    /// Returns its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZerosForData => "zeros_for_data",
            Self::DataForZeros => "data_for_zeros",
            Self::OtherData => "other_data",
            Self::AnotherSize => "another_size",
        }
    }

    /// Returns how the values of a difference differ; `None` if they are not guest data.
    pub fn from_difference(difference: &Difference) -> Option<Self> {
        if difference.subject.content_place() == Some(ContentPlace::Size) {
            return Some(Self::AnotherSize);
        }
        let values = [&difference.candidate, &difference.reference].map(|value| is_zero(value));
        match values {
            [Some(true), Some(false)] => Some(Self::ZerosForData),
            [Some(false), Some(true)] => Some(Self::DataForZeros),
            [Some(false), Some(false)] if difference.candidate != difference.reference => {
                Some(Self::OtherData)
            }
            _ => None,
        }
    }
}

/// Whether the value is data of only zeros; `None` if it is not data.
fn is_zero(value: &str) -> Option<bool> {
    if value == "zeros" {
        return Some(true);
    }
    if value.starts_with("data ") {
        return Some(false);
    }
    let digits = value.strip_prefix("0x")?;
    let is_byte = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_byte.then(|| digits == "00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_told_by_which_side_shows_zeros() {
        let of = |candidate: &str, reference: &str| {
            Shows::from_difference(&Difference::written(
                "contents: byte at guest offset 0",
                candidate,
                reference,
            ))
        };
        assert_eq!(of("0x00", "0x1f"), Some(Shows::ZerosForData));
        assert_eq!(of("zeros", "data 00ff"), Some(Shows::ZerosForData));
        assert_eq!(of("0x01", "0x00"), Some(Shows::DataForZeros));
        assert_eq!(of("data 00ff", "0x12"), Some(Shows::OtherData));
        for values in [
            ("0x00", "0x00"),
            ("data 00ff", "data 00ff"),
            ("exit 0", "0x12"),
            ("0x123", "0x00"),
            ("0xzz", "0x00"),
        ] {
            assert_eq!(of(values.0, values.1), None, "{values:?}");
        }
    }

    #[test]
    fn another_size_is_told_as_such() {
        let difference =
            Difference::written("contents of a: guest-visible size", "1 bytes", "2 bytes");
        assert_eq!(
            Shows::from_difference(&difference),
            Some(Shows::AnotherSize)
        );
    }
}
