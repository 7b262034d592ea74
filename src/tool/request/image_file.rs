//! An image file, as requests name it.

use serde::{Deserialize, Serialize};

use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions, Subformat, as_object};

/// An image file in a side's directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageFile {
    /// Its name, relative to the side's directory: the same on every side.
    pub path: String,
    /// Its format.
    pub format: Format,
    /// The options it is, or was, created with, as far as they are known. From them a tool knows beforehand whether it can
    /// handle the image.
    #[serde(default, with = "as_object")]
    pub options: CreateOptions,
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
            options: CreateOptions::new(),
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

    /// The same with these options.
    pub fn with_options(self, options: impl Into<CreateOptions>) -> Self {
        let options = options.into();
        Self { options, ..self }
    }

    /// The options with which another image is put onto it.
    pub fn backing_options(self) -> [CreateOption; 2] {
        [
            CreateOption::BackingFile(self.path),
            CreateOption::BackingFormat(self.format),
        ]
    }

    /// Its name up to the first dot.
    pub fn stem(&self) -> &str {
        self.path.split('.').next().unwrap_or_default()
    }

    /// The names of all files whose bytes a guest may see in it, as far as they are known: its own and those below it.
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![self.path.as_str()];
        names.extend(self.options.backing_file().map(String::as_str));
        names.extend(self.data_file());
        names.extend(self.backing.iter().flat_map(|backing| backing.names()));
        names
    }

    /// The file that holds the guest data of a qcow2 (qcow2 specification, External data file).
    pub fn data_file(&self) -> Option<&str> {
        self.options.data_file().map(String::as_str)
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
        let below = self.backing.as_deref().is_some_and(Self::is_split);
        below || self.options.subformat().is_some_and(Subformat::is_split)
    }

    /// Whether it can be read only with the secret.
    pub fn is_encrypted(&self) -> bool {
        self.options.encrypt_format().is_some()
    }

    /// Whether it, or an image below it, can be read only with the secret.
    pub fn is_locked(&self) -> bool {
        self.is_encrypted() || self.backing.as_deref().is_some_and(Self::is_locked)
    }

    /// The cluster size in bytes of a qcow2 with these options: 64 KiB unless they say otherwise.
    pub fn cluster_size(&self) -> u64 {
        self.options.cluster_size().unwrap_or(65536)
    }

    /// Whether an image lies below it.
    pub fn is_layered(&self) -> bool {
        self.backing.is_some() || self.options.backing_file().is_some()
    }
}
