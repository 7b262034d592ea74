//! What is left of an image after a call of a tool failed on purpose.

/// What is left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultReport {
    /// How the tool ended, in words.
    pub exit: String,
    /// Whether the image was checked.
    pub is_checked: bool,
    /// The number of errors that the check finds, without leaks.
    pub corruptions: u64,
    /// The number of leaked clusters, which a fault may leave.
    pub leaks: u64,
    /// What is neither as before nor as after the request, in words.
    pub wrong: Option<String>,
}

impl FaultReport {
    /// Returns what is wrong, in words.
    pub fn verdict(&self) -> String {
        match (&self.wrong, self.corruptions) {
            (Some(wrong), _) => wrong.clone(),
            (None, 0) => "as before or as after".to_owned(),
            (None, corruptions) => format!("{corruptions} corruptions"),
        }
    }
}
