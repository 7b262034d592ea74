//! The order of versions: by their numbers, not as text.
//!
//! Used wherever a rule depends on the release of a tool. Tools write versions in different ways, so only the leading numbers count.

/// The leading numbers of a version, most significant first: `[10, 0, 2]` for `10.0.2-rc1`. Empty if the version does not begin with a number.
pub fn numbers(version: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    for part in version.split('.') {
        let end = part.find(|letter: char| !letter.is_ascii_digit());
        let Ok(number) = part[..end.unwrap_or(part.len())].parse() else {
            break;
        };
        numbers.push(number);
        if end.is_some() {
            break;
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let ordered = [
            "", "unknown", "5.2.0", "7.2", "7.2.0", "7.2.9", "7.2.22", "10.0.2", "10.0.13",
            "11.1.3",
        ];
        for two in ordered.windows(2) {
            assert!(numbers(two[0]) <= numbers(two[1]), "{two:?}");
        }
        assert!(numbers("10.0.2") < numbers("10.0.13"));
    }

    #[test]
    fn text_after_the_numbers_does_not_count() {
        assert_eq!(numbers("8.0.0-rc1"), [8, 0, 0]);
        assert_eq!(numbers("25.01"), [25, 1]);
        assert_eq!(numbers("11.2.50+x.7"), [11, 2, 50]);
        assert_eq!(numbers("v7"), [0; 0]);
        assert_eq!(numbers("99999999999999999999.1"), [0; 0]);
    }
}
