//! The cause of a divergence, as far as two cases can be compared: which side refused, and with which message.
//!
//! The shrinker keeps the cause. Values are not part of it, because they differ in a smaller case.

use serde::{Deserialize, Serialize};

use super::plain;
use crate::oracle::verdict::{Difference, Subject};
use crate::tool::request::{Ended, Exit};

/// The text that the judges put around a message in place of a result.
const NO_RESULT: (&str, char) = ("no result (", ')');

/// The cause of a divergence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// The subject, if exits differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// What the candidate did instead of reporting a value.
    pub candidate: Told,
    /// What the reference did.
    pub reference: Told,
}

/// What a tool did, as far as it belongs to a cause.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// It reported a value, or did not run the step.
    Value,
    /// It performed the step.
    Done,
    /// It refused or crashed with this message, without numbers.
    Said(Ended, String),
}

impl Cause {
    /// Returns the cause of a divergence with these differences; the first one counts, because the others follow from
    /// it.
    pub fn from_differences(differences: &[Difference]) -> Option<Self> {
        let first = differences.first()?;
        Some(Self {
            asked: match &first.subject {
                Subject::Exit { request } => Some(request.name().to_owned()),
                Subject::ExitOfReading { file, request } => {
                    Some(plain(&format!("reading {file} by {request}")))
                }
                _ => None,
            },
            candidate: Told::by(&first.candidate),
            reference: Told::by(&first.reference),
        })
    }
}

impl Told {
    fn by(value: &str) -> Self {
        let (before, after) = NO_RESULT;
        let inner = value
            .strip_prefix(before)
            .and_then(|inner| inner.strip_suffix(after));
        match Exit::parted(inner.unwrap_or(value)) {
            None => Self::Value,
            Some((Ended::Succeeded, _)) => Self::Done,
            Some((ended, words)) => Self::Said(ended, plain(words)),
        }
    }
}

#[cfg(test)]
mod tests;
