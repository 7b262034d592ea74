//! What a case out of a file may hold: numbers that can be reckoned with, words that mean what they say.
//!
//! Whatever a generation draws, a mutation makes and the shrinker leaves is valid; a file may hold anything. Every part of a case says
//! by these what is wrong with it, in one line that tells the place, what is there, and what may be. Whether a valid case makes sense
//! to a tool is not asked here: a step that reaches beyond an image's end is valid.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::image::content::Write;

/// Nothing, or what is wrong: where, and what would be right.
pub type Validity = Result<(), String>;

/// The largest size or offset, in bytes: tools take signed numbers of 64 bits.
pub const BYTES_MAX: u64 = i64::MAX as u64;

/// How much one list of guest writes may write, in bytes: what is written is reckoned with in memory.
pub const WRITTEN_BYTES_MAX: u64 = 1 << 29;

/// The cluster sizes of qcow2 and other formats, in bytes.
const CLUSTER_BYTES: RangeInclusive<u64> = 512..=64 << 20;

/// The same, with the place put before what is wrong.
pub fn at(place: impl Display, validity: Validity) -> Validity {
    validity.map_err(|why| match why.strip_prefix(' ') {
        Some(why) => format!("{place} {why}"),
        None => format!("{place}.{why}"),
    })
}

/// Each of a list, with its place.
pub fn each<T>(name: &str, list: &[T], validity: impl Fn(&T) -> Validity) -> Validity {
    let mut places = list.iter().enumerate();
    places.try_for_each(|(index, part)| at(format!("{name}[{index}]"), validity(part)))
}

/// A list that has to have something in it.
pub fn not_empty<T>(name: &str, list: &[T]) -> Validity {
    match list {
        [] => Err(format!("{name} is empty: write at least one")),
        _ => Ok(()),
    }
}

/// A number within bounds.
pub fn number(name: &str, number: u64, bounds: RangeInclusive<u64>) -> Validity {
    if bounds.contains(&number) {
        return Ok(());
    }
    let (least, most) = (bounds.start(), bounds.end());
    Err(format!("{name} is {number}: write {least} to {most}"))
}

/// A size in bytes, or an offset.
pub fn bytes(name: &str, bytes: u64) -> Validity {
    number(name, bytes, 0..=BYTES_MAX)
}

/// A range of bytes that ends before [`BYTES_MAX`].
pub fn range(offset: u64, length: u64) -> Validity {
    let end = offset.checked_add(length);
    if end.is_some_and(|end| end <= BYTES_MAX) {
        return Ok(());
    }
    Err(format!(
        " has an offset of {offset} and a length of {length}: write numbers that come to at most {BYTES_MAX}"
    ))
}

/// Guest writes.
pub fn writes(name: &str, writes: &[Write]) -> Validity {
    each(name, writes, |write| range(write.offset, write.length))?;
    written(name, writes.iter().map(|write| write.length))
}

/// What is written in all, by its lengths.
pub fn written(name: &str, lengths: impl Iterator<Item = u64>) -> Validity {
    let all = lengths.fold(0_u64, u64::saturating_add);
    if all <= WRITTEN_BYTES_MAX {
        return Ok(());
    }
    Err(format!(
        "{name} write {all} bytes: write at most {WRITTEN_BYTES_MAX} in all"
    ))
}

/// A word out of a list.
pub fn word(name: &str, word: &str, known: &[&str]) -> Validity {
    if known.contains(&word) {
        return Ok(());
    }
    let known = known.join(", ");
    Err(format!(
        "{name} is '{}': write one of {known}",
        word.escape_debug()
    ))
}

/// A word of small letters, digits and underscores: it may become part of a file's name.
pub fn identifier(name: &str, word: &str) -> Validity {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !word.is_empty() && word.len() <= 200 && word.bytes().all(is_letter) {
        return Ok(());
    }
    Err(format!(
        "{name} is '{}': write small letters, digits and underscores",
        word.chars().take(40).collect::<String>().escape_debug()
    ))
}

/// A cluster size in bytes.
pub fn cluster_size(name: &str, bytes: u64) -> Validity {
    if bytes.is_power_of_two() && CLUSTER_BYTES.contains(&bytes) {
        return Ok(());
    }
    let (least, most) = (CLUSTER_BYTES.start(), CLUSTER_BYTES.end());
    Err(format!(
        "{name} is {bytes}: write a power of two from {least} to {most}, in bytes"
    ))
}

/// The granularity of a bitmap in bytes.
pub fn granularity(name: &str, bytes: u64) -> Validity {
    match bytes.is_power_of_two() && (512..=1 << 31).contains(&bytes) {
        true => Ok(()),
        false => Err(format!(
            "{name} has the granularity '{bytes}': write a power of two from 512 to 2147483648, in bytes"
        )),
    }
}

/// A name on a tool's command line: not taken for a flag, and within what the formats have room for.
pub fn name(what: &str, name: &str) -> Validity {
    let is_word = !name.is_empty() && name.len() <= 1023 && !name.starts_with('-');
    if is_word && !name.contains(['\0', '\n']) {
        return Ok(());
    }
    Err(format!(
        "{what} is '{}': write a name of 1 to 1023 bytes that does not begin with a dash, in one line",
        name.chars().take(40).collect::<String>().escape_debug()
    ))
}

/// Decimal digits, and a number of at most 64 bits.
pub fn plain_number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}
