//! The versions of a tool that an entry of the catalogue concerns: `>=0.2.0, <0.2.7`.
//!
//! A range is a list of bounds that must all hold: `=`, `>=`, `>`, `<=` or `<` and a version, or `0.2.*` for all
//! versions that start like this. Versions are compared by their leading numbers, so that `20201213`, `25.01` and
//! `10.0.13-1 (Debian)` are ordered; a version without leading numbers equals only itself. These are not Cargo's
//! ranges: there is no `^` or `~`, because tools do not follow its rules.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::version::numbers;

/// Versions between bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range(Vec<Bound>);

/// One bound: a relation and a version.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    relation: Relation,
    version: String,
}

/// The relation between a version and the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    AtLeast,
    AtMost,
    Above,
    Below,
    Equals,
    /// It starts like this, up to a dot.
    Begins,
}

/// The signs before a version; longer ones come first.
const SIGNS: [(&str, Relation); 5] = [
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    (">", Relation::Above),
    ("<", Relation::Below),
    ("=", Relation::Equals),
];

/// The suffix of a version that stands for all that start like it.
const ANY: &str = ".*";

/// The separator of the first and the last version of a range in JSON catalogues.
const TO: &str = "..=";

impl Bound {
    fn new(relation: Relation, version: &str) -> Self {
        Self {
            relation,
            version: version.to_owned(),
        }
    }

    fn covers(&self, version: &str) -> bool {
        let (own, other) = (numbers(&self.version), numbers(version));
        match self.relation {
            Relation::Begins => {
                let rest = version.strip_prefix(&*self.version);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
            Relation::Equals if own.is_empty() || other.is_empty() => self.version == version,
            // Versions without numbers have no order.
            _ if own.is_empty() || other.is_empty() => false,
            Relation::Equals => other == own,
            Relation::AtLeast => other >= own,
            Relation::AtMost => other <= own,
            Relation::Above => other > own,
            Relation::Below => other < own,
        }
    }

    /// Whether it holds for everything for which `other` holds.
    fn contains(&self, other: &Self) -> bool {
        let (own, inner) = (numbers(&self.version), numbers(&other.version));
        match (self.relation, other.relation) {
            (Relation::Begins, Relation::Begins) | (_, Relation::Equals) => {
                self.covers(&other.version)
            }
            (Relation::AtLeast, Relation::AtLeast | Relation::Above)
            | (Relation::Above, Relation::Above) => inner >= own,
            (Relation::Above, Relation::AtLeast) => inner > own,
            (Relation::AtMost, Relation::AtMost | Relation::Below)
            | (Relation::Below, Relation::Below) => inner <= own,
            (Relation::Below, Relation::AtMost) => inner < own,
            _ => false,
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let sign = SIGNS.iter().find(|(sign, _)| text.starts_with(sign));
        let bound = match (sign, text.strip_suffix(ANY)) {
            (Some((sign, relation)), None) => Self::new(*relation, text[sign.len()..].trim()),
            (None, Some(beginning)) => Self::new(Relation::Begins, beginning),
            _ => {
                return Err(format!(
                    "'{text}' is no range of versions: write =, >=, >, <= or < before a version, as in '>=0.2.0, <0.2.7'"
                ));
            }
        };
        let is_ordered = matches!(bound.relation, Relation::Equals | Relation::Begins)
            || !numbers(&bound.version).is_empty();
        let is_plain = !bound.version.is_empty() && !bound.version.contains(['<', '>', '=']);
        match is_ordered && is_plain {
            true => Ok(bound),
            false => Err(format!(
                "'{text}' names no version that begins with a number"
            )),
        }
    }
}

impl Range {
    /// Returns the range of a single version.
    pub fn only(version: &str) -> Self {
        Self(vec![Bound::new(Relation::Equals, version)])
    }

    /// Parses a range of a JSON catalogue: `0.2.5..=0.2.6`, or a single version, which included all that start like it.
    ///
    /// # Errors
    ///
    /// Describes what is wrong with it.
    pub fn parse_json(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is no range of versions: write FIRST{TO}LAST, numbers with dots, the lower one first"
            )
        };
        match text.split_once(TO) {
            Some((first, last)) if first == last && !first.is_empty() => Ok(Self::only(first)),
            Some((first, last)) => format!(">={first}, <={last}").parse().map_err(|_| wrong()),
            None if text.trim().is_empty() => Err("an empty version".to_owned()),
            None => Ok(Self(vec![Bound::new(Relation::Begins, text)])),
        }
    }

    /// Whether it includes this version.
    pub fn covers(&self, version: &str) -> bool {
        self.0.iter().all(|bound| bound.covers(version))
    }

    /// Whether it includes everything that `inner` includes.
    pub fn contains(&self, inner: &Self) -> bool {
        let has = |bound: &Bound| inner.0.iter().any(|inner| bound.contains(inner));
        self.0.iter().all(has)
    }

    /// Whether it excludes future releases: it has an upper end.
    pub fn ends(&self) -> bool {
        use Relation::{AtMost, Below, Equals};
        let is_end = |bound: &Bound| matches!(bound.relation, AtMost | Below | Equals);
        self.0.iter().any(is_end)
    }

    /// Returns the range for people: the range of one version is that version.
    pub fn in_words(&self) -> String {
        match &self.0[..] {
            [one] if matches!(one.relation, Relation::Equals | Relation::Begins) => {
                one.version.clone()
            }
            [first, last]
                if first.relation == Relation::AtLeast && last.relation == Relation::AtMost =>
            {
                format!("{} to {}", first.version, last.version)
            }
            _ => self.to_string(),
        }
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bounds = text.split(',').map(|bound| Bound::parse(bound.trim()));
        let range = Self(bounds.collect::<Result<Vec<Bound>, String>>()?);
        // Each end must lie within all the others.
        let ends = range.0.iter().filter(|bound| {
            use Relation::{AtLeast, AtMost, Equals};
            matches!(bound.relation, AtLeast | AtMost | Equals)
        });
        let mut ends = ends.peekable();
        let is_open = ends.peek().is_none();
        match is_open || ends.any(|end| range.covers(&end.version)) {
            true => Ok(range),
            false => Err(format!(
                "'{text}' is no range of versions: there is none in it"
            )),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Bound { relation, version }) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            match SIGNS.iter().find(|(_, one)| one == relation) {
                Some((sign, _)) => write!(formatter, "{comma}{sign}{version}")?,
                None => write!(formatter, "{comma}{version}{ANY}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Range {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
