//! The documents: every link has a target, imgduel accepts every command line, every flag and variable is documented, and the README is
//! short.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use imgduel::frontend::{command, trial};

use crate::ring;

/// Limits of the README: more is not read before trying something.
const README_LINES_MAX: usize = 150;
const README_BYTES_MAX: usize = 10_000;

/// Documents at the top of the repository that are checked like those of `docs/`.
const AT_THE_TOP: [&str; 4] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
];

struct Document {
    path: PathBuf,
    text: String,
}

fn documents() -> Vec<Document> {
    let book = fs::read_dir(ring::package().join("docs")).unwrap();
    let book = book.map(|entry| entry.unwrap().path());
    let book = book.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let top = AT_THE_TOP.map(|name| ring::package().join(name));
    let paths: BTreeSet<PathBuf> = top.into_iter().chain(book).collect();
    let read = |path: PathBuf| Document {
        text: fs::read_to_string(&path).unwrap(),
        path,
    };
    paths.into_iter().map(read).collect()
}

/// Returns the lines of a Markdown text, each with the language of the fenced block around it.
fn lines(text: &str) -> Vec<(Option<&str>, &str)> {
    let mut fence = None;
    let mut found = Vec::new();
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(language), None) => fence = Some(language),
            (None, _) => found.push((fence, line)),
        }
    }
    found
}

/// Returns the text of a Markdown document without its fenced blocks.
fn prose(text: &str) -> String {
    let outside = lines(text).into_iter().filter(|(fence, _)| fence.is_none());
    let outside: Vec<&str> = outside.map(|(_, line)| line).collect();
    outside.join("\n")
}

/// Returns the anchors of a document's headings, as GitHub and mdBook generate them.
fn anchors(text: &str) -> Vec<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
        let kept: String = heading.chars().filter(kept).collect();
        kept.to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// Returns the targets of all links of a text.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    let parts = prose.split("](").skip(1);
    let targets = parts.filter_map(|part| part.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// Returns why a link of a document is broken; `None` if its target exists.
fn broken(path: &Path, text: &str, target: &str) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let (other, text) = match file {
        "" => (path.to_owned(), text.to_owned()),
        _ => {
            let other = path.parent().unwrap().join(file);
            if !other.exists() {
                return Some(format!("there is no {file}"));
            }
            let text = fs::read_to_string(&other).unwrap_or_default();
            (other, text)
        }
    };
    let has_anchor = anchor.is_empty() || anchors(&text).iter().any(|found| found == anchor);
    (!has_anchor).then(|| format!("{} has no heading {anchor}", other.display()))
}

#[test]
fn every_link_leads_to_an_existing_file_and_heading() {
    let mut links = 0;
    for Document { path, text } in documents() {
        for target in targets(&text) {
            links += 1;
            let wrong = broken(&path, &text, &target);
            assert_eq!(wrong, None, "{}: [..]({target})", path.display());
        }
    }
    assert!(links > 100, "only {links} links were found");
    let (path, text) = (
        ring::package().join("README.md"),
        "# One\n\n## Two `x`, three\n",
    );
    let gone = |target: &str| broken(&path, text, target).is_some();
    assert!(gone("docs/nothing.md") && gone("#four") && gone("docs/findings.md#nothing"));
    assert!(!gone("#two-x-three") && !gone("#one") && !gone("docs/findings.md#defects-found"));
}

/// The files of the repository that a text names in code, as `src/lib.rs`; not those with a placeholder in capitals.
fn named_files(text: &str) -> Vec<String> {
    let prose = prose(text);
    let code = prose.split('`').skip(1).step_by(2);
    let places = [
        "src/",
        "tests/",
        "docs/",
        "examples/",
        "preload/",
        "contrib/",
        "findings/",
        ".ci/",
        ".github/",
    ];
    let is_place = |name: &&str| places.iter().any(|place| name.starts_with(place));
    let is_plain = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "/._-".contains(letter)
    };
    let named = code
        .filter(is_place)
        .filter(|name| name.chars().all(is_plain));
    named.map(str::to_owned).collect()
}

#[test]
fn every_file_that_the_documents_name_is_there() {
    let mut named = 0;
    for Document { path, text } in documents() {
        for file in named_files(&text) {
            named += 1;
            assert!(
                ring::package().join(&file).exists(),
                "{}: there is no {file}",
                path.display()
            );
        }
    }
    assert!(named > 30, "only {named} files are named");
    assert_eq!(
        named_files("`src/a.rs`, `src/NAME.rs`, `fuzz-seeds/` and `.ci/run`"),
        ["src/a.rs", ".ci/run"]
    );
}

#[test]
fn every_page_of_the_book_is_in_its_table_of_contents() {
    let docs = ring::package().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: BTreeSet<String> = targets(&summary).into_iter().collect();
    for Document { path, .. } in documents()
        .iter()
        .filter(|found| found.path.starts_with(&docs))
    {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            name == "SUMMARY.md" || listed.contains(name),
            "{name} is not in SUMMARY.md"
        );
    }
}

#[test]
fn the_readme_is_short() {
    let text = fs::read_to_string(ring::package().join("README.md")).unwrap();
    let lines = text.lines().count();
    assert!(
        lines <= README_LINES_MAX,
        "{lines} lines: move something into docs/"
    );
    assert!(
        text.len() <= README_BYTES_MAX,
        "{} bytes: move something into docs/",
        text.len()
    );
}

#[test]
fn no_document_contains_a_path_of_a_developer_s_machine() {
    for Document { path, text } in documents() {
        for word in ["/root/", "/home/", "/work/", "index.crates.io"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

/// Returns the command lines of a document as words, and whether each is complete: in running text, it may be a fragment.
fn command_lines(text: &str) -> Vec<(Vec<String>, bool)> {
    let mut found = Vec::new();
    let mut begun = String::new();
    for (_, line) in lines(text).iter().filter(|(fence, _)| fence.is_some()) {
        let line = line.strip_prefix("$ ").unwrap_or(line);
        begun.push_str(line.strip_suffix('\\').unwrap_or(line));
        if !line.ends_with('\\') {
            found.extend(commands(&begun).into_iter().map(|words| (words, true)));
            begun.clear();
        }
    }
    let prose = prose(text);
    let code = prose.split('`').skip(1).step_by(2);
    found.extend(code.flat_map(commands).map(|words| (words, false)));
    found
}

/// Returns the commands of a shell line that begin with `imgduel` or `cargo`, without variables, comments and redirections.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for word in words(line) {
        match word.as_str() {
            "#" => break,
            "&&" | "|" | ">" | "2>" => all.push(Vec::new()),
            _ => all.last_mut().unwrap().push(word),
        }
    }
    let is_variable = |word: &String| word.starts_with("IMGDUEL_") && word.contains('=');
    for words in &mut all {
        let variables = words.iter().take_while(|word| is_variable(word)).count();
        words.drain(..variables);
    }
    all.retain(|words| {
        let program = words.first().map(String::as_str);
        words.len() > 1 && matches!(program, Some("imgduel" | "cargo"))
    });
    all
}

/// Splits a line into words like a shell.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (String::new(), None);
    for letter in line.chars() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => quote = Some(letter),
            (' ', None) => words.push(std::mem::take(&mut word)),
            _ => word.push(letter),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Returns why imgduel would reject a command line; `None` if it accepts the line or the line is not for imgduel.
fn objection(words: &[String], is_whole: bool) -> Option<String> {
    let behind = words.iter().position(|word| word == "--");
    let behind = behind.map_or(&[][..], |place| &words[place + 1..]);
    let has = |word: &str| words.iter().any(|own| own == word);
    let (grammar, given) = match (words[0].as_str(), words[1].as_str()) {
        ("imgduel", _) => (command::grammar(), &words[1..]),
        ("cargo", "run") if !behind.is_empty() => (command::grammar(), behind),
        ("cargo", "test") if has("differential") && names_command(behind) => {
            (command::grammar(), behind)
        }
        ("cargo", "test") if has("differential") => (trial::grammar(), behind),
        _ => return None,
    };
    refused(&grammar, given.to_vec(), is_whole)
}

/// Whether the arguments of a test target with libraries of its own are a command.
fn names_command(behind: &[String]) -> bool {
    let words = std::iter::once("differential").chain(behind.iter().map(String::as_str));
    let words: Vec<std::ffi::OsString> = words.map(Into::into).collect();
    imgduel::frontend::harness::is_command(&words)
}

/// Returns clap's error about a command line. Placeholder values in capitals count as valid.
fn refused(grammar: &Command, mut given: Vec<String>, is_whole: bool) -> Option<String> {
    loop {
        let line = std::iter::once("imgduel".to_owned()).chain(given.clone());
        let error = grammar.clone().try_get_matches_from(line).err()?;
        let value = match error.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) => value.clone(),
            _ => String::new(),
        };
        let is_placeholder = |letter: char| letter.is_ascii_uppercase() || letter == ',';
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return None,
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                if !is_whole =>
            {
                return None;
            }
            ErrorKind::ValueValidation | ErrorKind::InvalidValue
                if !value.is_empty() && value.chars().all(is_placeholder) =>
            {
                let place = given.iter().position(|word| *word == value)?;
                given.remove(place);
                // Remove the flag before the placeholder as well.
                if place > 0 && given[place - 1].starts_with("--") {
                    given.remove(place - 1);
                }
            }
            _ => return Some(error.to_string()),
        }
    }
}

#[test]
fn imgduel_accepts_every_command_line_in_the_documents() {
    let mut checked = 0;
    for Document { path, text } in documents() {
        for (words, is_whole) in command_lines(&text) {
            checked += 1;
            let wrong = objection(&words, is_whole);
            let line = words.join(" ");
            assert_eq!(wrong, None, "{}: {line}", path.display());
        }
    }
    assert!(checked > 50, "only {checked} command lines were found");
}

#[test]
fn a_command_line_with_an_unknown_flag_or_command_is_detected() {
    for line in [
        "```console\n$ imgduel fuzz --no-such-flag\n```",
        "```console\n$ IMGDUEL_SEED=1 cargo run --release -- fizz\n```",
        "```console\n$ cargo test --test differential -- --sead 5\n```",
        "```console\n$ imgduel replay\n```",
        "so does `imgduel fuzz --iterations many`",
    ] {
        let found = command_lines(line);
        assert!(
            found
                .iter()
                .any(|(words, is_whole)| objection(words, *is_whole).is_some()),
            "{line}"
        );
    }
    for line in [
        "`imgduel shrink`",
        "`imgduel fuzz --timeout SECONDS --seed 7`",
    ] {
        let found = command_lines(line);
        assert_eq!(found.len(), 1);
        assert_eq!(objection(&found[0].0, false), None, "{line}");
    }
}

/// Returns the flags of the command `fuzz` and of the test target, each with its variable.
fn flags() -> BTreeSet<(String, Option<String>)> {
    let command = command::grammar();
    let fuzz = command.find_subcommand("fuzz").unwrap().clone();
    let records = trial::grammar();
    let records = records
        .get_arguments()
        .filter(|flag| flag.get_env().is_some());
    let all = fuzz.get_arguments().chain(records);
    let named = all.filter_map(|flag| {
        let variable = flag.get_env().map(|name| name.to_str().unwrap().to_owned());
        Some((flag.get_long()?.to_owned(), variable))
    });
    named.filter(|(flag, _)| flag != "help").collect()
}

#[test]
fn the_page_of_the_command_documents_every_command_flag_and_variable() {
    let page = fs::read_to_string(ring::package().join("docs/command.md")).unwrap();
    for (flag, variable) in flags() {
        assert!(page.contains(&format!("`--{flag}")), "--{flag} is missing");
        if let Some(variable) = variable {
            assert!(
                page.contains(&format!("`{variable}`")),
                "{variable} is missing"
            );
        }
    }
    for command in command::grammar().get_subcommands() {
        let name = format!("`imgduel {}", command.get_name());
        assert!(page.contains(&name), "{name} is missing");
    }
}

#[test]
fn the_code_reads_every_variable_that_the_documents_name() {
    let flags = flags();
    let flags: BTreeSet<&str> = flags
        .iter()
        .filter_map(|(_, name)| name.as_deref())
        .collect();
    // The benchmark reads these.
    let others = [
        "IMGDUEL_PEER",
        "IMGDUEL_BENCH_ITERATIONS",
        "IMGDUEL_BASELINE",
    ];
    for Document { path, text } in documents() {
        for part in text.split("IMGDUEL_").skip(1) {
            let end = part.find(|letter: char| !letter.is_ascii_uppercase() && letter != '_');
            let name = format!("IMGDUEL_{}", &part[..end.unwrap_or(part.len())]);
            // `IMGDUEL_*` stands for all variables.
            let is_one = flags.contains(name.as_str()) || others.contains(&name.as_str());
            assert!(is_one || name == "IMGDUEL_", "{}: {name}", path.display());
        }
    }
}
