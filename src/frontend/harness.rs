//! A test target for libraries of one's own: the harness that the author of a crate adds.
//!
//! The test binary is everything at once: the test target (`trial`), the workers in which the libraries run, and the command (`command`) with these libraries
//! as its candidates. The macro `harness!` writes its `main`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::base::program;
use crate::frontend::libtest::Flags;
use crate::frontend::{command, trial};
use crate::report::complain;
use crate::tool::libraries;
use crate::tool::library::hosting::Hosted;
use crate::tool::library::{AsyncLibrary, Blocking, Library};

/// The length of the hash that cargo appends to the name of a test program.
const HASH_LETTERS: usize = 16;

/// A test target with libraries of its own as candidates.
///
/// `cargo test` runs the seeds in `fuzz-seeds/` and some fresh cases with each of them; `cargo test --test differential -- replay ID` and every other
/// command of imgduel works with them as well.
pub struct Harness {
    package: PathBuf,
    libraries: Vec<Box<dyn Hosted>>,
}

impl Harness {
    /// Returns a harness of the package in this directory, `env!("CARGO_MANIFEST_DIR")`, without candidates yet.
    pub fn new(package: impl Into<PathBuf>) -> Self {
        Self {
            package: package.into(),
            libraries: Vec::new(),
        }
    }

    /// Adds a library as candidate.
    pub fn candidate(mut self, library: impl Library) -> Self {
        self.libraries.push(Box::new(library));
        self
    }

    /// Adds an asynchronous library as candidate.
    pub fn async_candidate(self, library: impl AsyncLibrary) -> Self {
        self.candidate(Blocking(library))
    }

    /// Runs as what the arguments of this process ask for: a worker, a command of imgduel, or the test target. Returns the exit code of `main`.
    #[must_use = "main has to return it"]
    pub fn main(self) -> ExitCode {
        if let Err(error) = libraries::bring(self.libraries) {
            complain(&error);
            return ExitCode::from(2);
        }
        let arguments: Vec<OsString> = std::env::args_os().collect();
        program::is_started_with(starting_words(arguments.first().map(Path::new)));
        match is_command(&arguments) {
            true => command::main(),
            false => trial::main(&self.package),
        }
    }
}

/// Whether the arguments are a command of imgduel and not filters of the test target: a command's name, followed by something, and no flag that only test
/// targets have.
pub fn is_command(arguments: &[OsString]) -> bool {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let [_, first, _, ..] = &*words else {
        return false;
    };
    let grammar = command::grammar();
    let mut commands = grammar.get_subcommands();
    let is_named = commands.any(|command| command.get_name() == *first);
    is_named && !words.iter().any(|word| Flags::has(word))
}

/// Returns the words that start this test target through cargo.
fn starting_words(program: Option<&Path>) -> Vec<String> {
    let stem = program.and_then(Path::file_stem);
    let stem = stem.map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let is_hash = |hash: &str| {
        hash.len() == HASH_LETTERS && hash.bytes().all(|letter| letter.is_ascii_hexdigit())
    };
    let target = match stem.rsplit_once('-') {
        Some((target, hash)) if is_hash(hash) => target,
        _ => &stem,
    };
    let package = std::env::var("CARGO_PKG_NAME").ok();
    let package = package.iter().flat_map(|name| ["-p", name]);
    ["cargo", "test"]
        .into_iter()
        .chain(package)
        .chain(["--test", target, "--"])
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn a_command_is_told_from_a_filter() {
        for line in [
            "differential replay native1_s1_i0",
            "differential fuzz --duration 10m",
            "differential config .",
        ] {
            assert!(is_command(&words(line)), "{line}");
        }
        for line in [
            "differential",
            "differential replay",
            "differential fuzz --nocapture",
            "differential regression::replay --exact",
            "differential --list --format terse",
            "differential script --exact --nocapture",
        ] {
            assert!(!is_command(&words(line)), "{line}");
        }
    }

    #[test]
    fn a_test_program_is_started_through_cargo() {
        let words = starting_words(Some(Path::new("/t/deps/differential-0123456789abcdef")));
        assert_eq!(words[words.len() - 3..], ["--test", "differential", "--"]);
        let words = starting_words(Some(Path::new("/t/my-test")));
        assert_eq!(words[words.len() - 2], "my-test");
    }
}
