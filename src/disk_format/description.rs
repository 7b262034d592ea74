//! What is in an image's file, in words: who made it, its features, and what is unusual about it, by section of the specification.
//!
//! `imgduel inspect` shows it. It reads headers and tables and no guest data, and does not say whether the image is sound.

mod qcow2;
mod vdi;
mod vhdx;
mod vmdk;
mod vpc;

use std::path::Path;

use serde::Serialize;

use super::qcow2::{ImageBytes, Unparsable};
use crate::image::format::Format;

/// The most entries of a table that are counted.
const ENTRIES_MAX: u64 = 1 << 22;

/// What is in an image's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Description {
    /// What its headers tell.
    pub facts: Vec<Fact>,
    /// What readers are likely to differ over.
    pub unusual: Vec<Unusual>,
}

/// A fact of a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it is about.
    pub what: &'static str,
    /// The value, in words.
    pub value: String,
}

/// Something unusual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unusual {
    /// What, in a sentence without its end.
    pub what: String,
    /// The section of the specification that it concerns.
    pub section: &'static str,
}

impl Description {
    fn fact(&mut self, what: &'static str, value: impl ToString) {
        let value = value.to_string();
        if value.is_empty() {
            return;
        }
        self.facts.push(Fact { what, value });
    }

    fn unusual_if(&mut self, is_so: bool, what: impl Into<String>, section: &'static str) {
        if is_so {
            let what = what.into();
            self.unusual.push(Unusual { what, section });
        }
    }
}

/// Whether headers of the format tell something.
pub fn is_described(format: Format) -> bool {
    !matches!(
        format,
        Format::Raw | Format::Qcow | Format::Parallels | Format::Dmg | Format::Luks | Format::Qed
    )
}

/// Returns the guest-visible size in bytes that an image's headers tell, without a look at its tables; `None` where nothing is told.
pub fn size(path: &Path, format: Format) -> Option<u64> {
    let described = of_image(path, format).ok()?;
    let fact = described.facts.iter().find(|fact| fact.what == "size")?;
    fact.value.parse().ok()
}

/// Describes an image, which is only read. Formats whose headers tell little have an empty description.
pub fn of_image(path: &Path, format: Format) -> Result<Description, Unparsable> {
    let image = ImageBytes::open_to_read(path)?;
    match format {
        Format::Qcow2 => qcow2::described(&image),
        Format::Vmdk => {
            let name = path.file_name().unwrap_or_default();
            vmdk::described(&image, &name.to_string_lossy())
        }
        Format::Vpc => vpc::described(&image),
        Format::Vhdx => vhdx::described(&image),
        Format::Vdi => vdi::described(&image),
        Format::Raw
        | Format::Qcow
        | Format::Parallels
        | Format::Dmg
        | Format::Luks
        | Format::Qed => Ok(Description::default()),
    }
}

/// Text up to its first zero byte, without spaces at its end.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    let bytes = &bytes[..end.unwrap_or(bytes.len())];
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}
