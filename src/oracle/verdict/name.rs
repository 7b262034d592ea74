//! The name of a verdict, in records and seed files.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictName {
    /// Everything that was compared agrees.
    Match,
    /// Something differs.
    Divergence,
    /// Something differed, but not when the case ran again.
    Flaky,
    /// A check could not be made.
    Inconclusive,
    /// A side does not support the operation; nothing was run.
    Unsupported,
}

impl VerdictName {
    /// Returns the name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Divergence => "divergence",
            Self::Flaky => "flaky",
            Self::Inconclusive => "inconclusive",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for VerdictName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keeps the padding, which tables need.
        formatter.pad(self.as_str())
    }
}

/// For assertions in tests.
impl PartialEq<&str> for VerdictName {
    fn eq(&self, name: &&str) -> bool {
        self.as_str() == *name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_and_read_as_it_is_said() {
        let names = [
            VerdictName::Match,
            VerdictName::Divergence,
            VerdictName::Flaky,
            VerdictName::Inconclusive,
            VerdictName::Unsupported,
        ];
        for name in names {
            let written = serde_json::to_string(&name).unwrap();
            assert_eq!(written, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<VerdictName>(&written).unwrap(), name);
            assert_eq!(name, name.as_str());
        }
        assert_eq!(format!("{:>6}|", VerdictName::Match), " match|");
        let wrong = serde_json::from_str::<VerdictName>("\"maybe\"").unwrap_err();
        assert!(
            wrong.to_string().contains("unknown variant `maybe`"),
            "{wrong}"
        );
    }
}
