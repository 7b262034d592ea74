//! An image file in a request.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions, Subformat, as_object};
use crate::image::unusual_feature::Unusual;

use super::Opening;
use super::placement::{BackingName, DIRECTORY_MARK, Placement, directory_of, relative};

/// The clusters of xo-qcow2 in bytes, whole ones of which make a disk.
const XO_CLUSTER_BYTES: u64 = 64 << 10;

/// An image file in a side's directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageFile {
    /// The name, relative to the side's directory: the same on both sides.
    pub path: String,
    /// The format.
    pub format: Format,
    /// The creation options, as far as they are known. They determine beforehand whether a tool supports the image.
    #[serde(default, with = "as_object")]
    pub options: CreateOptions,
    /// The backing file, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backing: Option<Box<ImageFile>>,
    /// Whether tools that only read it are told its format, because a damaged image cannot be probed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub format_is_told: bool,
    /// How a tool that only reads it opens it.
    #[serde(default, skip_serializing_if = "Opening::is_usual")]
    pub opening: Opening,
    /// Where it lies, and how it comes to lie on another image.
    #[serde(default, skip_serializing_if = "Placement::is_usual")]
    pub placement: Placement,
    /// Its unusual features. They tell what a tool may refuse; tools are not told them.
    #[serde(skip)]
    pub unusual: Box<[Unusual]>,
}

impl ImageFile {
    /// Returns the size in bytes of the disk that a tool makes of a raw file of `bytes`: QEMU, and the model, which does as QEMU does, round that of a vpc up to a
    /// geometry, and Xen Orchestra that of a qcow2 to whole clusters.
    pub fn size_made_by(&self, tool: &str, bytes: u64) -> u64 {
        match tool {
            "qemu-img" | "model" if self.options.force_size() != Some(true) => {
                self.format.created_size(bytes)
            }
            "xo-qcow2" => bytes.next_multiple_of(XO_CLUSTER_BYTES),
            _ => bytes,
        }
    }

    /// Returns a file with default options, named `STEM.FORMAT`.
    pub fn new(stem: &str, format: Format) -> Self {
        Self {
            path: format!("{stem}.{format}"),
            format,
            options: CreateOptions::new(),
            backing: None,
            format_is_told: false,
            opening: Opening::default(),
            placement: Placement::default(),
            unusual: Box::default(),
        }
    }

    /// Returns the file as an overlay of `backing`, without the options that set it.
    pub fn over(self, backing: &Self) -> Self {
        Self {
            backing: Some(Box::new(backing.clone())),
            ..self
        }
    }

    /// Returns the file with these options.
    pub fn with_options(self, options: impl Into<CreateOptions>) -> Self {
        let options = options.into();
        Self { options, ..self }
    }

    /// Returns the options that make this image the backing file of another.
    pub fn backing_options(self) -> [CreateOption; 2] {
        [
            CreateOption::BackingFile(self.path),
            CreateOption::BackingFormat(self.format),
        ]
    }

    /// Returns the name up to the first dot.
    pub fn stem(&self) -> &str {
        self.path.split('.').next().unwrap_or_default()
    }

    /// Returns the names of all files with guest-visible data, as far as they are known: its own and those of its
    /// backing files.
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![self.path.as_str()];
        names.extend(self.options.backing_file().map(String::as_str));
        names.extend(self.data_file());
        names.extend(self.backing.iter().flat_map(|backing| backing.names()));
        names
    }

    /// Returns the external data file of a qcow2 (qcow2 specification, External data file).
    pub fn data_file(&self) -> Option<&str> {
        self.options.data_file().map(String::as_str)
    }

    /// Whether the file `name` belongs to the image: the image itself, its data file, or an extent of a vmdk, which is
    /// named after it (`STEM-flat.vmdk`, `STEM-s001.vmdk`, `STEM-f001.vmdk`: QEMU, block/vmdk.c).
    pub fn owns(&self, name: &str) -> bool {
        let stem = self.path.strip_suffix(".vmdk");
        let extent = stem.and_then(|stem| name.strip_prefix(stem)?.strip_prefix('-'));
        name == self.path || Some(name) == self.data_file() || extent.is_some()
    }

    /// Whether it has more files than [`ImageFile::names`] returns.
    pub fn is_split(&self) -> bool {
        let below = self.backing.as_deref().is_some_and(Self::is_split);
        below || self.options.subformat().is_some_and(Subformat::is_split)
    }

    /// Whether reading it needs the secret.
    pub fn is_encrypted(&self) -> bool {
        self.format == Format::Luks || self.options.encrypt_format().is_some()
    }

    /// Whether reading it or one of its backing files needs the secret.
    pub fn is_locked(&self) -> bool {
        self.is_encrypted() || self.backing.as_deref().is_some_and(Self::is_locked)
    }

    /// Returns the cluster size in bytes of a qcow2 with these options: 64 KiB by default.
    pub fn cluster_size(&self) -> u64 {
        self.options.cluster_size().unwrap_or(65536)
    }

    /// Whether it has a backing file.
    pub fn is_layered(&self) -> bool {
        self.backing.is_some() || self.options.backing_file().is_some()
    }

    /// Returns the name by which this image, as an overlay, records the image `below`.
    pub fn name_for(&self, below: &Self) -> String {
        let relative = relative(directory_of(&self.path), &below.path);
        match self.placement.names {
            BackingName::Relative => relative,
            BackingName::File => format!("file:{relative}"),
            BackingName::Absolute => format!("{DIRECTORY_MARK}/{}", below.path),
            BackingName::Json => {
                let file = json!({ "driver": "file", "filename": relative });
                let driver = below.format.name();
                format!("json:{}", json!({ "driver": driver, "file": file }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_form_that_the_overlay_asks_for() {
        let below = ImageFile::new("one/0", Format::Raw);
        let named = |names| {
            let overlay = ImageFile {
                placement: Placement {
                    names,
                    ..Placement::default()
                },
                ..ImageFile::new("1", Format::Qcow2)
            };
            overlay.name_for(&below)
        };
        assert_eq!(named(BackingName::File), "file:one/0.raw");
        assert_eq!(
            named(BackingName::Json),
            r#"json:{"driver":"raw","file":{"driver":"file","filename":"one/0.raw"}}"#
        );
    }
}
