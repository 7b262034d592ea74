//! A text as words with parts between them, taken apart again.
//!
//! Used by the table of subjects. Which of several ways to take a text apart is the right one, the parts themselves say.

/// Longer texts are not taken apart: nothing that this program writes is as long.
const TEXT_BYTES_MAX: usize = 4096;

/// What `build` makes of the parts that stand between these words, for the first way to divide the text of which it makes anything.
/// The text begins with the first of `words` and ends with the last.
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
        // The first place would leave a part that is too long.
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
