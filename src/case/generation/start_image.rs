//! An image from outside, as generations draw cases from it.
//!
//! The entry points make it of what the run has opened; no file is read here.

use crate::disk_format::damage::Found;
use crate::image::format::Format;
use crate::image::outside::Outside;
use crate::operation::chain::Layer;

/// An image from outside, as cases are drawn from it.
#[derive(Clone, Debug)]
pub struct StartImage {
    /// Which one it is.
    pub from: Outside,
    /// Its format.
    pub format: Format,
    /// The layers of a chain that begins with it, bottom first.
    pub layers: Vec<Layer>,
    /// The structures of its own file with the fields that it has; none if it is too long to be damaged.
    pub fields: Vec<Found>,
}

impl StartImage {
    /// Why none of its fields can be damaged.
    pub(super) fn why_undamaged(&self, fields: &Option<Vec<String>>) -> String {
        match (self.fields.is_empty(), fields) {
            (false, Some(names)) => format!("it has none of {}", names.join(", ")),
            _ => format!(
                "a {} has none that are known, or its file is longer than 64 MiB",
                self.format
            ),
        }
    }
}
