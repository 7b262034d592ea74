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
mod tests;
