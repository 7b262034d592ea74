//! The catalogue of known divergences: read, and asked about a finding.

#![no_main]

use imgduel::case::known::Catalogue;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(catalogue) = Catalogue::parse("known/t.toml", text) else {
        return;
    };
    for entry in &catalogue.entries {
        let text = Catalogue::with_entry(None, entry).expect("an entry can be written");
        let again = Catalogue::parse("known/t.toml", &text).expect("what is written can be read");
        assert_eq!(again.entries, [entry.clone()]);
    }
});
