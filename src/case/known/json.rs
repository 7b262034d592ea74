//! Catalogues in their earlier form: one JSON file.
//!
//! [`Catalogue`] reads it for users who still have one. Nothing writes it any more.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Catalogue, Condition, Entry, Range, Right};
use crate::base::error::{Error, Result};

/// The versions of the format. Version 2 added ranges of versions, the facts `at`, `any_at` and `not_at`, `shows`, and
/// `rate`.
const VERSIONS: std::ops::RangeInclusive<u64> = 1..=2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonCatalogue {
    format_version: u64,
    entries: Vec<JsonEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEntry {
    id: String,
    tool: String,
    versions: Vec<String>,
    #[serde(default)]
    of_reference: bool,
    #[serde(default)]
    rate: Option<f64>,
    when: Condition,
    candidate: String,
    reference: String,
    right: Right,
    specification: String,
    why: String,
}

/// Parses one.
pub(super) fn parsed(text: &str) -> Result<Catalogue> {
    let file: JsonCatalogue =
        serde_json::from_str(text).map_err(|error| Error::usage(error.to_string()))?;
    if !VERSIONS.contains(&file.format_version) {
        return Err(Error::usage(format!(
            "format version {} is not known, only {} to {}",
            file.format_version,
            VERSIONS.start(),
            VERSIONS.end()
        )));
    }
    let mut catalogue = Catalogue::empty();
    let mut ids = BTreeSet::new();
    for entry in file.entries {
        let id = entry.id.clone();
        let twice = (!ids.insert(id.clone())).then(|| "its id is used twice".to_owned());
        let entry = twice.map_or_else(|| entry.checked(), Err);
        let entry = entry.map_err(|objection| {
            // In the form of serde's errors.
            let line = line_of(text, &id).map(|line| format!(" at line {line}"));
            let line = line.unwrap_or_default();
            Error::usage(format!("entry {id}{line}: {objection}"))
        })?;
        catalogue.entries.push(entry);
    }
    Ok(catalogue)
}

impl JsonEntry {
    fn checked(self) -> std::result::Result<Entry, String> {
        let versions = self.versions.iter().map(|known| Range::parse_json(known));
        let entry = Entry {
            versions: versions.collect::<std::result::Result<Vec<Range>, String>>()?,
            id: self.id,
            tool: self.tool,
            of_reference: self.of_reference,
            rate: self.rate,
            when: self.when,
            candidate: self.candidate,
            reference: self.reference,
            right: self.right,
            specification: self.specification,
            why: self.why,
            examples: Vec::new(),
            example_with: None,
            no_example: None,
        };
        entry.objection().map_or(Ok(entry), Err)
    }
}

/// Returns the line of the last id with this name in a catalogue's text.
fn line_of(text: &str, id: &str) -> Option<usize> {
    let wanted = format!("\"id\": {}", serde_json::Value::from(id));
    let lines: Vec<&str> = text.lines().collect();
    let place = lines.iter().rposition(|line| line.contains(&wanted))?;
    Some(place + 1)
}
