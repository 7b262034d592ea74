//! Of which versions of a tool an entry of the catalogue speaks: ranges that end.
//!
//! `0.2.5..=0.2.6` is every version from the one to the other, both included; `0.2.6` is that version, and those that begin with it up to a
//! dot. What the catalogue writes itself are ranges: a release that nobody has tried is in none of them.

/// What stands between the first and the last version of a range.
const TO: &str = "..=";

/// Whether the words of an entry mean this version.
pub fn covers(known: &str, version: &str) -> bool {
    match known.split_once(TO) {
        Some((first, last)) => match (numbers(first), numbers(last), numbers(version)) {
            (Some(first), Some(last), Some(version)) => first <= version && version <= last,
            // What has no numbers is in no order.
            _ => first == version && last == version,
        },
        None => {
            version == known
                || version
                    .strip_prefix(known)
                    .is_some_and(|rest| rest.starts_with('.'))
        }
    }
}

/// What is wrong with the words, if anything is.
pub fn objection(known: &str) -> Option<String> {
    let Some((first, last)) = known.split_once(TO) else {
        return known
            .trim()
            .is_empty()
            .then(|| "an empty version".to_owned());
    };
    let is_range = match (numbers(first), numbers(last)) {
        (Some(first), Some(last)) => first <= last,
        _ => !first.is_empty() && first == last,
    };
    (!is_range).then(|| {
        format!("'{known}' is no range of versions: write FIRST{TO}LAST, numbers with dots, the lower one first")
    })
}

/// The range of one version alone.
pub fn only(version: &str) -> String {
    format!("{version}{TO}{version}")
}

/// The words for a person: a range of one version is that version.
pub fn in_words(known: &str) -> String {
    match known.split_once(TO) {
        Some((first, last)) if first == last => first.to_owned(),
        Some((first, last)) => format!("{first} to {last}"),
        None => known.to_owned(),
    }
}

/// Whether all that `inner` means is meant by `outer` too.
pub fn contains(outer: &str, inner: &str) -> bool {
    match inner.split_once(TO) {
        Some((first, last)) => covers(outer, first) && covers(outer, last),
        // A version alone has no end.
        None => !outer.contains(TO) && covers(outer, inner),
    }
}

/// The numbers that a version begins with, the most significant first.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    for part in version.split('.') {
        let end = part.find(|letter: char| !letter.is_ascii_digit());
        let (digits, rest) = part.split_at(end.unwrap_or(part.len()));
        let Ok(number) = digits.parse() else { break };
        numbers.push(number);
        // What a distribution puts behind it is no part of the version.
        if !rest.is_empty() {
            break;
        }
    }
    (!numbers.is_empty()).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_alone_covers_itself_and_what_begins_with_it_up_to_a_dot() {
        assert!(covers("0.2.6", "0.2.6") && covers("0.2", "0.2.6"));
        assert!(!covers("0.2", "0.20.1") && !covers("0.2.6", "0.2"));
    }

    #[test]
    fn a_range_covers_both_its_ends_and_nothing_beyond_them() {
        let range = "10.0.2..=10.0.13";
        for version in [
            "10.0.2",
            "10.0.9",
            "10.0.13",
            "10.0.13-1 (Debian)",
            "10.0.13+b1.2",
        ] {
            assert!(covers(range, version), "{version}");
        }
        for version in [
            "10.0.1", "10.0.14", "10.0", "10.1.0", "9.2.0", "11.0.0", "unknown",
        ] {
            assert!(!covers(range, version), "{version}");
        }
    }

    #[test]
    fn what_has_no_numbers_is_covered_by_itself_alone() {
        assert!(covers("git-abc..=git-abc", "git-abc"));
        assert!(!covers("git-abc..=git-abc", "git-abd"));
        assert!(!covers("git-abc..=git-abd", "git-abc"));
        assert!(!covers("git-abb..=git-abc", "git-abc"));
    }

    #[test]
    fn a_range_that_goes_backwards_and_nothing_at_all_are_no_versions() {
        for known in ["1..=0", "..=1", "1..=", "a..=b", "", " ", "..="] {
            assert!(objection(known).is_some(), "{known}");
        }
        for known in ["1..=1", "0.2.5..=0.2.6", "0.2", "a..=a"] {
            assert_eq!(objection(known), None);
        }
    }

    #[test]
    fn a_range_contains_what_lies_within_it() {
        assert!(contains("1.0..=2.0", "1.0..=2.0") && contains("1.0..=2.0", "1.5..=1.6"));
        assert!(!contains("1.0..=2.0", "1.5..=2.1") && !contains("1.0..=2.0", "0.9..=1.5"));
        assert!(contains("1", "1.5..=1.6") && contains("1", "1.2"));
        assert!(!contains("1", "1.5..=2.6") && !contains("1.0..=2.0", "1.5"));
    }

    #[test]
    fn a_range_of_one_version_reads_as_that_version() {
        assert_eq!(in_words(&only("25.01")), "25.01");
        assert_eq!(in_words("25.01..=26.05"), "25.01 to 26.05");
        assert_eq!(in_words("0.2"), "0.2");
        assert!(covers(&only("25.01"), "25.01") && !covers(&only("25.01"), "25.02"));
    }
}
