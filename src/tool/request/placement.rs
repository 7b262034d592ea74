//! Where an image of a chain lies, by which name it records the image below it, and whether that is opened when it is made.
//!
//! Layers and image files have it. The harness makes the directories; it follows no name itself.

use serde::{Deserialize, Serialize};

/// Stands for the side's directory in absolute names, until a tool is asked.
pub const DIRECTORY_MARK: &str = "@DIRECTORY@";

/// A directory within that of a side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Directory {
    /// The side's own.
    #[default]
    Own,
    /// `one`.
    One,
    /// `one/deep`.
    Deep,
    /// `other`.
    Other,
}

impl Directory {
    /// All directories, the simplest first.
    pub const ALL: [Self; 4] = [Self::Own, Self::One, Self::Other, Self::Deep];

    /// Returns its path with a slash at the end, relative to the side's directory.
    pub fn path(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::One => "one/",
            Self::Deep => "one/deep/",
            Self::Other => "other/",
        }
    }
}

/// The form of the name by which an overlay records the image below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackingName {
    /// Relative to the directory of the overlay.
    #[default]
    Relative,
    /// With the protocol `file:`; such a name is relative to the directory of the process.
    File,
    /// Options of the drivers (`json:`), with a name that is relative to the directory of the process.
    Json,
    /// Absolute. It has the mark of the side's directory until a tool is asked.
    Absolute,
}

impl BackingName {
    /// All forms, the simplest first.
    pub const ALL: [Self; 4] = [Self::Relative, Self::File, Self::Json, Self::Absolute];
}

/// Where an image lies, and how it comes to lie on another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Its directory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub directory: Directory,
    /// The form of the name of the image below it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub names: BackingName,
    /// Whether it is made without opening the image below it (`create -u`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unopened: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Placement {
    /// Whether nothing of it is unusual.
    pub fn is_usual(&self) -> bool {
        is_default(self)
    }

    /// Returns how many parts of it are unusual.
    pub fn details(self) -> usize {
        usize::from(!is_default(&self.directory))
            + usize::from(!is_default(&self.names))
            + usize::from(self.unopened)
    }

    /// Returns simpler ones: the usual one first.
    pub fn simpler(self) -> Vec<Self> {
        let mut simpler = vec![Self::default()];
        let names = Self {
            names: BackingName::Relative,
            ..self
        };
        let opened = Self {
            unopened: false,
            ..self
        };
        simpler.extend([names, opened]);
        let before = Directory::ALL
            .into_iter()
            .take_while(|directory| *directory != self.directory);
        simpler.extend(before.map(|directory| Self { directory, ..self }));
        simpler.retain(|other| *other != self);
        simpler.dedup();
        simpler
    }
}

/// Returns the part of a path up to its last slash.
pub fn directory_of(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}

/// Returns the path of a file relative to a directory.
pub(super) fn relative(directory: &str, path: &str) -> String {
    let mut directory = directory.split_inclusive('/').peekable();
    let mut rest = path;
    while let Some(shared) = directory.peek().and_then(|part| rest.strip_prefix(*part)) {
        rest = shared;
        directory.next();
    }
    "../".repeat(directory.count()) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_from_the_overlay_s_directory_to_the_image_below() {
        for (directory, path, expected) in [
            ("", "a", "a"),
            ("", "one/a", "one/a"),
            ("one/", "one/a", "a"),
            ("one/", "a", "../a"),
            ("one/deep/", "other/a", "../../other/a"),
            ("one/deep/", "one/a", "../a"),
            ("one/", "one/deep/a", "deep/a"),
        ] {
            assert_eq!(relative(directory, path), expected, "{directory} {path}");
        }
    }
}
