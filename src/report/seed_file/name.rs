//! The rule for seed names: a name is the stem of a file, the last part of a trial's name, and the name of a function.

use crate::base::error::{Error, Result};

/// The keywords of Rust, which cannot name a function.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Checks that a stem is an identifier: it names a trial and a function.
pub fn check_stem(stem: &str) -> Result<()> {
    let mut letters = stem.bytes();
    let first = letters.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let is_identifier = first
        && letters.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    match is_identifier && !KEYWORDS.contains(&stem) {
        true => Ok(()),
        false => Err(Error::usage(format!(
            "'{stem}' is not a valid name for a seed: use lower-case letters, digits and underscores, begin with a letter, and avoid keywords of Rust"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_is_the_name_of_a_function() {
        assert!(check_stem("small_shrinks_2").is_ok());
        for stem in [
            "",
            "Not An-Id",
            "2nd",
            "_x",
            "match",
            "self",
            "yield",
            "größe",
            "a\nb",
        ] {
            assert!(check_stem(stem).is_err(), "{stem}");
        }
    }
}
