//! The result of a check, as far as it is compared.

use std::fmt;

use serde_json::Value;

use crate::tool::request::Answer;

/// The counts of a check, from its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckCounts {
    /// The description of the exit, if the check itself failed.
    failed: Option<String>,
    counts: [u64; 3],
}

/// The counters of `check --output=json` that must be zero. qemu-img omits those that are.
const CHECK_COUNTERS: [&str; 3] = ["corruptions", "leaks", "check-errors"];

impl CheckCounts {
    /// Returns the counts in the answer to a check.
    pub fn from_answer(answer: &Answer) -> Self {
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

    /// Whether the check had no readable output.
    pub fn is_unparseable(&self) -> bool {
        self.failed.is_some()
    }

    /// Whether any counter is higher than before. A check that failed, or that did not complete, is worse than any
    /// complete one.
    pub fn is_worse_than(&self, before: &Self) -> bool {
        let check_errors = self.counts[CHECK_COUNTERS.len() - 1];
        let mut counts = std::iter::zip(self.counts, before.counts);
        self.failed.is_some() || check_errors > 0 || counts.any(|(now, before)| now > before)
    }

    /// Whether the check found nothing.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::observations::sample::{output_json, refused};
    use serde_json::json;

    fn counts(json: Value) -> CheckCounts {
        CheckCounts::from_answer(&output_json(&json))
    }

    fn none() -> CheckCounts {
        CheckCounts::from_answer(&refused("no"))
    }

    #[test]
    fn an_omitted_count_is_zero() {
        assert!(counts(json!({})).is_clean());
        assert!(counts(json!({"leaks": 0, "allocated-clusters": 9})).is_clean());
        for found in ["corruptions", "leaks", "check-errors"] {
            assert!(!counts(json!({found: 1})).is_clean());
        }
    }

    #[test]
    fn a_check_without_output_is_not_clean() {
        assert!(none().is_unparseable() && !none().is_clean());
        assert!(!counts(json!({"leaks": 3})).is_unparseable());
        assert_ne!(none(), counts(json!({})));
    }

    #[test]
    fn a_higher_counter_or_an_incomplete_check_is_worse() {
        let before = counts(json!({"corruptions": 2, "leaks": 2}));
        let worse = [
            json!({"corruptions": 3}),
            json!({"leaks": 3}),
            json!({"check-errors": 1}),
            json!({"corruptions": 3, "leaks": 0}),
        ];
        for found in worse {
            assert!(counts(found.clone()).is_worse_than(&before), "{found}");
        }
        let no_worse = [
            json!({}),
            json!({"corruptions": 2, "leaks": 2}),
            json!({"corruptions": 1, "leaks": 2}),
        ];
        for found in no_worse {
            assert!(!counts(found.clone()).is_worse_than(&before), "{found}");
        }
        assert!(none().is_worse_than(&before));
        // A check with check-errors is worse, whatever the counts before.
        let with_errors = counts(json!({"check-errors": 1}));
        assert!(with_errors.is_worse_than(&with_errors));
    }

    #[test]
    fn the_counts_are_described_in_words() {
        assert_eq!(counts(json!({})).to_string(), "clean");
        assert_eq!(
            counts(json!({"corruptions": 2, "check-errors": 1})).to_string(),
            "2 corruptions, 1 check-errors"
        );
        assert_eq!(none().to_string(), "no result (exit 1: no)");
    }
}
