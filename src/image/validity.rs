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

/// The options that an image may be created or amended with: those that name other files are the harness's own.
const OPTION_NAMES: [&str; 27] = [
    "adapter_type",
    "block_size",
    "block_state_zero",
    "cluster_size",
    "compat",
    "compat6",
    "compression_type",
    "data_file",
    "data_file_raw",
    "encrypt.cipher-alg",
    "encrypt.cipher-mode",
    "encrypt.format",
    "encrypt.hash-alg",
    "encrypt.iter-time",
    "encrypt.ivgen-alg",
    "encrypt.ivgen-hash-alg",
    "extended_l2",
    "force_size",
    "hwversion",
    "lazy_refcounts",
    "log_size",
    "preallocation",
    "refcount_bits",
    "static",
    "subformat",
    "toolsversion",
    "zeroed_grain",
];

/// The flags of `qemu-img bitmap` that have no value.
const BITMAP_FLAGS: [&str; 5] = ["--add", "--remove", "--clear", "--enable", "--disable"];

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

/// A granularity in bytes, as `qemu-img bitmap -g` takes it.
pub fn granularity(name: &str, text: &str) -> Validity {
    let granularity = plain_number(text).filter(|bytes| bytes.is_power_of_two());
    match granularity.filter(|bytes| (512..=1 << 31).contains(bytes)) {
        Some(_) => Ok(()),
        None => Err(format!(
            "{name} has the granularity '{}': write a power of two from 512 to 2147483648, in bytes",
            text.escape_debug()
        )),
    }
}

/// The flags of `qemu-img bitmap`, without the bitmap's name.
pub fn bitmap_flags(flags: &[String]) -> Validity {
    let mut words = flags.iter();
    while let Some(flag) = words.next() {
        let value = |value: Option<&String>| {
            let missing = || format!(" has nothing behind {flag}: write its value");
            value.cloned().ok_or_else(missing)
        };
        match flag.as_str() {
            "-g" => granularity("", &value(words.next())?)?,
            "--merge" => name(" merges a bitmap whose name", &value(words.next())?)?,
            flag => word(" has a flag that", flag, &BITMAP_FLAGS)?,
        }
    }
    Ok(())
}

/// The options of an image: each a name that is known and a plain value. A value may name no file, and a comma would begin another
/// option.
pub fn options(name: &str, options: &[String]) -> Validity {
    each(name, options, |option| {
        let shown = option.escape_debug();
        let wrong = |why: &str| Err(format!(" is '{shown}': {why}"));
        let Some((key, value)) = option.split_once('=') else {
            return wrong("write NAME=VALUE");
        };
        if !OPTION_NAMES.contains(&key) {
            return wrong("there is no option of this name that a case may set");
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if value.is_empty() || !value.bytes().all(is_plain) {
            return wrong("write a value of letters, digits, dots and dashes");
        }
        match (key, plain_number(value)) {
            ("cluster_size", Some(bytes)) => cluster_size("", bytes)
                .or_else(|_| wrong("write a power of two from 512 to 67108864, in bytes")),
            ("cluster_size", None) => wrong("write a power of two from 512 to 67108864, in bytes"),
            ("data_file", _) if value != "beside" => {
                wrong("write data_file=beside: the file is named after its image")
            }
            _ => Ok(()),
        }
    })
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
