//! Where a divergence lies: in a step of the operation, or in a file that is left when all steps are done.
//!
//! Given by the judges, who know it; the facts that the catalogue of known divergences asks for are derived from it.

/// A step or a file. Neither: the operation's last step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The step, by its place among the operation's steps.
    pub step: Option<usize>,
    /// The file that is left, by its name in a side's directory.
    pub file: Option<String>,
}

impl Place {
    /// In this step.
    pub fn step(index: usize) -> Self {
        Self {
            step: Some(index),
            file: None,
        }
    }

    /// In this file, when all steps are done.
    pub fn file(name: &str) -> Self {
        Self {
            step: None,
            file: Some(name.to_owned()),
        }
    }
}
