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
mod tests {
    use super::*;

    #[test]
    fn a_blank_of_several_bytes_begins_a_word_too() {
        let told = "cannot open\u{3000}/x/candidate/a.qcow2";
        assert_eq!(without_places(told), "cannot open\u{3000}a.qcow2");
    }

    #[test]
    fn numbers_do_not_count() {
        assert_eq!(
            without_numbers("byte 0x1f00 of 4096 after 1.25 s"),
            "byte N of N after N s"
        );
        assert_eq!(
            without_numbers("exit 1. release 10.0.2, 4."),
            "exit N. release N, N."
        );
    }

    #[test]
    fn the_way_to_a_file_does_not_count() {
        assert_eq!(
            without_places("no file \"/dev/shm/imgduel-1f.2-case-re4yeN/candidate/base.raw\""),
            "no file \"base.raw\""
        );
        assert_eq!(without_places("/scratch/reference/a.raw"), "a.raw");
        assert_eq!(
            without_places("a candidate/reference"),
            "a candidate/reference"
        );
    }

    #[test]
    fn a_long_part_is_cut() {
        assert_eq!(without_numbers(&"x".repeat(500)).chars().count(), 120);
    }

    #[test]
    fn the_images_of_a_chain_are_one_whatever_their_numbers() {
        let group = |file: &str| {
            let what = format!("contents of {file}: byte at guest offset 4096");
            let difference = Difference::written(&what, "0x00", "0x1a");
            Group::new("chain_content_divergence", "chain", &[difference], "")
        };
        let first = group("0-chain-0.qcow2");
        assert_eq!(
            first.signature,
            "contents of chain.qcow2: byte at guest offset N"
        );
        assert_eq!(group("0-chain-c0.qcow2"), first);
        assert_eq!(group("3-chain-2.qcow2"), first);
        assert_ne!(group("0-chain-0.vmdk"), first);
    }

    #[test]
    fn a_group_that_an_earlier_version_wrote_down_is_todays() {
        let old = |signature: &str| {
            let signature = signature.to_owned();
            let group = Group {
                kind: "k".to_owned(),
                operation: "chain".to_owned(),
                signature,
            };
            group.of_today().signature
        };
        let today = "contents of chain.qcow2: byte at guest offset N";
        assert_eq!(
            old("contents of N-chain-Nqcow2: byte at guest offset N"),
            today
        );
        assert_eq!(
            old("contents of N-chain-c0.qcow2: byte at guest offset N"),
            today
        );
        assert_eq!(old(today), today);
    }

    #[test]
    fn the_same_difference_at_another_place_is_the_same_group() {
        let at = |place: &str, value: &str| {
            let difference = Difference::written(&format!("contents at {place}"), value, "0x00");
            Group::new("convert_content_divergence", "convert", &[difference], "")
        };
        assert_eq!(at("4096", "0x12"), at("8192", "0xff"));
        let elsewhere = Difference::written("refcount-bits", "1", "16");
        let elsewhere = Group::new("convert_content_divergence", "convert", &[elsewhere], "");
        assert_ne!(at("4096", "0x12"), elsewhere);
    }
}
