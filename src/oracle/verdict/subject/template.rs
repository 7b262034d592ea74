//! Parses a text that consists of fixed words with parts between them.
//!
//! Used by the table of subjects. If a text can be divided in several ways, the parts decide which is right.

/// The maximum length of a text; this program writes no longer ones.
const TEXT_BYTES_MAX: usize = 4096;

/// Returns what `build` makes of the parts between these words, for the first division of the text that it accepts. The
/// text must start with the first of `words` and end with the last.
pub(super) fn read<T>(
    text: &str,
    words: &[&str],
    build: impl Fn(&[&str]) -> Option<T>,
) -> Option<T> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let (first, after) = words.split_first()?;
    let rest = text.strip_prefix(first)?;
    divide(rest, after, &mut Vec::new(), &build)
}

fn divide<'text, T>(
    rest: &'text str,
    words: &[&str],
    parts: &mut Vec<&'text str>,
    build: &impl Fn(&[&str]) -> Option<T>,
) -> Option<T> {
    let Some((next, later)) = words.split_first() else {
        return rest.is_empty().then(|| build(parts)).flatten();
    };
    if later.is_empty() {
        parts.push(rest.strip_suffix(next)?);
        let built = build(parts);
        parts.pop();
        return built;
    }
    rest.match_indices(next).find_map(|(place, _)| {
        parts.push(&rest[..place]);
        let built = divide(&rest[place + next.len()..], later, parts, build);
        parts.pop();
        built
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str, words: &[&str]) -> Option<Vec<String>> {
        read(text, words, |parts| {
            let is_short = parts.iter().all(|part| part.len() < 4);
            is_short.then(|| parts.iter().map(|part| (*part).to_owned()).collect())
        })
    }

    #[test]
    fn a_text_is_divided_where_its_parts_say_so() {
        let owned = |parts: &[&str]| Some(parts.iter().map(|part| (*part).to_owned()).collect());
        assert_eq!(parts("of a", &["of ", ""]), owned(&["a"]));
        assert_eq!(parts("of a of b", &["of ", " of ", ""]), owned(&["a", "b"]));
        // Dividing at the first match would leave a part that is too long.
        assert_eq!(parts("a-b-cde", &["", "-", ""]), owned(&["a-b", "cde"]));
        assert_eq!(parts("plain", &["plain"]), owned(&[]));
        for (text, words) in [
            ("plainer", &["plain"][..]),
            ("of a", &["in ", ""]),
            ("a", &["", "!"]),
            ("abcdef", &["", ""]),
        ] {
            assert_eq!(parts(text, words), None, "{text}");
        }
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        assert_eq!(read(&long, &["", ""], |_| Some(())), None);
    }
}
