//! Text for people: counts with their nouns, line wrapping, and escaping of foreign text for terminals.
//!
//! Used wherever text goes to a terminal, an HTML page or a log. Files for programs (JSON) hold the original text.

use std::borrow::Cow;

/// Formats a count with its noun: `1 case`, `2 cases`.
pub fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Wraps `text` into lines of at most `width` columns, each ended by a line feed. All lines but the first begin with `indent`. A word that is
/// longer than a line gets a line of its own.
pub fn wrapped(text: &str, width: usize, indent: &str) -> String {
    let mut lines = String::new();
    let beginning = text.len() - text.trim_start().len();
    let mut line = text[..beginning].to_owned();
    for word in text.split_whitespace() {
        let is_full = line.chars().count() + 1 + word.chars().count() > width;
        if is_full && !line.trim().is_empty() {
            lines.push_str(&line);
            lines.push('\n');
            line = format!("{indent}{word}");
            continue;
        }
        if !line.trim().is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push_str(&line);
    lines.push('\n');
    lines
}

/// Escapes every character that a terminal, a log or a page would interpret instead of showing: control characters other than line feed and
/// tab, and Unicode's directional marks and line separators.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_interpreted) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            _ if !is_interpreted(letter) => shown.push(letter),
            '\r' => shown.push_str("\\r"),
            '\0'..='\x7f' => shown.push_str(&format!("\\x{:02x}", u32::from(letter))),
            _ => shown.push_str(&format!("\\u{{{:x}}}", u32::from(letter))),
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal interprets the character: a control character, or one of Unicode's explicit directional marks, overrides, isolates, and
/// separators of lines and paragraphs (UAX #9, section 2; UAX #14).
fn is_interpreted(letter: char) -> bool {
    let is_control = letter.is_control() && letter != '\n' && letter != '\t';
    is_control
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_count_of_one_is_singular() {
        assert_eq!(counted(0, "case"), "0 cases");
        assert_eq!(counted(1, "case"), "1 case");
        assert_eq!(counted(2, "tool call"), "2 tool calls");
    }

    #[test]
    fn long_text_is_broken_between_words_and_later_lines_are_indented() {
        assert_eq!(wrapped("one two three", 20, "  "), "one two three\n");
        assert_eq!(wrapped("one two three", 8, "  "), "one two\n  three\n");
        assert_eq!(wrapped("  one two", 6, "    "), "  one\n    two\n");
        assert_eq!(wrapped("unbreakable a", 5, "  "), "unbreakable\n  a\n");
    }

    #[test]
    fn exactly_the_control_characters_are_escaped() {
        for letter in (0..=0x9f_u32).filter_map(char::from_u32) {
            let text = format!("a{letter}b");
            let shown = printable(&text);
            let is_kept = !letter.is_control() || letter == '\n' || letter == '\t';
            assert_eq!(shown == text, is_kept, "{letter:?} became {shown}");
            assert!(!shown.chars().any(is_interpreted), "{letter:?}");
        }
        assert_eq!(
            printable("\x1b[31m\0\r\u{9b}\u{202e}"),
            r"\x1b[31m\x00\r\u{9b}\u{202e}"
        );
        assert_eq!(printable("größer 日本\n\tok"), "größer 日本\n\tok");
    }
}
