//! The image from outside with which a case begins: which one it is, and what is known of each of its files.
//!
//! `--from` makes it; a case holds it, so that it can be run again. The bytes are not here: the run gets them from where the image was, or from the
//! form in which a seed file carries it, and checks them by the digest.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::content::outside::registered;
use super::content::{Fill, Recipe, Texture};
use super::model::View;
use super::validity::{self, Validity};

/// How many hexadecimal digits of the digest the name of a generation has.
pub const SHORT_DIGEST: usize = 12;

/// The length of a digest in hexadecimal digits.
const DIGEST: usize = 32;

/// An image from outside, with the files that it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outside {
    /// The digest of its files: 32 hexadecimal digits.
    pub digest: String,
    /// Where it was; the name of the file alone in a seed that carries it.
    pub path: PathBuf,
    /// The minimal form of it, which `accept-image` makes, in base64: only in a seed that carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// A file of such an image that is an image itself, as a layer of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutsideFile {
    /// Its name.
    pub name: String,
    /// The digest of the image that it belongs to.
    pub digest: String,
    /// The names of its extents and of its data file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// The key of what a guest sees.
    pub guest: u32,
    /// Why it is only to be read, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_read: Option<String>,
    /// Whether our own audit finds its metadata sound. What checks of other images say is only compared.
    #[serde(default)]
    pub is_sound: bool,
    /// Its internal snapshots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<OutsideSnapshot>,
    /// Its persistent bitmaps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bitmaps: Vec<OutsideBitmap>,
}

/// An internal snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutsideSnapshot {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The guest-visible size in bytes, and the key of what a guest sees in it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<(u64, u32)>,
}

/// A persistent bitmap. What is dirty in it is not followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutsideBitmap {
    /// Its name.
    pub name: String,
    /// The number of guest bytes that one bit covers.
    pub granularity: u64,
    /// Whether it records writes.
    pub enabled: bool,
}

/// Whether a name is that of a file in the same directory.
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != "." && name != ".."
}

impl Outside {
    /// Checks what was read from a file.
    pub fn validity(&self) -> Validity {
        digest(&self.digest)
    }

    /// The beginning of the digest, as ids have it.
    pub fn short(&self) -> &str {
        short(&self.digest)
    }
}

/// The beginning of a digest, as ids have it.
pub fn short(digest: &str) -> &str {
    digest.get(..SHORT_DIGEST).unwrap_or(digest)
}

fn digest(text: &str) -> Validity {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match text.len() == DIGEST && text.bytes().all(is_digit) {
        true => Ok(()),
        false => Err(format!(
            "digest is '{}': write {DIGEST} hexadecimal digits",
            text.escape_debug()
        )),
    }
}

impl OutsideFile {
    /// Returns the names of its own files.
    pub fn names(&self) -> Vec<String> {
        let own = std::iter::once(&self.name).chain(&self.parts);
        own.cloned().collect()
    }

    /// Checks what was read from a file.
    pub fn validity(&self) -> Validity {
        digest(&self.digest)?;
        let mut names = std::iter::once(&self.name).chain(&self.parts);
        if let Some(name) = names.find(|name| !is_plain_name(name)) {
            return Err(format!(
                "name is '{}': write the name of a file without a directory",
                name.escape_debug()
            ));
        }
        self.snapshots
            .iter()
            .try_for_each(|snapshot| validity::name("snapshots.name", &snapshot.name))?;
        self.bitmaps.iter().try_for_each(|bitmap| {
            validity::name("bitmaps.name", &bitmap.name)?;
            validity::number(
                "bitmaps.granularity",
                bitmap.granularity,
                1..=validity::BYTES_MAX,
            )
        })
    }
}

/// What a guest sees under a key, in an image of `size` bytes. Zeros, where the run has registered nothing.
pub fn view(key: u32, size: u64) -> View {
    let mut view = View::zeros(size);
    let fill = Fill::Data(Recipe {
        texture: Texture::Outside,
        seed: key,
        shift: 0,
    });
    let guest = registered(key);
    for (start, end) in guest.iter().flat_map(|guest| &guest.runs) {
        view.fill(*start, *end, fill);
    }
    view
}
