//! Simpler words of one `bench`: what can be left out of a schedule, and what can be made smaller.
//!
//! What is left out means qemu-img's default for it (qemu-img(1), bench); the number of requests stays, because its
//! default would take seconds.

use crate::simpler;

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
