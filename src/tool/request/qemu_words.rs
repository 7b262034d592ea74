//! Parts of requests as arguments of qemu-img, and back.
//!
//! Used by qemu-img and instar, which have the same dialect; by version 1 of the adapter protocol; and by the JSON of
//! cases, which has had these arguments since the Python harness. Invalid arguments are refused with an error of one
//! line. All other code uses the typed parts.

use crate::image::bitmap_action::BitmapAction;
use crate::image::format::Format;
use crate::image::options::OptionValue;
use crate::image::validity;
use crate::tool::request::{BenchPlan, RebaseMode, SnapshotAction, SnapshotKey, Window};

/// A part that can be written as arguments of qemu-img.
pub trait InWords: Sized {
    /// Returns the arguments.
    fn words(&self) -> Vec<String>;

    /// Parses the arguments; the error describes what is wrong and what is valid.
    fn read(words: &[String]) -> Result<Self, String>;
}

/// For `#[serde(with)]`: a list of arguments.
pub mod as_words {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::InWords;

    /// Serializes the arguments.
    pub fn serialize<T: InWords, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.words().serialize(serializer)
    }

    /// Deserializes the arguments.
    pub fn deserialize<'de, T: InWords, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let words = Vec::<String>::deserialize(deserializer)?;
        T::read(&words).map_err(serde::de::Error::custom)
    }
}

/// For `#[serde(with)]`: a list of arguments, or nothing.
pub mod as_words_or_nothing {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::InWords;

    /// Serializes the arguments.
    pub fn serialize<T: InWords, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().map(InWords::words).serialize(serializer)
    }

    /// Deserializes the arguments.
    pub fn deserialize<'de, T: InWords, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let words = Option::<Vec<String>>::deserialize(deserializer)?;
        let read = words.map(|words| T::read(&words)).transpose();
        read.map_err(serde::de::Error::custom)
    }
}

/// Flags and their values, one after the other.
struct Flags<'words> {
    rest: std::slice::Iter<'words, String>,
}

impl<'words> Flags<'words> {
    fn new(words: &'words [String]) -> Self {
        Self { rest: words.iter() }
    }

    fn next(&mut self) -> Option<&'words str> {
        self.rest.next().map(String::as_str)
    }

    fn value(&mut self, flag: &str) -> Result<&'words str, String> {
        let missing = || format!("there is nothing behind {flag}: write its value");
        self.next().ok_or_else(missing)
    }

    fn number(&mut self, flag: &str) -> Result<u64, String> {
        let value = self.value(flag)?;
        let number = validity::plain_number(value).filter(|number| *number <= validity::BYTES_MAX);
        number.ok_or_else(|| {
            format!(
                "there is '{}' behind {flag}: write a number up to {}",
                value.escape_debug(),
                validity::BYTES_MAX
            )
        })
    }
}

/// Stores the value of a flag, which may be given once.
fn put<T>(place: &mut Option<T>, flag: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{flag} is given twice")),
    }
}

fn unknown<T>(flag: &str, known: &str) -> Result<T, String> {
    Err(format!(
        "there is the word '{}': write {known}",
        flag.escape_debug()
    ))
}

/// Returns a flag with its value, if there is one.
fn flag(name: &str, value: Option<u64>) -> Vec<String> {
    let given = value.map(|value| [name.to_owned(), value.to_string()]);
    given.into_iter().flatten().collect()
}

/// `qemu-img map`.
impl InWords for Window {
    fn words(&self) -> Vec<String> {
        [
            flag("--start-offset", self.start),
            flag("--max-length", self.length),
        ]
        .concat()
    }

    fn read(words: &[String]) -> Result<Self, String> {
        let (mut window, mut flags) = (Self::default(), Flags::new(words));
        while let Some(flag) = flags.next() {
            let place = match flag {
                "--start-offset" => &mut window.start,
                "--max-length" => &mut window.length,
                _ => return unknown(flag, "--start-offset, --max-length"),
            };
            put(place, flag, flags.number(flag)?)?;
        }
        Ok(window)
    }
}

/// `qemu-img bitmap`.
impl InWords for Vec<BitmapAction> {
    fn words(&self) -> Vec<String> {
        let words = |action: &BitmapAction| match action {
            BitmapAction::Add { granularity } => {
                [vec!["--add".to_owned()], flag("-g", *granularity)].concat()
            }
            BitmapAction::Remove => vec!["--remove".to_owned()],
            BitmapAction::Clear => vec!["--clear".to_owned()],
            BitmapAction::Enable => vec!["--enable".to_owned()],
            BitmapAction::Disable => vec!["--disable".to_owned()],
            BitmapAction::Merge { source } => vec!["--merge".to_owned(), source.clone()],
        };
        self.iter().flat_map(words).collect()
    }

    fn read(words: &[String]) -> Result<Self, String> {
        let (mut actions, mut flags) = (Self::new(), Flags::new(words));
        while let Some(flag) = flags.next() {
            actions.push(match flag {
                "--add" => BitmapAction::Add { granularity: None },
                "--remove" => BitmapAction::Remove,
                "--clear" => BitmapAction::Clear,
                "--enable" => BitmapAction::Enable,
                "--disable" => BitmapAction::Disable,
                "--merge" => BitmapAction::Merge {
                    source: flags.value(flag)?.to_owned(),
                },
                "-g" => {
                    let bytes = flags.number(flag)?;
                    match actions.last_mut() {
                        Some(BitmapAction::Add { granularity }) => put(granularity, flag, bytes)?,
                        _ => return Err("-g stands apart: write it behind --add".to_owned()),
                    }
                    continue;
                }
                _ => {
                    return unknown(
                        flag,
                        "--add, -g, --remove, --clear, --enable, --disable, --merge",
                    );
                }
            });
        }
        Ok(actions)
    }
}

/// `qemu-img bench`, without the image's format.
impl InWords for BenchPlan {
    fn words(&self) -> Vec<String> {
        let mut words = [
            flag("-c", Some(self.count)),
            flag("-d", self.depth),
            flag("-s", self.length),
            flag("-S", self.stride),
            flag("--pattern", self.byte.map(u64::from)),
            flag("-o", self.offset),
        ]
        .concat();
        words.extend(self.writes.then(|| "-w".to_owned()));
        words.extend(flag("--flush-interval", self.flush_interval));
        words.extend(self.no_drain.then(|| "--no-drain".to_owned()));
        words
    }

    fn read(words: &[String]) -> Result<Self, String> {
        let (mut plan, mut flags) = (Self::default(), Flags::new(words));
        let mut count = None;
        while let Some(flag) = flags.next() {
            let place = match flag {
                "-w" => {
                    plan.writes = true;
                    continue;
                }
                "--no-drain" => {
                    plan.no_drain = true;
                    continue;
                }
                "--pattern" => {
                    let byte = u8::try_from(flags.number(flag)?);
                    let byte = byte.map_err(|_| "--pattern is a byte: write 0 to 255".to_owned());
                    put(&mut plan.byte, flag, byte?)?;
                    continue;
                }
                "-c" => &mut count,
                "-d" => &mut plan.depth,
                "-s" => &mut plan.length,
                "-S" => &mut plan.stride,
                "-o" => &mut plan.offset,
                "--flush-interval" => &mut plan.flush_interval,
                _ => {
                    let known = "-c, -d, -s, -S, --pattern, -o, -w, --flush-interval, --no-drain";
                    return unknown(flag, known);
                }
            };
            put(place, flag, flags.number(flag)?)?;
        }
        plan.count = count.ok_or("there is no -c: write the number of requests behind it")?;
        Ok(plan)
    }
}

/// Returns the argument of `qemu-img snapshot -a`, `-d` and `convert -l` for a snapshot (qemu-img(1), SNAPSHOT_PARAM).
pub fn snapshot(key: &SnapshotKey) -> String {
    match key {
        SnapshotKey::Name(name) => format!("snapshot.name={name}"),
        SnapshotKey::Id(id) => format!("snapshot.id={id}"),
        SnapshotKey::IdAndName { id, name } => format!("snapshot.id={id},snapshot.name={name}"),
        SnapshotKey::IdOrName(word) => word.clone(),
    }
}

/// Returns the arguments of `qemu-img snapshot`: the action and the snapshot. A new snapshot is given by its name
/// alone.
pub fn snapshot_change(action: SnapshotAction, key: &SnapshotKey) -> [String; 2] {
    let (flag, word) = match (action, key) {
        (SnapshotAction::Create, SnapshotKey::Name(name)) => ("-c", name.clone()),
        (SnapshotAction::Create, key) => ("-c", snapshot(key)),
        (SnapshotAction::Delete, key) => ("-d", snapshot(key)),
        (SnapshotAction::Apply, key) => ("-a", snapshot(key)),
    };
    [flag.to_owned(), word]
}

/// `qemu-img rebase`, without `-b`.
impl InWords for RebaseMode {
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(self.is_unsafe.then(|| "-u".to_owned()));
        let format = self.backing_format.iter();
        words.extend(format.flat_map(|format| ["-F".to_owned(), format.to_string()]));
        words.extend(self.compresses.then(|| "-c".to_owned()));
        words
    }

    fn read(words: &[String]) -> Result<Self, String> {
        let (mut mode, mut flags) = (Self::default(), Flags::new(words));
        while let Some(flag) = flags.next() {
            match flag {
                "-u" => mode.is_unsafe = true,
                "-c" => mode.compresses = true,
                "-F" => {
                    let format = Format::read(flags.value(flag)?);
                    let format = format.map_err(|expected| format!("-F: write {expected}"))?;
                    put(&mut mode.backing_format, flag, format)?;
                }
                _ => return unknown(flag, "-u, -F, -c"),
            }
        }
        Ok(mode)
    }
}

#[cfg(test)]
mod tests;
