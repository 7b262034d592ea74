//! The class of a refusal's reason, as far as the messages of two tools can be compared.

use crate::tool::request::Answer;

/// The classes of refusals. Only reasons that both tools state plainly are distinguished, because messages differ
/// between tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalClass {
    /// A file or object does not exist.
    NotThere,
    /// The machine has no space.
    NoSpace,
    /// The machine denied permission.
    NoPermission,
    /// Any other reason.
    Other,
}

/// Parts of messages that show a class, in lower case.
const WORDS: [(&str, RefusalClass); 8] = [
    ("no such file", RefusalClass::NotThere),
    ("not found", RefusalClass::NotThere),
    ("does not exist", RefusalClass::NotThere),
    ("can't find", RefusalClass::NotThere),
    ("no space left", RefusalClass::NoSpace),
    ("permission denied", RefusalClass::NoPermission),
    ("operation not permitted", RefusalClass::NoPermission),
    ("read-only file system", RefusalClass::NoPermission),
];

impl RefusalClass {
    /// All classes.
    pub const ALL: [Self; 4] = [
        Self::NotThere,
        Self::NoSpace,
        Self::NoPermission,
        Self::Other,
    ];

    /// Returns its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotThere => "NotThere",
            Self::NoSpace => "NoSpace",
            Self::NoPermission => "NoPermission",
            Self::Other => "Other",
        }
    }

    /// Returns the class of a tool's message on standard error.
    pub fn from_answer(answer: &Answer) -> Self {
        let output_text = answer.transcript.stderr.text().to_lowercase();
        WORDS
            .iter()
            .find(|(word, _)| output_text.contains(word))
            .map_or(Self::Other, |(_, class)| *class)
    }

    /// Whether two refusals cannot have the same reason. Unstated reasons may be the same.
    pub fn contradicts(self, other: Self) -> bool {
        self != Self::Other && other != Self::Other && self != other
    }
}

#[cfg(test)]
mod tests;
