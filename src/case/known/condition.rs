//! The condition of an entry of the catalogue, and the narrowest condition for a given divergence.
//!
//! Pure. The catalogue evaluates it, and `imgduel accept` derives it. All given parts must hold.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::contents_difference::Shows;
use crate::case::Case;
use crate::operation::Operation;
use crate::oracle::verdict::{Blame, Difference, Subject, SubjectKind};

/// A condition; all given parts must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The operation is one of these.
    pub operation: Vec<String>,
    /// The kind of divergence is one of these.
    pub kind: Vec<String>,
    /// Parameters of the operation as in the case's JSON, or of the image under `image.`: a value, or a list that must
    /// contain the parameter (or share an element with it, if the parameter is a list).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// Features that the operation must have ([`Perform::features`](crate::operation::Perform::features)). They concern
    /// the whole case; `at` concerns the step and file that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Features of which the operation must have at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_feature: Vec<String>,
    /// Mutations of a damaged image, of which at least one must be among these: `STRUCTURE.FIELD`, `STRUCTURE` for any
    /// of its fields, or `truncated` for a truncation anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<String>,
    /// Facts that must all hold for the step or file that differs ([`facts`](crate::operation::facts)).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// Facts of which at least one must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_at: Vec<String>,
    /// Facts of which none may hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_at: Vec<String>,
    /// The blame is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blame: Vec<Blame>,
    /// The kinds of subjects: every difference must have one of these kinds, or match `differences`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<SubjectKind>,
    /// The texts of subjects: every difference must have one of these texts, or start with one that ends in `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
    /// How the candidate's contents differ from the reference's: one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<Shows>,
    /// A text that the candidate's value of a difference must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_says: Option<String>,
    /// A text that the reference's value of a difference must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_says: Option<String>,
}

/// A divergence as it was seen in an operation of a case.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'seen> {
    /// The case.
    pub case: &'seen Case,
    /// The index of the operation.
    pub index: usize,
    /// The kind of divergence.
    pub kind: &'seen str,
    /// The blame, if it is known.
    pub blame: Option<Blame>,
    /// The values that differ.
    pub differences: &'seen [Difference],
    /// The facts about the step or file that differs.
    pub at: &'seen [String],
}

/// The parameter of an operation with the format of its output.
const TARGET: &str = "target";

/// The minimum length of a text that all of several values contain; shorter ones are not specific enough.
const WORDS_MIN_CHARACTERS: usize = 8;

impl Condition {
    /// Returns the narrowest condition that holds for this divergence and for the same one at other places: the kind,
    /// the operation, the subject (by its kind, or by its text up to the first number if that is more specific), the
    /// formats, the texts or contents, the blame, and the facts about the step and file.
    pub fn narrowest(seen: &Sighting<'_>) -> Self {
        let operation = &seen.case.ops[seen.index];
        let mut parameters = Map::new();
        let values = serde_json::to_value(operation).unwrap_or_default();
        let target = values
            .get(TARGET)
            .map(|target| (TARGET.to_owned(), target.clone()));
        parameters.extend(target);
        if operation.perform().reads_source() {
            let format = seen.case.image.format.name();
            parameters.insert("image.format".to_owned(), Value::from(format));
        }
        let mut shows = Vec::new();
        let found = seen.differences.iter();
        let all: Option<Vec<Shows>> = found.clone().map(Shows::from_difference).collect();
        for shown in all.into_iter().flatten() {
            add_new(&mut shows, shown);
        }
        let (mut subjects, mut differences) = (Vec::new(), Vec::new());
        for subject in found.map(|difference| &difference.subject) {
            let pattern = up_to_a_number(&subject.to_string());
            match kind_suffices(subject, &pattern, seen.at, !shows.is_empty()) {
                true => add_new(&mut subjects, subject.kind()),
                false => add_new(&mut differences, pattern),
            }
        }
        Self {
            operation: vec![operation.name().to_owned()],
            kind: vec![seen.kind.to_owned()],
            parameters,
            features: match seen.at.is_empty() {
                // The facts about the step and file are more specific than those about the case.
                true => operation.perform().features(),
                false => Vec::new(),
            }
            .into_iter()
            .map(|feature| feature.name().to_owned())
            .collect(),
            any_feature: Vec::new(),
            damage: match operation {
                Operation::Malformed(malformed) => malformed.damage_names(),
                _ => Vec::new(),
            },
            at: seen.at.to_vec(),
            any_at: Vec::new(),
            not_at: Vec::new(),
            blame: seen.blame.into_iter().collect(),
            subjects,
            differences,
            shows,
            candidate_says: words_of_all(seen.differences.iter().map(|found| &found.candidate)),
            reference_says: words_of_all(seen.differences.iter().map(|found| &found.reference)),
        }
    }

    /// Widens the condition so that it also holds for another divergence of the same group: it keeps what both have in
    /// common. Texts that only one has, and parameters that differ, are removed.
    pub fn join(&mut self, other: &Self) {
        self.at.retain(|fact| other.at.contains(fact));
        self.parameters
            .retain(|name, value| other.parameters.get(name) == Some(value));
        for kind in &other.subjects {
            add_new(&mut self.subjects, *kind);
        }
        for pattern in &other.differences {
            add_new(&mut self.differences, pattern.clone());
        }
        // One of several suffices: if one of the two requires none, they have none in common.
        self.damage = match self.damage.iter().any(|name| other.damage.contains(name)) {
            true => self
                .damage
                .iter()
                .filter(|name| other.damage.contains(name))
                .cloned()
                .collect(),
            false => self.damage.iter().chain(&other.damage).cloned().collect(),
        };
        join_any(&mut self.blame, &other.blame);
        join_any(&mut self.shows, &other.shows);
        join_words(&mut self.candidate_says, &other.candidate_says);
        join_words(&mut self.reference_says, &other.reference_says);
    }

    /// Whether the divergence may show in this operation of the case.
    pub fn could_hold(&self, case: &Case, index: usize) -> bool {
        let operation = &case.ops[index];
        self.operation.iter().any(|name| name == operation.name())
            && self.parameters_hold(case, index)
            && self.features_hold(operation)
            && self.damage_holds(operation)
    }

    /// Whether it holds for this divergence.
    pub fn holds(&self, seen: &Sighting<'_>) -> bool {
        let says = |wanted: &Option<String>, value: fn(&Difference) -> &String| {
            wanted.as_ref().is_none_or(|words| {
                let mut values = seen.differences.iter().map(value);
                values.all(|value| value.contains(words.as_str()))
            })
        };
        self.kind.iter().any(|kind| kind == seen.kind)
            && (self.blame.is_empty()
                || seen.blame.is_some_and(|blame| self.blame.contains(&blame)))
            && seen
                .differences
                .iter()
                .all(|difference| self.is_about(&difference.subject))
            && says(&self.candidate_says, |difference| &difference.candidate)
            && says(&self.reference_says, |difference| &difference.reference)
            && self.shows_hold(seen.differences)
            && self.facts_hold(seen.at)
            && self.could_hold(seen.case, seen.index)
    }

    /// Whether it holds for every divergence for which `other` holds, as far as the two conditions show.
    pub fn covers(&self, other: &Self) -> bool {
        let all =
            |wanted: &[String], given: &[String]| wanted.iter().all(|one| given.contains(one));
        let within = |narrow: &[String], wide: &[String]| {
            wide.is_empty() || (!narrow.is_empty() && all(narrow, wide))
        };
        let words = |wide: &Option<String>, narrow: &Option<String>| {
            wide.as_ref().is_none_or(|wide| {
                narrow
                    .as_ref()
                    .is_some_and(|narrow| narrow.contains(wide.as_str()))
            })
        };
        let any = |wide: &[String], narrow: &[String], given: &[String]| {
            within(narrow, wide) || given.iter().any(|one| wide.contains(one))
        };
        let patterned = |narrow: &String| {
            let plain = narrow.strip_suffix('*').unwrap_or(narrow);
            let is_whole = plain.len() == narrow.len();
            let is_of_kind = is_whole && self.subjects.contains(&Subject::parse(narrow).kind());
            is_of_kind
                || self
                    .differences
                    .iter()
                    .any(|wide| match wide.strip_suffix('*') {
                        Some(beginning) => plain.starts_with(beginning),
                        None => wide == narrow,
                    })
        };
        let damaged = |name: &String| {
            let structure = name.split('.').next().unwrap_or_default();
            self.damage
                .iter()
                .any(|wide| wide == name || wide == structure)
        };
        all(&other.operation, &self.operation)
            && all(&other.kind, &self.kind)
            && self
                .parameters
                .iter()
                .all(|(name, value)| other.parameters.get(name) == Some(value))
            && all(&self.features, &other.features)
            && any(&self.any_feature, &other.any_feature, &other.features)
            && (self.damage.is_empty()
                || (!other.damage.is_empty() && other.damage.iter().all(damaged)))
            && all(&self.at, &other.at)
            && any(&self.any_at, &other.any_at, &other.at)
            && all(&self.not_at, &other.not_at)
            && (self.blame.is_empty()
                || (!other.blame.is_empty()
                    && other.blame.iter().all(|blame| self.blame.contains(blame))))
            && other
                .subjects
                .iter()
                .all(|kind| self.subjects.contains(kind))
            && other.differences.iter().all(patterned)
            && (self.shows.is_empty()
                || (!other.shows.is_empty()
                    && other.shows.iter().all(|shown| self.shows.contains(shown))))
            && words(&self.candidate_says, &other.candidate_says)
            && words(&self.reference_says, &other.reference_says)
    }

    /// Whether it names the subject, by kind or by text.
    fn is_about(&self, subject: &Subject) -> bool {
        let text = subject.to_string();
        let mut patterns = self.differences.iter();
        self.subjects.contains(&subject.kind())
            || patterns.any(|pattern| matches_pattern(pattern, &text))
    }

    fn facts_hold(&self, at: &[String]) -> bool {
        self.at.iter().all(|fact| at.contains(fact))
            && (self.any_at.is_empty() || self.any_at.iter().any(|fact| at.contains(fact)))
            && !self.not_at.iter().any(|fact| at.contains(fact))
    }

    fn shows_hold(&self, differences: &[Difference]) -> bool {
        let is_one_of = |difference: &Difference| {
            Shows::from_difference(difference).is_some_and(|shown| self.shows.contains(&shown))
        };
        self.shows.is_empty() || differences.iter().all(is_one_of)
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
        let has = |wanted: &String| there.iter().any(|feature| feature.name() == wanted);
        self.features.iter().all(has)
            && (self.any_feature.is_empty() || self.any_feature.iter().any(has))
    }

    fn parameters_hold(&self, case: &Case, index: usize) -> bool {
        if self.parameters.is_empty() {
            return true;
        }
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

fn add_new<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}

/// One of either suffices; if one of the two allows any, so does the result.
fn join_any<T: PartialEq + Clone>(list: &mut Vec<T>, other: &[T]) {
    match other.is_empty() {
        true => list.clear(),
        false if list.is_empty() => {}
        false => other.iter().for_each(|value| add_new(list, value.clone())),
    }
}

/// Keeps the text that both contain: the shorter one, if the other contains it.
fn join_words(words: &mut Option<String>, other: &Option<String>) {
    let both = words.take().zip(other.as_ref());
    *words = both.and_then(|(mine, theirs)| {
        if mine.contains(theirs.as_str()) {
            Some(theirs.clone())
        } else {
            theirs.contains(&mine).then_some(mine)
        }
    });
}

/// Whether the kind of a subject, together with the rest of the condition, is as specific as the pattern of its text: the
/// pattern ends before the first field, or `at` names the request, or `shows` distinguishes a wrong size from wrong data.
fn kind_suffices(subject: &Subject, pattern: &str, at: &[String], has_shows: bool) -> bool {
    let kind = subject.kind();
    let words = pattern.strip_suffix('*').unwrap_or(pattern);
    let is_request_told = match subject {
        Subject::Exit { request } | Subject::ExitOfReading { request, .. } => {
            at.contains(&format!("step={request}"))
        }
        _ => false,
    };
    kind != SubjectKind::Other
        && (kind.begins().starts_with(words)
            || is_request_told
            || (has_shows && subject.content_place().is_some()))
}

fn up_to_a_number(text: &str) -> String {
    match text.find(|letter: char| letter.is_ascii_digit()) {
        Some(place) => format!("{}*", &text[..place]),
        None => text.to_owned(),
    }
}

/// Returns the longest text without a number in the first value, if it is long enough and all values contain it.
fn words_of_all<'value>(mut values: impl Iterator<Item = &'value String>) -> Option<String> {
    let first = values.next()?;
    let parts = first.split(|letter: char| letter.is_ascii_digit() || letter == '\'');
    let words = parts.map(str::trim).max_by_key(|part| part.len())?;
    let is_told =
        words.chars().count() >= WORDS_MIN_CHARACTERS && values.all(|value| value.contains(words));
    is_told.then(|| words.to_owned())
}

fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    }
}
