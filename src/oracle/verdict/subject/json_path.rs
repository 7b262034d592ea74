//! The path of a value in JSON: `format-specific.data.bitmaps[0].name`.
//!
//! Part of subjects. The path of a whole document is empty.

use std::fmt;

/// The path of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Key(String),
    Index(usize),
}

impl JsonPath {
    /// Returns the path of a top-level value.
    pub fn key(key: &str) -> Self {
        Self::default().below(key)
    }

    /// Returns the path of the value under `key` in this object.
    pub fn below(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// Returns the path of the element `index`, from 0, in this list.
    pub fn at(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    fn then(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// Returns the last key; `None` for the whole document and for an element of a list.
    pub fn last_key(&self) -> Option<&str> {
        match self.0.last()? {
            Step::Key(key) => Some(key),
            Step::Index(_) => None,
        }
    }

    /// Returns the number of keys and indices.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// Whether it has an index of a list.
    pub fn has_index(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Index(_)))
    }

    /// Parses what [`fmt::Display`] wrote, if all keys consist of letters, digits, `-` and `_`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let mut steps = Vec::new();
        for (place, part) in text.split('.').enumerate() {
            let (key, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
            let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
            match key.is_empty() {
                // Only the document itself can have an index without a key.
                true if place > 0 || indices.is_empty() => return None,
                true => {}
                false if !key.chars().all(is_letter) => return None,
                false => steps.push(Step::Key(key.to_owned())),
            }
            let mut rest = indices;
            while !rest.is_empty() {
                let (index, behind) = rest.strip_prefix('[')?.split_once(']')?;
                let is_number = index.bytes().all(|digit| digit.is_ascii_digit());
                steps.push(Step::Index(index.parse().ok().filter(|_| is_number)?));
                rest = behind;
            }
        }
        Some(Self(steps))
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if place > 0 => write!(formatter, ".{key}")?,
                Step::Key(key) => formatter.write_str(key)?,
                Step::Index(index) => write!(formatter, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_path_is_read_as_it_is_written() {
        let paths = [
            "",
            "virtual-size",
            "[0]",
            "[0].start",
            "[1][22].a_b",
            "format-specific.data.bitmaps[3].flags[0]",
        ];
        for text in paths {
            assert_eq!(JsonPath::parse(text).unwrap().to_string(), text);
        }
        for text in [
            ".", "a.", ".a", "a b", "a[", "a[x]", "a[+1]", "a]", "a[0]b", "a.[0]",
        ] {
            assert_eq!(JsonPath::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_path_tells_its_last_name_and_how_deep_it_leads() {
        let path = JsonPath::parse("format-specific.data.bitmaps[3].name").unwrap();
        assert_eq!(path.last_key(), Some("name"));
        assert_eq!((path.depth(), path.has_index()), (5, true));
        let whole = JsonPath::default();
        assert_eq!(
            (whole.last_key(), whole.depth(), whole.has_index()),
            (None, 0, false)
        );
        assert_eq!(JsonPath::key("a").below("b").at(1).to_string(), "a.b[1]");
        assert_eq!(JsonPath::key("a").at(1).last_key(), None);
    }
}
