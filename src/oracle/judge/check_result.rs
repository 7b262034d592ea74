//! The result of a check, as far as it is compared.

use std::fmt;

use crate::tool::request::{Answer, CheckCounts, Report};

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// The check itself failed, with the description of its exit.
    Failed(String),
    /// The check reported these counts.
    Counted(CheckCounts),
}

impl CheckResult {
    /// Returns the result in the answer to a check.
    pub fn from_answer(answer: &Answer) -> Self {
        match answer.report {
            Report::Check(counts) => Self::Counted(counts),
            _ => Self::Failed(answer.describe()),
        }
    }

    /// Whether the check had no readable output.
    pub fn is_unparseable(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// Whether any counter is higher than before. A check that failed, or that did not complete, is worse than any
    /// complete one.
    pub fn is_worse_than(&self, before: &Self) -> bool {
        let Self::Counted(now) = self else {
            return true;
        };
        let before = match before {
            Self::Counted(before) => *before,
            Self::Failed(_) => CheckCounts::default(),
        };
        let mut counts = std::iter::zip(now.errors(), before.errors());
        now.check_errors > 0 || counts.any(|((_, now), (_, before))| now > before)
    }

    /// Whether the check found nothing.
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::Counted(counts) if counts.errors().iter().all(|(_, count)| *count == 0))
    }
}

impl fmt::Display for CheckResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = match self {
            Self::Failed(why) => return write!(formatter, "no result ({why})"),
            Self::Counted(_) if self.is_clean() => return formatter.write_str("clean"),
            Self::Counted(counts) => counts.errors().into_iter().filter(|(_, count)| *count > 0),
        };
        let counts: Vec<String> = counts
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        formatter.write_str(&counts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::observations::sample::{checked, refused};
    use serde_json::json;

    fn counts(json: serde_json::Value) -> CheckResult {
        CheckResult::from_answer(&checked(&json))
    }

    fn none() -> CheckResult {
        CheckResult::from_answer(&refused("no"))
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
