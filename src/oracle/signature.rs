//! Groups divergences into findings: the same kind, in the same operation, with the same signature.
//!
//! A signature is the subject of the differences without what is specific to one case: numbers are replaced, and names
//! of files stand as their roles. All grouping uses this rule: the summary, the terminal, pending findings and every
//! other report. Pure.

mod cause;
mod role;

use serde::{Deserialize, Serialize};

pub use cause::Cause;

use crate::oracle::verdict::Difference;

/// The maximum number of differences in a signature; later ones usually follow from these.
const SIGNATURE_PARTS_MAX: usize = 3;

/// The maximum length of one part of a signature, in characters.
const PART_CHARACTERS_MAX: usize = 120;

/// The common properties of divergences of one group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// The kind of divergence.
    pub kind: String,
    /// The operation.
    pub operation: String,
    /// What differs, without numbers.
    pub signature: String,
}

impl Group {
    /// Returns the group of a divergence; `reason` is used if there are no differences.
    pub fn new(kind: &str, operation: &str, differences: &[Difference], reason: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            operation: operation.to_owned(),
            signature: signature(differences, reason),
        }
    }

    /// The same group by today's rule: one that an earlier version wrote down may have files' names in its signature.
    pub fn of_today(&self) -> Self {
        Self {
            signature: role::named_by_roles(&self.signature),
            ..self.clone()
        }
    }

    /// Returns the group in one line.
    pub fn title(&self) -> String {
        format!("{} in {}: {}", self.kind, self.operation, self.signature)
    }
}

fn signature(differences: &[Difference], reason: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    for difference in differences {
        let part = plain(&part(difference));
        if parts.len() < SIGNATURE_PARTS_MAX && !parts.contains(&part) {
            parts.push(part);
        }
    }
    if parts.is_empty() {
        parts.push(plain(reason));
    }
    parts.join("; ")
}

/// Returns a text without what is specific to one case.
fn plain(text: &str) -> String {
    without_numbers(&role::named_by_roles(&without_places(text)))
}

/// Exits are distinguished by the tools' messages, values by their places.
fn part(difference: &Difference) -> String {
    let Difference {
        subject,
        candidate,
        reference,
        ..
    } = difference;
    if subject.is_exit() {
        format!("{subject} (candidate {candidate}, reference {reference})")
    } else {
        subject.to_string()
    }
}

/// Returns a text without the directories of files, which differ in every run.
fn without_places(text: &str) -> String {
    let mut plain = text.to_owned();
    for side in ["/candidate/", "/reference/"] {
        while let Some(end) = plain.find(side) {
            let begins_word = |letter: char| letter.is_whitespace() || "\"'(=:".contains(letter);
            // A blank may have more than one byte.
            let before = plain[..end].char_indices();
            let start = before
                .rev()
                .find(|(_, letter)| begins_word(*letter))
                .map_or(0, |(place, letter)| place + letter.len_utf8());
            plain.replace_range(start..end + side.len(), "");
        }
    }
    plain
}

/// Replaces every number, including hexadecimal ones, by `N`; digits at the end of a word, as in `qcow2`, belong to the
/// word.
fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if !letter.is_ascii_digit()
            || plain.ends_with(|last: char| last.is_ascii_alphabetic() && last != 'N')
        {
            plain.push(letter);
            continue;
        }
        let is_hexadecimal = letter == '0' && letters.next_if_eq(&'x').is_some();
        let is_digit = |next: &char| match is_hexadecimal {
            true => next.is_ascii_hexdigit(),
            false => next.is_ascii_digit(),
        };
        while letters.next_if(is_digit).is_some() {}
        // A point belongs to a number if digits follow.
        let is_decimal = |mut rest: std::iter::Peekable<std::str::Chars<'_>>| {
            rest.next() == Some('.') && rest.next().is_some_and(|next| next.is_ascii_digit())
        };
        while !is_hexadecimal && is_decimal(letters.clone()) {
            letters.next();
            while letters.next_if(is_digit).is_some() {}
        }
        plain.push('N');
    }
    if plain.chars().count() > PART_CHARACTERS_MAX {
        plain = plain.chars().take(PART_CHARACTERS_MAX - 1).collect();
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests;
