//! Unit tests of `options.rs`.

use super::*;

#[test]
fn an_option_survives_a_round_trip_through_text() {
    let texts = [
        "cluster_size=512",
        "compat=0.10",
        "extended_l2=on",
        "encrypt.format=luks",
        "encrypt.cipher-alg=aes-256",
        "subformat=twoGbMaxExtentFlat",
        "block_size=16M",
        "backing_fmt=vmdk",
        "preallocation=falloc",
    ];
    let options = CreateOptions::parse(&texts).expect("options");
    let written: Vec<String> = options.iter().map(ToString::to_string).collect();
    assert_eq!(written, texts);
}

#[test]
fn an_unknown_option_or_value_is_refused_with_the_allowed_values() {
    for (text, wanted) in [
        ("cluster_size", "write NAME=VALUE"),
        ("colour=red", "there is no option of this name"),
        ("extended_l2=maybe", "write on or off"),
        ("cluster_size=64k", "write a number"),
        ("compat=3", "write one of 0.10, 1.1"),
        ("subformat=flat", "write one of monolithicSparse"),
        ("block_size=lots", "write a size"),
    ] {
        let error = CreateOption::parse(text).expect_err(text);
        assert!(error.contains(wanted), "{error}");
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn an_option_that_states_the_default_does_not_count() {
    let options = ["cluster_size=65536", "refcount_bits=1", "compat=1.1"];
    let options = CreateOptions::parse(&options).expect("options");
    assert_eq!(options.beyond_defaults(), 1);
    let twice = ["cluster_size=65536", "cluster_size=512"];
    assert!(CreateOptions::parse(&twice).is_err());
}

#[test]
fn an_amended_option_has_only_its_new_value() {
    let mut options = CreateOptions::parse(&["compat=0.10", "cluster_size=512"]).expect("two");
    options.amend(&CreateOptions::from([CreateOption::Compat(
        Compat::Version3,
    )]));
    assert_eq!(options.compat(), Some(Compat::Version3));
    assert_eq!((options.len(), options.is_version_2()), (2, false));
}
