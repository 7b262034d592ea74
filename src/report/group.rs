//! Which divergences are one finding: the same kind, in the same operation, with the same signature.
//!
//! A signature is what differs without what is particular to one case: its numbers. Used by the page, the annotations and
//! the issues. Pure.

use crate::record::Record;

/// How many differences make a signature; what follows usually follows from them.
const SIGNATURE_PARTS_MAX: usize = 3;

/// How long one part of a signature may be, in characters.
const PART_CHARACTERS_MAX: usize = 120;

/// What divergences have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// The kind of divergence.
    pub kind: String,
    /// The operation.
    pub operation: String,
    /// What differs, without numbers.
    pub signature: String,
}

impl Group {
    /// The group of a record that has a kind.
    pub fn of(record: &Record) -> Option<Self> {
        Some(Self {
            kind: record.kind.clone()?,
            operation: record.operation.clone().unwrap_or_default(),
            signature: signature(record),
        })
    }

    /// In one line: the title of its issue.
    pub fn title(&self) -> String {
        format!("{} in {}: {}", self.kind, self.operation, self.signature)
    }
}

fn signature(record: &Record) -> String {
    let differences = record.evidence.iter().flat_map(|evidence| {
        let parts = evidence.differences.iter().map(|difference| {
            // Exits are told apart by what the tools said, values by where they are.
            if difference.what.starts_with("exit of ") {
                let both = (&difference.candidate, &difference.reference);
                format!(
                    "{} (candidate {}, reference {})",
                    difference.what, both.0, both.1
                )
            } else {
                difference.what.clone()
            }
        });
        parts.map(|part| without_numbers(&part))
    });
    let mut parts: Vec<String> = Vec::new();
    for part in differences {
        if parts.len() < SIGNATURE_PARTS_MAX && !parts.contains(&part) {
            parts.push(part);
        }
    }
    if parts.is_empty() {
        parts.push(without_numbers(record.reason.as_deref().unwrap_or("-")));
    }
    parts.join("; ")
}

/// Every number, hexadecimal ones included, becomes `N`; file names of operations lose theirs with it.
fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if !letter.is_ascii_digit() {
            plain.push(letter);
            continue;
        }
        let is_hexadecimal = letter == '0' && letters.next_if_eq(&'x').is_some();
        let belongs = |next: &char| match is_hexadecimal {
            true => next.is_ascii_hexdigit(),
            false => next.is_ascii_digit() || *next == '.',
        };
        while letters.next_if(belongs).is_some() {}
        plain.push('N');
    }
    if plain.chars().count() > PART_CHARACTERS_MAX {
        plain = plain.chars().take(PART_CHARACTERS_MAX - 1).collect();
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::without_numbers;

    #[test]
    fn numbers_do_not_count() {
        assert_eq!(
            without_numbers("byte 0x1f00 of 4096 after 1.25 s"),
            "byte N of N after N s"
        );
        assert_eq!(without_numbers("refcount-bits"), "refcount-bits");
    }

    #[test]
    fn a_long_part_is_cut() {
        assert_eq!(without_numbers(&"x".repeat(500)).chars().count(), 120);
    }
}
