//! Why a tool refused, as far as two tools' own words can be compared.

use crate::tool::request::Answer;

/// The classes of refusals. Only what both tools say plainly is told apart: tools have their own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalClass {
    /// Something that was named is not there.
    NotThere,
    /// The machine gave no space.
    NoSpace,
    /// The machine gave no permission.
    NoPermission,
    /// Anything else.
    Other,
}

/// Words that name a class, in lower case.
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
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::NotThere,
        Self::NoSpace,
        Self::NoPermission,
        Self::Other,
    ];

    /// Its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotThere => "NotThere",
            Self::NoSpace => "NoSpace",
            Self::NoPermission => "NoPermission",
            Self::Other => "Other",
        }
    }

    /// The class of what a tool wrote on standard error.
    pub fn from_answer(answer: &Answer) -> Self {
        let output_text = answer.transcript.stderr.text().to_lowercase();
        WORDS
            .iter()
            .find(|(word, _)| output_text.contains(word))
            .map_or(Self::Other, |(_, class)| *class)
    }

    /// Whether two refusals cannot be for the same reason. What neither names plainly may be.
    pub fn contradicts(self, other: Self) -> bool {
        self != Self::Other && other != Self::Other && self != other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::observations::sample::{output_text, refused};

    #[test]
    fn plain_words_say_why_however_they_are_written() {
        let classes = [
            ("x: No such file or directory", RefusalClass::NotThere),
            ("snapshot NOT FOUND", RefusalClass::NotThere),
            ("it does not exist", RefusalClass::NotThere),
            ("Can't find snapshot", RefusalClass::NotThere),
            ("No space left on device", RefusalClass::NoSpace),
            ("Permission denied", RefusalClass::NoPermission),
            ("Operation not permitted", RefusalClass::NoPermission),
            ("Read-only file system", RefusalClass::NoPermission),
            ("Invalid argument", RefusalClass::Other),
            ("", RefusalClass::Other),
        ];
        for (words, class) in classes {
            assert_eq!(RefusalClass::from_answer(&refused(words)), class, "{words}");
        }
        // What goes to standard output is a result.
        assert_eq!(
            RefusalClass::from_answer(&output_text("not found")),
            RefusalClass::Other
        );
    }

    #[test]
    fn two_plain_reasons_that_differ_contradict_and_nothing_else_does() {
        use RefusalClass::{NoPermission, NoSpace, NotThere, Other};
        for one in [NotThere, NoSpace, NoPermission, Other] {
            for other in [NotThere, NoSpace, NoPermission, Other] {
                let plain = one != Other && other != Other;
                assert_eq!(one.contradicts(other), plain && one != other);
            }
        }
    }
}
