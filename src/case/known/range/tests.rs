//! Tests of the ranges of versions.

use super::*;

fn range(text: &str) -> Range {
    text.parse().unwrap()
}

#[test]
fn every_bound_holds_up_to_its_own_end() {
    for (text, inside, outside) in [
        (
            ">=0.2.0, <0.2.7",
            &["0.2.0", "0.2.6"][..],
            &["0.1.9", "0.2.7", "0.3.0"][..],
        ),
        (
            ">=10.0.2, <=10.0.13",
            &["10.0.2", "10.0.9", "10.0.13-1 (Debian)"],
            &["10.0.1", "10.0.14", "10.0", "9.2.0", "unknown"],
        ),
        (">25.01, <=26.05", &["25.02", "26.05"], &["25.01", "26.06"]),
        ("=20201213", &["20201213"], &["20201214", "20201213.1"]),
        (
            "0.2.*",
            &["0.2", "0.2.6", "0.2.6-rc"],
            &["0.20.1", "0.3", "0.1.2"],
        ),
        ("=git-abc", &["git-abc"], &["git-abd", "1.0"]),
    ] {
        for version in inside {
            assert!(range(text).covers(version), "{text}: {version}");
        }
        for version in outside {
            assert!(!range(text).covers(version), "{text}: {version}");
        }
        assert_eq!(range(text).to_string(), text);
    }
}

#[test]
fn a_range_without_a_version_in_it_is_refused_and_so_is_what_is_no_range() {
    for text in [
        "", "1.0", "^1.0", ">=", "=", ">=2, <1", ">=2, <2", "=1, =2", ">=abc", ">=1..=2",
        "1.0, <2", ".*",
    ] {
        assert!(text.parse::<Range>().is_err(), "{text}");
    }
}

#[test]
fn a_range_contains_what_lies_within_it() {
    for (outer, inner) in [
        (">=1.0, <=2.0", ">=1.0, <=2.0"),
        (">=1.0, <=2.0", ">=1.5, <1.6"),
        (">=1.0, <=2.0", "=1.5"),
        (">1.0", ">=1.1"),
        ("<2", "<=1.9"),
        ("1.*", "=1.2"),
        ("1.*", "1.2.*"),
        ("=1", "=1"),
    ] {
        assert!(range(outer).contains(&range(inner)), "{outer} {inner}");
    }
    for (outer, inner) in [
        (">=1.0, <=2.0", ">=1.5, <=2.1"),
        (">=1.0, <=2.0", ">=0.9, <=1.5"),
        (">=1.0, <=2.0", ">=1.5"),
        (">1.0", ">=1.0"),
        ("<2", "<=2"),
        ("1.*", "=2.1"),
        ("1.2.*", "1.*"),
        ("=1", ">=1"),
    ] {
        assert!(!range(outer).contains(&range(inner)), "{outer} {inner}");
    }
}

#[test]
fn only_an_upper_bound_ends_a_range() {
    for (text, ends) in [
        ("=1", true),
        ("<2", true),
        (">=1, <=2", true),
        (">=1", false),
        ("1.*", false),
    ] {
        assert_eq!(range(text).ends(), ends, "{text}");
    }
}

#[test]
fn the_ranges_of_json_mean_what_they_meant() {
    let of = |text: &str| Range::parse_json(text).map(|range| range.to_string());
    assert_eq!(of("25.01..=26.05").unwrap(), ">=25.01, <=26.05");
    assert_eq!(of("3.21..=3.21").unwrap(), "=3.21");
    assert_eq!(of("a..=a").unwrap(), "=a");
    assert_eq!(of("0.2").unwrap(), "0.2.*");
    for text in ["1..=0", "..=1", "1..=", "a..=b", "", " ", "..="] {
        assert!(of(text).is_err(), "{text}");
    }
}

#[test]
fn a_range_reads_as_words() {
    for (text, words) in [
        ("=25.01", "25.01"),
        (">=25.01, <=26.05", "25.01 to 26.05"),
        ("0.2.*", "0.2"),
        (">=1, <2", ">=1, <2"),
    ] {
        assert_eq!(range(text).in_words(), words);
    }
}
