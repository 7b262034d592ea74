//! Checks of the options in a case that was read from a file: the harness itself names the files beside an image, and a value is one word.

use super::{CreateOption, CreateOptions};
use crate::image::validity::{self, Validity};

/// The value of `data_file` in a case: the file is named after its image.
const BESIDE: &str = "beside";

impl CreateOptions {
    /// Checks options that were read from the field `name` of a case.
    pub fn validity(&self, name: &str) -> Validity {
        validity::each(name, self.as_slice(), CreateOption::validity)
    }
}

impl CreateOption {
    /// Checks an option that was read from a file.
    pub fn validity(&self) -> Validity {
        let text = self.to_string();
        let wrong = |why: &str| Err(format!(" is '{}': {why}", text.escape_debug()));
        if matches!(self, Self::BackingFile(_) | Self::BackingFormat(_)) {
            return wrong("there is no option of this name that a case may set");
        }
        // A comma would begin another option, and a value must not name a file.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let value = self.value();
        if value.is_empty() || !value.bytes().all(is_plain) {
            return wrong("write a value of letters, digits, dots and dashes");
        }
        match self {
            Self::ClusterSize(bytes) => validity::cluster_size("", *bytes)
                .or_else(|_| wrong("write a power of two from 512 to 67108864, in bytes")),
            Self::DataFile(name) if name != BESIDE => {
                wrong("write data_file=beside: the file is named after its image")
            }
            _ => Ok(()),
        }
    }
}
