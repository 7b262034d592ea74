//! What a person types: case ids, sizes, tools, and every flag's value.

#![no_main]

use std::ffi::OsString;

use clap::Parser;
use imgduel::base::size::Size;
use imgduel::campaign::settings::Settings;
use imgduel::campaign::settings::reading::{Read, read_from};
use imgduel::case::CaseId;
use imgduel::case::generation::{Generation, Selection, ancestry};
use imgduel::tool::ToolSpec;
use libfuzzer_sys::fuzz_target;

/// The Python generations draw all iterations before the one that is wanted; more than this takes long on purpose.
const ITERATION_MAX: u64 = 1000;

/// Changes of one case that are gone through.
const CHANGES_MAX: usize = 8;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    settings: Settings,
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(size) = Size::parse(text) {
        let _ = size.bytes();
    }
    let _ = text.parse::<ToolSpec>().map(|spec| spec.to_string());
    if let Ok(id) = text.parse::<CaseId>() {
        assert_eq!(id.to_string().parse::<CaseId>().as_ref(), Ok(&id));
        let (base, changes) = ancestry::lineage(&id.generation);
        let drawn = id.campaign().map_or(0, |(_, iteration)| iteration);
        let is_quick = drawn <= ITERATION_MAX || !base.starts_with("ops");
        if is_quick && changes.len() <= CHANGES_MAX {
            let _ = Generation::case(&id, &Selection::ALL);
        }
    }
    let words = std::iter::once("imgduel").chain(text.split('\n'));
    let words: Vec<OsString> = words.map(OsString::from).collect();
    match read_from::<CommandLine>(&words) {
        Ok(Read::Arguments(read)) => {
            let CommandLine { mut settings } = *read;
            settings.narrow();
            let _ = (settings.selection(), settings.all_terms());
            if let Ok(generation) = settings.generation() {
                let cases = generation.cases(1, 0, &settings.selection());
                let _ = cases.map(|mut cases| cases.next());
            }
        }
        Ok(Read::Help(_) | Read::NoCommand) => {}
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
});
