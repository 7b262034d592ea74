//! How a person starts this program: the words before a command such as `replay`.
//!
//! It is `imgduel`, or, in a test target with libraries of its own, the line of cargo that starts that. Whoever prints a command line asks here.

use std::sync::OnceLock;

static WORDS: OnceLock<Vec<String>> = OnceLock::new();

/// The name of the command.
const COMMAND: &str = "imgduel";

/// Says that this program is started with these words, for the rest of this process. The first call counts.
pub fn is_started_with(words: Vec<String>) {
    let _ = WORDS.set(words);
}

/// Returns the words that start this program.
pub fn words() -> Vec<String> {
    WORDS
        .get()
        .cloned()
        .unwrap_or_else(|| vec![COMMAND.to_owned()])
}

/// Returns the words of [`words`] in one line.
pub fn line() -> String {
    words().join(" ")
}
