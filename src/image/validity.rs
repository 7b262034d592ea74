//! Checks of a case that was read from a file: numbers that cannot overflow, and words from known lists.
//!
//! Cases from generations, mutations and the shrinker are valid; a file may hold anything. Every part of a case checks itself with these
//! functions. An error is one line with the place in the file, the value found there, and the values that are allowed. A valid case need not
//! make sense to a tool: a step beyond the end of an image is valid.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::image::content::Write;

/// `Ok`, or one line that says where the case is wrong and what would be right. The line begins with a space if its subject, the place, is to
/// be put before it by [`at`].
pub type Validity = Result<(), String>;

/// The largest size or offset, in bytes: tools use signed 64-bit numbers.
pub const BYTES_MAX: u64 = i64::MAX as u64;

/// The most bytes that one list of guest writes may write in total: the expected contents are computed in memory.
pub const WRITTEN_BYTES_MAX: u64 = 1 << 29;

/// The cluster sizes that qcow2 and the other formats allow, in bytes.
const CLUSTER_BYTES: RangeInclusive<u64> = 512..=64 << 20;

/// Prefixes an error with the place where it occurred.
pub fn at(place: impl Display, validity: Validity) -> Validity {
    validity.map_err(|why| match why.strip_prefix(' ') {
        Some(why) => format!("{place} {why}"),
        None => format!("{place}.{why}"),
    })
}

/// Checks each element of a list; an error names the list and the element's index.
pub fn each<T>(name: &str, list: &[T], validity: impl Fn(&T) -> Validity) -> Validity {
    let mut places = list.iter().enumerate();
    places.try_for_each(|(index, part)| at(format!("{name}[{index}]"), validity(part)))
}

/// Checks that a list is not empty.
pub fn not_empty<T>(name: &str, list: &[T]) -> Validity {
    match list {
        [] => Err(format!("{name} is empty: write at least one")),
        _ => Ok(()),
    }
}

/// Checks that a number lies within bounds.
pub fn number(name: &str, number: u64, bounds: RangeInclusive<u64>) -> Validity {
    if bounds.contains(&number) {
        return Ok(());
    }
    let (least, most) = (bounds.start(), bounds.end());
    Err(format!("{name} is {number}: write {least} to {most}"))
}

/// Checks a size or an offset, in bytes.
pub fn bytes(name: &str, bytes: u64) -> Validity {
    number(name, bytes, 0..=BYTES_MAX)
}

/// Checks that a range of bytes ends at or below [`BYTES_MAX`].
pub fn range(offset: u64, length: u64) -> Validity {
    let end = offset.checked_add(length);
    if end.is_some_and(|end| end <= BYTES_MAX) {
        return Ok(());
    }
    Err(format!(
        " has an offset of {offset} and a length of {length}: write numbers that come to at most {BYTES_MAX}"
    ))
}

/// Checks the ranges and the total length of guest writes.
pub fn writes(name: &str, writes: &[Write]) -> Validity {
    each(name, writes, |write| range(write.offset, write.length))?;
    written(name, writes.iter().map(|write| write.length))
}

/// Checks that writes of these lengths come to at most [`WRITTEN_BYTES_MAX`].
pub fn written(name: &str, lengths: impl Iterator<Item = u64>) -> Validity {
    let all = lengths.fold(0_u64, u64::saturating_add);
    if all <= WRITTEN_BYTES_MAX {
        return Ok(());
    }
    Err(format!(
        "{name} come to {all} bytes: write at most {WRITTEN_BYTES_MAX} in total"
    ))
}

/// Checks that a word is in the list `known`.
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

/// Checks that a word has lowercase letters, digits and underscores only, because it may become part of a file name.
pub fn identifier(name: &str, word: &str) -> Validity {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !word.is_empty() && word.len() <= 200 && word.bytes().all(is_letter) {
        return Ok(());
    }
    Err(format!(
        "{name} is '{}': write lowercase letters, digits and underscores",
        word.chars().take(40).collect::<String>().escape_debug()
    ))
}

/// Checks a cluster size in bytes.
pub fn cluster_size(name: &str, bytes: u64) -> Validity {
    if bytes.is_power_of_two() && CLUSTER_BYTES.contains(&bytes) {
        return Ok(());
    }
    let (least, most) = (CLUSTER_BYTES.start(), CLUSTER_BYTES.end());
    Err(format!(
        "{name} is {bytes}: write a power of two from {least} to {most}, in bytes"
    ))
}

/// Checks the granularity of a bitmap, in bytes.
pub fn granularity(name: &str, bytes: u64) -> Validity {
    match bytes.is_power_of_two() && (512..=1 << 31).contains(&bytes) {
        true => Ok(()),
        false => Err(format!(
            "{name} has the granularity '{bytes}': write a power of two from 512 to 2147483648, in bytes"
        )),
    }
}

/// Checks a name on a tool's command line: it must not look like a flag, and must fit into the formats' fields.
pub fn name(what: &str, name: &str) -> Validity {
    let is_word = !name.is_empty() && name.len() <= 1023 && !name.starts_with('-');
    if is_word && !name.contains(['\0', '\n']) {
        return Ok(());
    }
    Err(format!(
        "{what} is '{}': write a name of 1 to 1023 bytes, without line feeds, that does not begin with a dash",
        name.chars().take(40).collect::<String>().escape_debug()
    ))
}

/// Parses decimal digits without a sign; `None` for any other text, and for numbers over 64 bits.
pub fn plain_number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}
