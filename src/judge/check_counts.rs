//! The result of a check, as far as it is compared.

use std::fmt;

use serde_json::Value;

use crate::request::Answer;

/// What a check counted, from its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckCounts {
    /// The exit, when the check itself could not be made.
    failed: Option<String>,
    counts: [u64; 3],
}

/// The counters of `check --output=json` that must be zero; qemu-img leaves out those that are.
const CHECK_COUNTERS: [&str; 3] = ["corruptions", "leaks", "check-errors"];

impl CheckCounts {
    /// The counters of an answer to a check.
    pub fn of(answer: &Answer) -> Self {
        match answer.json() {
            Ok(json) => {
                let count = |name: &str| json.get(name).and_then(Value::as_u64).unwrap_or(0);
                Self {
                    failed: None,
                    counts: CHECK_COUNTERS.map(count),
                }
            }
            Err(_) => Self {
                failed: Some(answer.describe()),
                counts: [0; 3],
            },
        }
    }

    /// Whether the check said nothing that could be read.
    pub fn is_unparseable(&self) -> bool {
        self.failed.is_some()
    }

    /// Whether any counter is higher than it was: a check that cannot be made, or could not be made to its end, is worse than
    /// any that could.
    pub fn is_worse_than(&self, before: &Self) -> bool {
        let check_errors = self.counts[CHECK_COUNTERS.len() - 1];
        let mut counts = std::iter::zip(self.counts, before.counts);
        self.failed.is_some() || check_errors > 0 || counts.any(|(now, before)| now > before)
    }

    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.failed.is_none() && self.counts == [0; 3]
    }
}

impl fmt::Display for CheckCounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failed) = &self.failed {
            return write!(formatter, "no result ({failed})");
        }
        if self.is_clean() {
            return formatter.write_str("clean");
        }
        let counts = CHECK_COUNTERS
            .iter()
            .zip(self.counts)
            .filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        formatter.write_str(&counts.join(", "))
    }
}
