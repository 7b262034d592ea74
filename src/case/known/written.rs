//! An entry of the catalogue, or a class of entries, as a file has it: missing keys are taken from the entry's class.
//!
//! serde parses it and refuses unknown keys and values; `files.rs` turns it into an [`Entry`] for each of its tools. It
//! does not judge whether an entry is meaningful.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{Condition, Entry, Range, Right, Shows};
use crate::image::format::Format;
use crate::oracle::verdict::{Blame, SubjectKind};

/// One value, or a list of values.
#[derive(Clone, Debug)]
pub(super) struct Several<T>(pub Vec<T>);

/// Values for all tools of an entry, or a table of values by tool.
#[derive(Clone, Debug)]
pub(super) enum ByTool<T> {
    /// The values for all tools.
    All(Vec<T>),
    /// The values by tool.
    Each(BTreeMap<String, Several<T>>),
}

/// The content of a `[[known]]` or `[[class]]` table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenEntry {
    pub id: Option<String>,
    pub class: Option<String>,
    pub tool: Option<String>,
    pub tools: Option<Vec<String>>,
    pub versions: Option<ByTool<Range>>,
    pub of_reference: Option<bool>,
    pub rate: Option<f64>,
    pub operation: Option<Several<String>>,
    pub format: Option<Format>,
    pub kind: Option<Several<String>>,
    pub parameters: Option<Map<String, Value>>,
    pub features: Option<Several<String>>,
    pub any_feature: Option<Vec<String>>,
    pub damage: Option<ByTool<String>>,
    pub at: Option<Several<String>>,
    pub any_at: Option<Vec<String>>,
    pub not_at: Option<Several<String>>,
    pub blame: Option<Several<Blame>>,
    pub subject: Option<Several<SubjectKind>>,
    pub differs: Option<Several<String>>,
    pub shows: Option<Several<Shows>>,
    pub candidate_says: Option<String>,
    pub reference_says: Option<String>,
    pub candidate: Option<String>,
    pub reference: Option<String>,
    pub right: Option<Right>,
    pub specification: Option<String>,
    pub why: Option<String>,
    pub example: Option<ByTool<String>>,
    pub example_with: Option<String>,
    pub no_example: Option<ByTool<String>>,
}

/// Returns an entry with these fields: its own, or otherwise those of its class.
macro_rules! fall_back {
    ($own:ident, $class:ident: $($field:ident)*) => {
        WrittenEntry { $($field: $own.$field.clone().or_else(|| $class.$field.clone()),)* }
    };
}

impl WrittenEntry {
    /// Returns the entry with missing keys taken from its class. Two keys describe the subject: if the entry has one of
    /// them, the class's other one is ignored.
    pub fn with_class(&self, class: &Self) -> Self {
        let mut whole = self.or_class(class);
        if self.subject.is_some() || self.differs.is_some() {
            (whole.subject, whole.differs) = (self.subject.clone(), self.differs.clone());
        }
        whole
    }

    fn or_class(&self, class: &Self) -> Self {
        fall_back! { self, class:
            id class tool tools versions of_reference rate operation format kind parameters features any_feature damage at any_at not_at blame
            subject differs shows candidate_says reference_says candidate reference right specification why example example_with no_example
        }
    }

    /// Returns the entry for one tool.
    ///
    /// # Errors
    ///
    /// Names the missing key.
    pub fn entry(&self, id: String, tool: &str, usual: &[Range]) -> Result<Entry, String> {
        let text = |value: &Option<String>, name| value.clone().ok_or(missing(name));
        let versions = self.versions.as_ref().and_then(|one| one.of_tool(tool));
        let example = self.example.as_ref().and_then(|one| one.of_tool(tool));
        let reason = self.no_example.as_ref().and_then(|one| one.of_tool(tool));
        Ok(Entry {
            id,
            tool: tool.to_owned(),
            versions: versions.unwrap_or(usual).to_vec(),
            of_reference: self.of_reference.unwrap_or_default(),
            rate: self.rate,
            when: self.condition(tool)?,
            candidate: text(&self.candidate, "candidate")?,
            reference: text(&self.reference, "reference")?,
            right: self.right.ok_or(missing("right"))?,
            specification: text(&self.specification, "specification")?,
            why: text(&self.why, "why")?,
            examples: example.unwrap_or_default().to_vec(),
            example_with: self.example_with.clone(),
            no_example: reason.and_then(|reasons| reasons.first().cloned()),
        })
    }

    fn condition(&self, tool: &str) -> Result<Condition, String> {
        let damage = self.damage.as_ref();
        let damage = match damage.map(|damage| damage.of_tool(tool)) {
            Some(None) => return Err(format!("its damage says nothing of {tool}")),
            of_tool => of_tool.flatten().unwrap_or_default().to_vec(),
        };
        let format = self.format.map(|format| format.name().to_owned());
        Ok(Condition {
            operation: self.operation.clone().ok_or(missing("operation"))?.0,
            kind: self.kind.clone().ok_or(missing("kind"))?.0,
            parameters: self.parameters.clone().unwrap_or_default(),
            features: format.into_iter().chain(list(&self.features)).collect(),
            any_feature: self.any_feature.clone().unwrap_or_default(),
            damage,
            at: list(&self.at),
            any_at: self.any_at.clone().unwrap_or_default(),
            not_at: list(&self.not_at),
            blame: list(&self.blame),
            subjects: list(&self.subject),
            differences: match self.subject {
                None => self.differs.clone().ok_or(missing("differs"))?.0,
                Some(_) => list(&self.differs),
            },
            shows: list(&self.shows),
            candidate_says: self.candidate_says.clone(),
            reference_says: self.reference_says.clone(),
        })
    }
}

fn missing(name: &str) -> String {
    format!("neither it nor its class has the key '{name}'")
}

fn list<T: Clone>(values: &Option<Several<T>>) -> Vec<T> {
    values.clone().map(|values| values.0).unwrap_or_default()
}

impl<T> ByTool<T> {
    /// Returns the values for this tool.
    pub fn of_tool(&self, tool: &str) -> Option<&[T]> {
        match self {
            Self::All(values) => Some(values),
            Self::Each(tools) => tools.get(tool).map(|values| &values.0[..]),
        }
    }

    /// Returns the tools that it names.
    pub fn tools(&self) -> impl Iterator<Item = &String> {
        let tools = match self {
            Self::All(_) => None,
            Self::Each(tools) => Some(tools.keys()),
        };
        tools.into_iter().flatten()
    }
}

/// Accepts one text or a list, and converts each to `T`.
struct OneOrMore<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMore<T> {
    type Value = Several<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text, or a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Several<T>, E> {
        T::deserialize(text.into_deserializer()).map(|value| Several(vec![value]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<Several<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(values)).map(Several)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMore(PhantomData))
    }
}

/// Accepts the same, or a table by tool.
struct OneOrMoreByTool<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMoreByTool<T> {
    type Value = ByTool<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text, a list of texts, or a table of them by tool")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByTool<T>, E> {
        let value = OneOrMore(PhantomData).visit_str(text)?;
        Ok(ByTool::All(value.0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<ByTool<T>, A::Error> {
        let values = OneOrMore(PhantomData).visit_seq(values)?;
        Ok(ByTool::All(values.0))
    }

    fn visit_map<A: MapAccess<'de>>(self, tools: A) -> Result<ByTool<T>, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(tools)).map(ByTool::Each)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByTool<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMoreByTool(PhantomData))
    }
}
