//! `imgduel.toml`: settings that a package keeps, for the command and the test target alike.
//!
//! The reader of the command line asks for them and makes them defaults, so that the environment and flags win. A key is the long name of a flag without its
//! dashes; `[profile.NAME]` holds what `--profile NAME` puts over the rest. This module parses and places the file; whether a value fits its flag is checked
//! where the flags are known.

use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, Key, Table, Value};

use crate::base::error::{Error, Result};

/// The name of the file.
pub const NAME: &str = "imgduel.toml";

/// The table of the profiles.
const PROFILES: &str = "profile";

/// The settings whose values are paths, relative to the file.
const PATHS: [&str; 12] = [
    "workdir",
    "cache",
    "catalogue",
    "findings",
    "json",
    "summary",
    "junit",
    "html",
    "seeds",
    "records",
    "corpus",
    "log-dir",
];

/// A setting of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name of the flag, without its dashes.
    pub key: String,
    /// Its values; more than one if the file has a list.
    pub values: Vec<String>,
    /// Where it stands: the file and the line, as `imgduel.toml:3`.
    pub place: String,
}

/// A file of settings.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    text: String,
    document: Document<String>,
}

impl ConfigFile {
    /// Finds the file for a program that works in `directory`: there, or above it in a directory with a `Cargo.toml` or the root of the repository. `None`
    /// if there is none.
    pub fn find(directory: &Path) -> Result<Option<Self>> {
        for above in directory.ancestors() {
            let is_root = above.join(".git").exists();
            let is_package = is_root || above.join("Cargo.toml").exists();
            let path = above.join(NAME);
            if (above == directory || is_package) && path.exists() {
                let shown = match above == directory {
                    true => PathBuf::from(NAME),
                    false => path,
                };
                return Self::read(&shown, directory).map(Some);
            }
            if is_root {
                break;
            }
        }
        Ok(None)
    }

    /// Reads the file at `path`, which is relative to `directory`.
    pub fn read(path: &Path, directory: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(directory.join(path))
            .map_err(|error| Error::io("read the settings in", path, &error))?;
        let document = Document::parse(text.clone()).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let place = place(path, &text, start);
            Error::usage(format!("{place}: {}", error.message()))
        })?;
        Ok(Self {
            path: path.to_owned(),
            text,
            document,
        })
    }

    /// Returns the path, as it is shown.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the settings, those of the profile over the others. Fails if there is no such profile, or if something is no setting.
    pub fn entries(&self, profile: Option<&str>) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for (key, item) in rows(&self.document) {
            if key.get() != PROFILES {
                put(&mut entries, self.entry(key, item)?);
            }
        }
        let Some(wanted) = profile else {
            return Ok(entries);
        };
        let mut profiles = self.profiles()?.into_iter();
        let Some((_, own)) = profiles.find(|(name, _)| name.get() == wanted) else {
            return Err(self.no_profile(wanted)?);
        };
        for (key, item) in rows(own) {
            put(&mut entries, self.entry(key, item)?);
        }
        Ok(entries)
    }

    /// Returns the settings of all profiles and those outside, in the order of the file.
    pub fn every_entry(&self) -> Result<Vec<Entry>> {
        let outside = rows(&self.document).into_iter();
        let outside = outside.filter(|(key, _)| key.get() != PROFILES);
        let profiles = self.profiles()?.into_iter();
        let inside = profiles.flat_map(|(_, table)| rows(table));
        outside
            .chain(inside)
            .map(|(key, item)| self.entry(key, item))
            .collect()
    }

    fn profiles(&self) -> Result<Vec<(&Key, &Table)>> {
        let Some((key, item)) = self.document.get_key_value(PROFILES) else {
            return Ok(Vec::new());
        };
        let wrong = |key: &Key| {
            let place = self.place(key);
            Error::usage(format!(
                "{place}: a profile is a table: write [{PROFILES}.NAME]"
            ))
        };
        let table = item.as_table().ok_or_else(|| wrong(key))?;
        let profiles = rows(table).into_iter();
        profiles
            .map(|(name, item)| Ok((name, item.as_table().ok_or_else(|| wrong(name))?)))
            .collect()
    }

    fn no_profile(&self, name: &str) -> Result<Error> {
        let known: Vec<&str> = self.profiles()?.iter().map(|(key, _)| key.get()).collect();
        let known = match known.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it has {}", known.join(", ")),
        };
        let path = self.path.display();
        Ok(Error::usage(format!(
            "{path} has no profile '{name}': {known}"
        )))
    }

    fn entry(&self, key: &Key, item: &Item) -> Result<Entry> {
        let place = self.place(key);
        let name = key.get().to_owned();
        let wrong = || {
            Error::usage(format!(
                "{place}: {name}: write a text, a number, true or false, or a list of these"
            ))
        };
        let values = match item.as_value() {
            Some(Value::Array(array)) => array.iter().map(plain).collect(),
            Some(value) => plain(value).map(|text| vec![text]),
            None => None,
        };
        let values = values.filter(|values: &Vec<String>| !values.is_empty());
        let values = values.ok_or_else(wrong)?.into_iter();
        let values = values.map(|value| match PATHS.contains(&&*name) {
            true => self.beside(value),
            false => value,
        });
        Ok(Entry {
            values: values.collect(),
            key: name.clone(),
            place,
        })
    }

    /// Returns a path as seen from the working directory.
    fn beside(&self, value: String) -> String {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                parent.join(value).display().to_string()
            }
            _ => value,
        }
    }

    fn place(&self, key: &Key) -> String {
        let start = key.span().map_or(0, |span| span.start);
        place(&self.path, &self.text, start)
    }
}

/// The rows of a table, in the order of the file.
fn rows(table: &Table) -> Vec<(&Key, &Item)> {
    let mut rows: Vec<(&Key, &Item)> = table
        .iter()
        .filter_map(|(name, _)| table.get_key_value(name))
        .collect();
    rows.sort_by_key(|(key, _)| key.span().map_or(0, |span| span.start));
    rows
}

/// Puts an entry in place of one with the same key, or at the end.
fn put(entries: &mut Vec<Entry>, entry: Entry) {
    entries.retain(|other| other.key != entry.key);
    entries.push(entry);
}

/// Returns a value as a command line has it; `None` for dates and tables.
fn plain(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.value().clone(),
        Value::Integer(number) => number.value().to_string(),
        Value::Float(number) => number.value().to_string(),
        Value::Boolean(is_on) => is_on.value().to_string(),
        _ => return None,
    })
}

/// Returns `PATH:LINE` of a byte of the text.
fn place(path: &Path, text: &str, start: usize) -> String {
    let before = text.get(..start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    format!("{}:{line}", path.display())
}

#[cfg(test)]
mod tests;
