//! The place of a divergence: a step of the operation, or a final image.
//!
//! The judges set it; the facts for the catalogue of known divergences are derived from it.

/// A step or a file; if neither is set, the last step of the operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The index of the step in the operation.
    pub step: Option<usize>,
    /// The name of the final image in a side's directory.
    pub file: Option<String>,
}

impl Place {
    /// Returns the place of a step.
    pub fn step(index: usize) -> Self {
        Self {
            step: Some(index),
            file: None,
        }
    }

    /// Returns the place of a final image.
    pub fn file(name: &str) -> Self {
        Self {
            step: None,
            file: Some(name.to_owned()),
        }
    }
}
