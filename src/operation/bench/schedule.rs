//! Simpler words of one `bench`: what can be left out of a schedule, and what can be made smaller.
//!
//! What is left out means qemu-img's default for it (qemu-img(1), bench); the number of requests stays, because its
//! default would take seconds.

use super::requests;
use crate::base::simpler;
use crate::image::format::Format;
use crate::image::validity::{self, Validity};

/// The flags that may be left out, with how many words each has.
const FLAGS: [(&str, usize); 8] = [
    ("--no-drain", 1),
    ("--flush-interval", 2),
    ("-w", 1),
    ("-o", 2),
    ("-S", 2),
    ("-d", 2),
    ("--pattern", 2),
    ("-s", 2),
];

/// The flags that any schedule has.
const NECESSARY: [&str; 2] = ["-f", "-c"];

/// More requests than this are not made in one invocation.
const REQUESTS_MAX: u64 = 1 << 20;

/// What is wrong with the words of an invocation.
pub(super) fn validity(words: &[String]) -> Validity {
    let mut rest = words.iter();
    while let Some(flag) = rest.next() {
        let length = FLAGS.iter().find(|(known, _)| known == flag);
        let is_single = length.is_some_and(|(_, length)| *length == 1);
        if is_single {
            continue;
        }
        if length.is_none() && !NECESSARY.contains(&flag.as_str()) {
            let known = FLAGS.map(|(flag, _)| flag).join(", ");
            return Err(format!(
                " has the word '{}': write -f, -c, {known}",
                flag.escape_debug()
            ));
        }
        let value = rest.next().map_or("", String::as_str);
        if flag == "-f" {
            let formats: Vec<&str> = Format::all().map(Format::name).collect();
            validity::word(" has a format that", value, &formats)?;
        } else if validity::plain_number(value).is_none_or(|number| number > validity::BYTES_MAX) {
            return Err(format!(
                " has '{}' behind {flag}: write a number up to {}",
                value.escape_debug(),
                validity::BYTES_MAX
            ));
        }
    }
    let count = words.iter().position(|word| word == "-c");
    let count = count.and_then(|place| words.get(place + 1)?.parse().ok());
    validity::number(
        " asks for as many requests as -c says, which",
        count.unwrap_or(0),
        1..=REQUESTS_MAX,
    )?;
    let last = requests(words)
        .last()
        .map_or(Ok(()), |write| validity::range(write.offset, write.length));
    validity::at(" with a last request that", last)?;
    validity::written(
        " has requests that",
        requests(words).map(|write| write.length),
    )
}

/// Simpler versions of the words of an invocation.
pub(super) fn simpler(words: &[String]) -> Vec<Vec<String>> {
    let without = FLAGS.iter().filter_map(|(flag, length)| {
        let place = words.iter().position(|word| word == flag)?;
        let mut fewer = words.to_vec();
        fewer.drain(place..(place + length).min(words.len()));
        Some(fewer)
    });
    let count = words.iter().position(|word| word == "-c");
    let smaller = count.into_iter().flat_map(|flag| {
        let number = words.get(flag + 1).and_then(|word| word.parse().ok());
        let numbers = simpler::numbers(number.unwrap_or(0), &[1, 2]);
        numbers.into_iter().map(move |number| {
            let mut words = words.to_vec();
            words[flag + 1] = number.to_string();
            words
        })
    });
    without.chain(smaller).collect()
}

/// How many flags there are beyond the necessary ones.
pub(super) fn flags(words: &[String]) -> usize {
    let is_flag = |word: &&String| {
        word.starts_with('-') && !NECESSARY.contains(&word.as_str()) && word.parse::<i64>().is_err()
    };
    words.iter().filter(is_flag).count()
}
