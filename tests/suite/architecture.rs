//! Rules about the source text: dependencies between rooms, file headers, file sizes and names.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod functions;
mod order;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use imgduel::oracle::verdict::{DivergenceKind, InconclusiveKind};

/// A source file of the library: its room (the first part of its path), its path and its text.
struct Source {
    room: String,
    path: PathBuf,
    text: String,
}

impl Source {
    /// Returns whether the file belongs to one of these modules, given by their paths below `src`.
    fn lies_in(&self, modules: &[&str]) -> bool {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let path = self.path.strip_prefix(root).unwrap().with_extension("");
        modules.iter().any(|module| path.starts_with(module))
    }
}

/// A text without its unit tests, which stand last in a file.
fn code_of(text: &str) -> &str {
    let tests = text.find("\n#[cfg(test)]\nmod tests {\n");
    tests.map_or(text, |begin| &text[..begin])
}

/// The files of the library and of what it carries to start tools with, those that hold only tests left out.
fn all_code() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for part in ["src", "preload"] {
        let part = root.join(part);
        collect(&part, &part, &mut found);
    }
    let is_test = |path: &Path| path.with_extension("").iter().any(|part| part == "tests");
    let inside = |path: &Path| path.strip_prefix(root).unwrap().to_owned();
    found.retain(|source| !is_test(&inside(&source.path)));
    found
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 30, "only {} files found", found.len());
    found
}

fn collect(root: &Path, directory: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let below = path.strip_prefix(root).unwrap().with_extension("");
            let room = below.iter().next().unwrap().to_str().unwrap().to_owned();
            found.push(Source {
                room,
                text: fs::read_to_string(&path).unwrap(),
                path,
            });
        }
    }
}

/// Returns the rooms and their positions in the list of `lib.rs`.
fn order() -> HashMap<String, usize> {
    let library =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let rooms = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    rooms
        .enumerate()
        .map(|(place, room)| (room.to_owned(), place))
        .collect()
}

/// Returns the rooms that a source text uses as `crate::ROOM`, ignoring comments.
fn rooms_used(text: &str) -> Vec<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut used = Vec::new();
    for line in code {
        for part in line.split("crate::").skip(1) {
            let end = part.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            used.push(part[..end.unwrap_or(part.len())].to_owned());
        }
    }
    used
}

#[test]
fn a_room_uses_only_rooms_above_it() {
    let order = order();
    for source in sources()
        .iter()
        .filter(|source| !["lib", "main"].contains(&source.room.as_str()))
    {
        let own = order
            .get(&source.room)
            .unwrap_or_else(|| panic!("{} is not in lib.rs", source.room));
        for used in rooms_used(&source.text)
            .iter()
            .filter(|used| **used != source.room)
        {
            let place = order
                .get(used)
                .unwrap_or_else(|| panic!("{}: no room {used}", source.path.display()));
            assert!(
                place < own,
                "{} uses {used}, which stands below it",
                source.path.display()
            );
        }
    }
}

#[test]
fn the_files_of_a_room_stand_in_an_order_as_well() {
    for part in ["src", "preload"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(part);
        let mut found = Vec::new();
        collect(&root, &root, &mut found);
        let texts: BTreeMap<order::Module, String> = found
            .into_iter()
            .filter(|source| source.room != "main")
            .map(|source| {
                let below = source.path.strip_prefix(&root).unwrap().with_extension("");
                let parts = below.iter().map(|part| part.to_str().unwrap().to_owned());
                let module = parts.filter(|part| part != "lib").collect();
                (module, source.text)
            })
            .collect();
        let circles = order::Files::new(texts).circles();
        let named = |circle: &[order::Module]| {
            let files = circle.iter().map(|module| module.join("/"));
            files.collect::<Vec<_>>().join(" ")
        };
        let circles: Vec<String> = circles.iter().map(|circle| named(circle)).collect();
        assert!(
            circles.is_empty(),
            "files of {part} that use each other:\n{}",
            circles.join("\n")
        );
    }
}

#[test]
fn a_function_has_at_most_seventy_lines() {
    const LINES_MAX: usize = 70;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut long = Vec::new();
    for source in all_code() {
        let path = source
            .path
            .strip_prefix(root)
            .unwrap()
            .display()
            .to_string();
        for function in functions::functions(&source.text) {
            let functions::Function { name, lines } = function;
            if lines > LINES_MAX {
                long.push(format!("{path}: {name} has {lines} lines"));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// `of` alone says nothing: a name tells what comes out, or what it is made from.
#[test]
fn no_function_is_named_of() {
    let defined = [["fn ", "of("].concat(), ["fn ", "of<"].concat()];
    for source in all_code() {
        let is_defined = defined.iter().any(|begin| source.text.contains(begin));
        assert!(!is_defined, "{}: fn of", source.path.display());
    }
}

#[test]
fn half_of_the_files_have_at_most_150_lines_beside_their_unit_tests() {
    const MEDIAN_MAX: usize = 150;
    let mut lines: Vec<usize> = all_code()
        .iter()
        .map(|source| code_of(&source.text).lines().count())
        .collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    assert!(median <= MEDIAN_MAX, "the median is {median}");
}

#[test]
fn judging_and_verdicts_never_see_tools_sandboxes_or_processes() {
    let judging = ["oracle/verdict", "oracle/judge", "operation"];
    for source in sources().iter().filter(|source| source.lies_in(&judging)) {
        // Requests and answers are plain data.
        let text = source.text.replace("crate::tool::request", "");
        for forbidden in ["tool", "process", "run"] {
            assert!(
                !rooms_used(&text).iter().any(|room| room == forbidden),
                "{} sees {forbidden}",
                source.path.display()
            );
        }
    }
}

/// An answer has its report already: a judge that parsed standard output again would need to know how each tool prints.
#[test]
fn judges_parse_no_output_as_json() {
    let judging = ["oracle", "operation"];
    let sources = sources();
    let judges = sources.iter().filter(|source| source.lies_in(&judging));
    for source in judges.filter(|source| !is_test(source)) {
        let parses = code_of(&source.text).contains("serde_json::from_");
        assert!(!parses, "{}", source.path.display());
    }
}

#[test]
fn every_file_begins_with_a_description() {
    for source in sources() {
        assert!(
            source.text.starts_with("//! "),
            "{} has no head",
            source.path.display()
        );
    }
}

#[test]
fn files_are_small_and_named_after_one_thing() {
    const LINES_MAX: usize = 450;
    for source in sources() {
        let lines = source.text.lines().count();
        assert!(
            lines <= LINES_MAX,
            "{} has {lines} lines",
            source.path.display()
        );
        let stem = source.path.file_stem().unwrap().to_str().unwrap();
        assert!(
            !["util", "utils", "common", "helpers", "types", "misc"].contains(&stem),
            "{stem} is no noun"
        );
    }
}

#[test]
fn only_the_process_room_starts_programs() {
    for source in sources().iter().filter(|source| source.room != "process") {
        assert!(
            !source.text.contains("Command::new"),
            "{} starts a program",
            source.path.display()
        );
    }
}

/// Otherwise the reports that the caller requested from `cargo test` would contain records of stand-ins.
#[test]
fn tests_start_the_command_without_the_variables_of_the_caller() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut found = Vec::new();
    collect(&tests, &tests, &mut found);
    let names_it = ["CARGO_BIN_EXE_", "imgduel"].concat();
    for source in found.iter().filter(|source| source.room != "ring") {
        assert!(
            !source.text.contains(&names_it),
            "{} starts the command otherwise than by ring::imgduel",
            source.path.display()
        );
        let starts_it = ["Command::new(ring::", "PROGRAM"].concat();
        assert!(
            !source.text.contains(&starts_it),
            "{} starts the command with what the caller has set",
            source.path.display()
        );
    }
}

#[test]
fn only_the_rng_room_names_a_random_generator() {
    for source in sources()
        .iter()
        .filter(|source| !source.lies_in(&["base/rng"]))
    {
        let code = source
            .text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let names = ["rand::", "rand_mt", "rand_chacha"];
        assert!(
            code.into_iter()
                .all(|line| names.iter().all(|name| !line.contains(name))),
            "{}",
            source.path.display()
        );
    }
}

/// Every literal in the code of a file that is not a test's: what stands between quotes on a line that is no comment.
fn literals(source: &Source) -> Vec<&str> {
    let end = source.text.find("#[cfg(test)]\nmod tests {");
    let code = source.text[..end.unwrap_or(source.text.len())].lines();
    let code = code.filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split('"').skip(1).step_by(2))
        .collect()
}

fn is_test(source: &Source) -> bool {
    let stem = source.path.file_stem().unwrap();
    let mut folders = source.path.components();
    stem == "tests" || folders.any(|folder| folder.as_os_str() == "tests")
}

/// What differs is a `Subject`, and a kind a `DivergenceKind`: code matches on variants, so that the compiler finds what a new one needs.
///
/// What is forbidden outside of the tables and of tests:
/// * a field of the name `what` of a difference, and the text of a subject taken apart: `subject.to_string()` with anything behind it;
/// * a subject's text: a literal that begins as one does;
/// * the name of a kind of divergence or of an inconclusive verdict, and the endings by which kinds were once told apart.
#[test]
fn nobody_takes_the_text_of_a_subject_or_the_name_of_a_kind_apart() {
    let tables = [
        "oracle/verdict/kind",
        "oracle/verdict/inconclusive",
        "oracle/verdict/subject",
    ];
    // The catalogue's patterns are about texts until its conditions are typed.
    let patterns = ["case/known"];
    let begins = [
        "exit of ",
        "contents of ",
        "header field ",
        "granules that are dirty",
        "host space of ",
        "files that ",
        "compare of ",
        "snapshots of ",
        "metadata of ",
        "memory of ",
    ];
    let endings = ["_divergence", "_crash", "_refused", "_timeout", "_blowup"];
    let mut kinds: Vec<String> = DivergenceKind::all().map(|kind| kind.to_string()).collect();
    kinds.extend(
        InconclusiveKind::ALL
            .iter()
            .map(|kind| kind.name().to_owned()),
    );
    for source in sources().iter().filter(|source| !is_test(source)) {
        if source.lies_in(&tables) {
            continue;
        }
        let path = source.path.display();
        for forbidden in ["difference.what", "found.what", "subject.to_string()."] {
            assert!(!source.text.contains(forbidden), "{path}: {forbidden}");
        }
        for literal in literals(source) {
            let is_subject = begins.iter().any(|begin| literal.starts_with(begin));
            assert!(
                !is_subject || source.lies_in(&patterns),
                "{path} knows the text of a subject: \"{literal}\""
            );
            let is_kind = kinds.iter().any(|kind| kind == literal);
            assert!(!is_kind, "{path} names a kind: \"{literal}\"");
            let is_ending = endings.contains(&literal);
            assert!(
                !is_ending,
                "{path} tells kinds by their ending: \"{literal}\""
            );
        }
    }
}

/// A feature is named in its table alone.
#[test]
fn nobody_names_a_hazard_but_the_table_of_features() {
    for source in sources().iter().filter(|source| !is_test(source)) {
        if source.lies_in(&["operation/feature"]) {
            continue;
        }
        let mut literals = literals(source).into_iter();
        let named = literals.find(|literal| literal.starts_with("hazard_"));
        assert_eq!(named, None, "{}", source.path.display());
    }
}
