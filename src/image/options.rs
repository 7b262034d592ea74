//! The options to create or amend an image with, each with a typed value.
//!
//! Cases store them in order as `NAME=VALUE`, in the syntax of `qemu-img create -o`. They are parsed once, when a case is read; parsing refuses
//! unknown names and invalid values. Operations, models and tools then use the typed values. This module does not know which options a tool's
//! build supports, or how the tool receives them.

pub mod as_object;
mod table;
mod validity;
mod value;

pub use table::{CreateOption, CreateOptions};
pub use value::{Compat, Compression, Encryption, OptionValue, Preallocation, Subformat};

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Options that state a default.
const DEFAULTS: [CreateOption; 7] = [
    CreateOption::ClusterSize(65536),
    CreateOption::Compat(Compat::Version3),
    CreateOption::RefcountBits(16),
    CreateOption::LazyRefcounts(false),
    CreateOption::ExtendedL2(false),
    CreateOption::Subformat(Subformat::MonolithicSparse),
    CreateOption::Preallocation(Preallocation::Off),
];

impl CreateOption {
    /// Parses `NAME=VALUE`. The error says what is wrong, and which values are allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown = text.escape_debug();
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("the option '{shown}' has no value: write NAME=VALUE"))?;
        match Self::read(name, value) {
            Some(Ok(option)) => Ok(option),
            Some(Err(expected)) => Err(format!("the option '{shown}': write {expected}")),
            None => Err(format!(
                "the option '{shown}': there is no option of this name that a case may set"
            )),
        }
    }
}

impl TryFrom<String> for CreateOption {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<CreateOption> for String {
    fn from(option: CreateOption) -> Self {
        option.to_string()
    }
}

impl fmt::Display for CreateOption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.name(), self.value())
    }
}

impl CreateOptions {
    /// No options.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Iterates over the options, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, CreateOption> {
        self.0.iter()
    }

    /// The options, in order.
    pub fn as_slice(&self) -> &[CreateOption] {
        &self.0
    }

    /// Whether there are no options.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all options.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The number of options.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this option is present with this value.
    pub fn contains(&self, option: &CreateOption) -> bool {
        self.0.contains(option)
    }

    /// Appends an option.
    pub fn push(&mut self, option: CreateOption) {
        self.0.push(option);
    }

    /// Removes the options for which `is_kept` returns false.
    pub fn retain(&mut self, is_kept: impl FnMut(&CreateOption) -> bool) {
        self.0.retain(is_kept);
    }

    /// Replaces the values of the options in `others`, or adds them. They then come after all other options.
    pub fn amend(&mut self, others: &Self) {
        let is_amended = |option: &CreateOption| others.iter().any(|it| it.name() == option.name());
        self.0.retain(|option| !is_amended(option));
        self.0.extend(others.iter().cloned());
    }

    /// How many options differ from the default.
    pub fn beyond_defaults(&self) -> usize {
        let beyond = |option: &&CreateOption| !DEFAULTS.contains(option);
        self.iter().filter(beyond).count()
    }

    /// Whether a qcow2 image with these options has version 2.
    pub fn is_version_2(&self) -> bool {
        self.compat() == Some(Compat::Version2)
    }

    /// Whether a qcow2 image with these options has extended L2 entries, that is, subclusters.
    pub fn has_extended_l2(&self) -> bool {
        self.extended_l2() == Some(true)
    }

    /// The width of a refcount in bits in a qcow2 image with these options; 16 by default.
    pub fn refcount_width(&self) -> u64 {
        self.refcount_bits().unwrap_or(16)
    }

    /// Whether the options preallocate anything.
    pub fn preallocates(&self) -> bool {
        self.preallocation()
            .is_some_and(|mode| mode != Preallocation::Off)
    }

    /// Parses a list of `NAME=VALUE`. Fails if a name occurs twice, or if an option is invalid.
    pub fn parse<Text: AsRef<str>>(texts: &[Text]) -> Result<Self, String> {
        let mut options = Self::new();
        for text in texts {
            let option = CreateOption::parse(text.as_ref())?;
            if options.iter().any(|other| other.name() == option.name()) {
                return Err(format!("the option '{}' is given twice", option.name()));
            }
            options.push(option);
        }
        Ok(options)
    }
}

impl From<Vec<CreateOption>> for CreateOptions {
    fn from(options: Vec<CreateOption>) -> Self {
        Self(options)
    }
}

impl<const N: usize> From<[CreateOption; N]> for CreateOptions {
    fn from(options: [CreateOption; N]) -> Self {
        Self(options.into())
    }
}

impl FromIterator<CreateOption> for CreateOptions {
    fn from_iter<Options: IntoIterator<Item = CreateOption>>(options: Options) -> Self {
        Self(options.into_iter().collect())
    }
}

impl Extend<CreateOption> for CreateOptions {
    fn extend<Options: IntoIterator<Item = CreateOption>>(&mut self, options: Options) {
        self.0.extend(options);
    }
}

impl Serialize for CreateOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(ToString::to_string))
    }
}

impl<'de> Deserialize<'de> for CreateOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Self::parse(&texts).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
