//! The catalogue of known divergences.
//!
//! A real difference between a tool and qemu-img that has been understood gets an entry: what each side does, who is
//! right by which specification, and a condition narrow enough that nothing new hides behind it. Pure; asked by the
//! arena.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::case::Case;
use crate::error::{Error, Result};
use crate::operation::Operation;
use crate::verdict::{Difference, Finding};

/// The version of the catalogue's format that this program reads.
const FORMAT_VERSION: u64 = 1;

/// The catalogue that is built in: `fuzz-seeds/known-divergences.json`.
const BUILT_IN: &str = include_str!("../fuzz-seeds/known-divergences.json");

/// All entries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    format_version: u64,
    /// In their order: the first that fits a divergence names it.
    pub entries: Vec<Entry>,
}

/// One understood difference.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name, never used again for another.
    pub id: String,
    /// The candidate it is about.
    pub tool: String,
    /// The versions it was seen in: a version, or the beginning of one up to a dot.
    pub versions: Vec<String>,
    /// Whether it is about the reference, so that it shows whatever the candidate is; `tool` and `versions` are then the reference's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_reference: bool,
    /// When it shows.
    pub when: Condition,
    /// What the candidate does.
    pub candidate: String,
    /// What qemu-img does.
    pub reference: String,
    /// Who is right: `candidate`, `reference`, `both`, `neither` or `unclear`.
    pub right: String,
    /// By which section of which specification or documentation.
    pub specification: String,
    /// Why it is so and why it is left so.
    pub why: String,
}

/// When an entry fits: everything that is given must hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The operation, one of these.
    pub operation: Vec<String>,
    /// The kind of divergence, one of these.
    pub kind: Vec<String>,
    /// The operation's parameters as in the case's JSON, or the image's behind `image.`: a value, or a list of which one must be
    /// the parameter (or, where the parameter is a list, be in it).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// What the operation must have besides, as it names it itself ([`Perform::features`](crate::operation::Perform::features)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Of these the operation must have at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_feature: Vec<String>,
    /// Of what is done to a damaged image, at least one piece must be one of these: `STRUCTURE.FIELD`, `STRUCTURE` for any of its
    /// fields, or `truncated` for a file that is cut off, wherever.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<String>,
    /// Who is alone with it, one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blame: Vec<String>,
    /// What differs: every difference found must be one of these, or begin with one of these that ends in `*`.
    pub differences: Vec<String>,
    /// Words that the candidate's value of a difference must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_says: Option<String>,
    /// Words that the reference's value of a difference must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_says: Option<String>,
}

impl Catalogue {
    /// The catalogue that is built in.
    pub fn built_in() -> Result<Self> {
        Self::parse(BUILT_IN)
            .map_err(|error| Error::usage(format!("fuzz-seeds/known-divergences.json: {error}")))
    }

    /// Reads a catalogue.
    pub fn parse(text: &str) -> Result<Self> {
        let catalogue: Self =
            serde_json::from_str(text).map_err(|error| Error::usage(error.to_string()))?;
        if catalogue.format_version != FORMAT_VERSION {
            let version = catalogue.format_version;
            return Err(Error::usage(format!(
                "format version {version} is not known, only {FORMAT_VERSION}"
            )));
        }
        Ok(catalogue)
    }

    /// The entry that names this finding in operation `index` of the case; candidate and reference by name and version.
    pub fn entry(
        &self,
        candidate: (&str, &str),
        reference: (&str, &str),
        case: &Case,
        index: usize,
        finding: &Finding,
    ) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            entry.is_about(candidate, reference) && entry.when.holds(case, index, finding)
        })
    }
}

impl Entry {
    /// Whether it is about this version of one of these tools.
    pub fn is_about(&self, candidate: (&str, &str), reference: (&str, &str)) -> bool {
        let (tool, version) = if self.of_reference {
            reference
        } else {
            candidate
        };
        self.tool == tool && self.versions.iter().any(|known| covers(known, version))
    }
}

/// The parameter of an operation that says what it is asked to make.
const TARGET: &str = "target";

/// Words that are told in common by all of some values; shorter ones say too little.
const WORDS_MIN_CHARACTERS: usize = 8;

impl Condition {
    /// The narrowest condition that holds for a divergence of this kind in the only operation of this name, and for the same
    /// at other places: the kind, the operation, what differs up to its first number, the formats, and what was said.
    pub fn of(kind: &str, operation: &str, differences: &[Difference], case: &Case) -> Self {
        let found = case.ops.iter().find(|found| found.name() == operation);
        let mut parameters = Map::new();
        if let Some(found) = found {
            let values = serde_json::to_value(found).unwrap_or_default();
            parameters.extend(
                values
                    .get(TARGET)
                    .map(|target| (TARGET.to_owned(), target.clone())),
            );
            if found.perform().reads_source() {
                let format = case.image.format.name();
                parameters.insert("image.format".to_owned(), Value::from(format));
            }
        }
        let mut patterns: Vec<String> = Vec::new();
        for difference in differences {
            let pattern = up_to_a_number(&difference.what);
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        Self {
            operation: vec![operation.to_owned()],
            kind: vec![kind.to_owned()],
            parameters,
            blame: Vec::new(),
            features: found
                .map_or_else(Vec::new, |found| found.perform().features())
                .into_iter()
                .map(str::to_owned)
                .collect(),
            any_feature: Vec::new(),
            damage: match found {
                Some(Operation::Malformed(malformed)) => malformed.damage_names(),
                _ => Vec::new(),
            },
            differences: patterns,
            candidate_says: words_of_all(differences.iter().map(|found| &found.candidate)),
            reference_says: words_of_all(differences.iter().map(|found| &found.reference)),
        }
    }

    /// Whether an operation of the case is one in which it may show.
    pub fn could_hold(&self, case: &Case, index: usize) -> bool {
        let operation = &case.ops[index];
        self.operation.iter().any(|name| name == operation.name())
            && self.parameters_hold(case, index)
            && self.features_hold(operation)
            && self.damage_holds(operation)
    }

    fn damage_holds(&self, operation: &Operation) -> bool {
        if self.damage.is_empty() {
            return true;
        }
        let Operation::Malformed(malformed) = operation else {
            return false;
        };
        let is_it = |name: &String| {
            let structure = name.split('.').next();
            let mut known = self.damage.iter().map(String::as_str);
            known.any(|known| known == name || Some(known) == structure)
        };
        malformed.damage_names().iter().any(is_it)
    }

    fn features_hold(&self, operation: &Operation) -> bool {
        let there = operation.perform().features();
        let has = |feature: &String| there.contains(&feature.as_str());
        self.features.iter().all(has)
            && (self.any_feature.is_empty() || self.any_feature.iter().any(has))
    }

    fn holds(&self, case: &Case, index: usize, finding: &Finding) -> bool {
        let says = |wanted: &Option<String>, value: fn(&Difference) -> &String| {
            wanted.as_ref().is_none_or(|words| {
                finding
                    .differences
                    .iter()
                    .all(|difference| value(difference).contains(words.as_str()))
            })
        };
        self.could_hold(case, index)
            && self.kind.contains(&finding.kind.to_string())
            && (self.blame.is_empty() || self.blame.iter().any(|name| name == finding.blame.name()))
            && finding.differences.iter().all(|difference| {
                self.differences
                    .iter()
                    .any(|pattern| matches_pattern(pattern, &difference.what))
            })
            && says(&self.candidate_says, |difference| &difference.candidate)
            && says(&self.reference_says, |difference| &difference.reference)
    }

    fn parameters_hold(&self, case: &Case, index: usize) -> bool {
        let operation = serde_json::to_value(&case.ops[index]).unwrap_or_default();
        let image = serde_json::to_value(&case.image).unwrap_or_default();
        self.parameters.iter().all(|(name, wanted)| {
            let actual = match name.strip_prefix("image.") {
                Some(name) => &image[name],
                None => &operation[name.as_str()],
            };
            let fits = |wanted: &Value| match actual {
                Value::Array(items) => items.contains(wanted),
                actual => actual == wanted,
            };
            match wanted {
                Value::Array(any) => any.iter().any(fits),
                wanted => fits(wanted),
            }
        })
    }
}

/// The text, or its beginning up to the first number, as a pattern.
fn up_to_a_number(text: &str) -> String {
    match text.find(|letter: char| letter.is_ascii_digit()) {
        Some(place) => format!("{}*", &text[..place]),
        None => text.to_owned(),
    }
}

/// The longest words without a number in the first value, when they are long enough to mean something and in all values.
fn words_of_all<'value>(mut values: impl Iterator<Item = &'value String>) -> Option<String> {
    let first = values.next()?;
    let parts = first.split(|letter: char| letter.is_ascii_digit() || letter == '\'');
    let words = parts.map(str::trim).max_by_key(|part| part.len())?;
    let is_told =
        words.chars().count() >= WORDS_MIN_CHARACTERS && values.all(|value| value.contains(words));
    is_told.then(|| words.to_owned())
}

fn covers(known: &str, version: &str) -> bool {
    version == known
        || version
            .strip_prefix(known)
            .is_some_and(|rest| rest.starts_with('.'))
}

fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage;

    #[test]
    fn the_built_in_catalogue_reads_and_its_entries_are_complete() {
        let catalogue = Catalogue::built_in().unwrap();
        let mut ids: Vec<&str> = catalogue
            .entries
            .iter()
            .map(|entry| entry.id.as_str())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), catalogue.entries.len(), "an id is used twice");
        for entry in &catalogue.entries {
            let texts = [
                &entry.candidate,
                &entry.reference,
                &entry.specification,
                &entry.why,
            ];
            assert!(
                texts.iter().all(|text| text.len() > 10),
                "{} explains too little",
                entry.id
            );
            assert!(
                ["candidate", "reference", "both", "neither", "unclear"]
                    .contains(&entry.right.as_str()),
                "{}",
                entry.id
            );
            assert!(
                !entry.when.differences.is_empty() && !entry.versions.is_empty(),
                "{}",
                entry.id
            );
            let is_known = |name: &String| name == "truncated" || damage::is_known(name);
            assert!(entry.when.damage.iter().all(is_known), "{}", entry.id);
        }
    }

    #[test]
    fn a_version_is_covered_by_itself_and_by_its_beginning_up_to_a_dot() {
        assert!(covers("0.2.6", "0.2.6") && covers("0.2", "0.2.6"));
        assert!(!covers("0.2", "0.20.1") && !covers("0.2.6", "0.2"));
    }

    #[test]
    fn a_pattern_is_the_whole_text_or_its_beginning() {
        assert!(matches_pattern("a.b", "a.b") && matches_pattern("a.*", "a.b"));
        assert!(!matches_pattern("a", "a.b") && !matches_pattern("b*", "a.b"));
    }
}
