//! Unit tests of `values.rs`.

use super::*;

#[test]
fn a_timeout_lies_between_a_millisecond_and_a_day() {
    assert_eq!(seconds("0.001").unwrap(), Duration::from_millis(1));
    assert_eq!(seconds("86400").unwrap(), Duration::from_secs(86_400));
    for text in [
        "0", "-1", "1e-9", "86401", "1e18", "1e19", "1e308", "inf", "NaN", "soon", "",
    ] {
        let error = seconds(text).expect_err(text).to_string();
        assert!(error.contains("from 0.001 to 86400"), "{text}: {error}");
    }
}

#[test]
fn errors_about_numbers_name_the_limit() {
    assert_eq!(jobs("1024").unwrap(), 1024);
    for text in ["0", "1025", "1000000", "-1", "many", ""] {
        let error = jobs(text).expect_err(text).to_string();
        assert!(error.contains("up to 1024"), "{text}: {error}");
    }
    assert_eq!(iteration("99999999").unwrap(), 99_999_999);
    assert_eq!(iterations("100000000").unwrap(), 100_000_000);
    for text in ["100000000", "18446744073709551615", "18446744073709551616"] {
        let error = iteration(text).expect_err(text).to_string();
        assert!(error.contains("from 0 to 99999999"), "{text}: {error}");
    }
    assert!(iterations("100000001").is_err());
}

#[test]
fn a_switch_is_on_or_off_and_nothing_else() {
    for (text, is_on) in [
        ("1", true),
        ("TRUE", true),
        ("on", true),
        ("0", false),
        ("No", false),
    ] {
        assert_eq!(switch(text).unwrap(), is_on, "{text}");
    }
    for text in ["maybe", "2", "-1", " "] {
        assert!(switch(text).is_err(), "{text}");
    }
}

#[test]
fn variables_that_imgduel_sets_itself_cannot_be_passed_on() {
    assert_eq!(variable("PYTHONPATH").unwrap(), "PYTHONPATH");
    for name in [
        "PATH",
        "LC_ALL",
        "TMPDIR",
        "LD_PRELOAD",
        "IMGDUEL_RUN",
        "",
        "A=B",
    ] {
        assert!(variable(name).is_err(), "{name}");
    }
}

#[test]
fn the_sign_of_a_seed_is_ignored() {
    assert_eq!(seed("-18446744073709551615").unwrap(), u64::MAX);
    for text in ["", "-", "18446744073709551616", "1.5", "x1"] {
        assert!(seed(text).is_err(), "{text}");
    }
}
