//! An image file, as requests name it.

use serde::{Deserialize, Serialize};

use crate::image::format::Format;

/// An image file in a side's directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageFile {
    /// Its name, relative to the side's directory: the same on every side.
    pub path: String,
    /// Its format.
    pub format: Format,
    /// The `-o` options it is, or was, created with, as far as they are known. From them a tool knows beforehand whether
    /// it can handle the image.
    #[serde(default)]
    pub options: Vec<String>,
    /// The image below it, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backing: Option<Box<ImageFile>>,
    /// Whether tools that only read it are told its format: one whose format cannot be found out, because it is damaged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub format_is_told: bool,
}

impl ImageFile {
    /// A file with the format's default options, called `STEM.FORMAT`.
    pub fn new(stem: &str, format: Format) -> Self {
        Self {
            path: format!("{stem}.{format}"),
            format,
            options: Vec::new(),
            backing: None,
            format_is_told: false,
        }
    }

    /// The same on top of `backing`, without the options that say so.
    pub fn over(self, backing: &Self) -> Self {
        Self {
            backing: Some(Box::new(backing.clone())),
            ..self
        }
    }

    /// The same with these `-o` options.
    pub fn with_options(self, options: Vec<String>) -> Self {
        Self { options, ..self }
    }

    /// Its name up to the first dot.
    pub fn stem(&self) -> &str {
        self.path.split('.').next().unwrap_or_default()
    }

    /// The names of all files whose bytes a guest may see in it, as far as they are known: its own and those below it.
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![self.path.as_str()];
        names.extend(self.option("backing_file"));
        names.extend(self.data_file());
        names.extend(self.backing.iter().flat_map(|backing| backing.names()));
        names
    }

    /// The file that holds the guest data of a qcow2 (qcow2 specification, External data file).
    pub fn data_file(&self) -> Option<&str> {
        self.option("data_file")
    }

    /// Whether the file called `name` is a part of it: itself, its data file, or an extent of a vmdk, which is named after it
    /// (`STEM-flat.vmdk`, `STEM-s001.vmdk`, `STEM-f001.vmdk`: QEMU, block/vmdk.c).
    pub fn owns(&self, name: &str) -> bool {
        let stem = self.path.strip_suffix(".vmdk");
        let extent = stem.and_then(|stem| name.strip_prefix(stem)?.strip_prefix('-'));
        name == self.path || Some(name) == self.data_file() || extent.is_some()
    }

    /// Whether it lies in more files than [`ImageFile::names`] tells.
    pub fn is_split(&self) -> bool {
        let subformat = self.option("subformat").unwrap_or_default();
        let below = self.backing.as_deref().is_some_and(Self::is_split);
        below || subformat == "monolithicFlat" || subformat.starts_with("twoGb")
    }

    /// Whether it can be read only with the secret.
    pub fn is_encrypted(&self) -> bool {
        self.option("encrypt.format").is_some()
    }

    /// Whether it, or an image below it, can be read only with the secret.
    pub fn is_locked(&self) -> bool {
        self.is_encrypted() || self.backing.as_deref().is_some_and(Self::is_locked)
    }

    /// The cluster size in bytes of a qcow2 with these options: 64 KiB unless they say otherwise.
    pub fn cluster_size(&self) -> u64 {
        self.option("cluster_size")
            .and_then(|bytes| bytes.parse().ok())
            .unwrap_or(65536)
    }

    /// The value of the option `name`, if it was given.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }
}
