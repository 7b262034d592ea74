//! Reads the command line and the environment, and reports each mistake in one line that names the flag or variable.
//!
//! Both entry points call it. clap does the parsing. The settings of `imgduel.toml` become defaults. This module makes clap treat empty variables as unset, and reduces its error report to
//! one line, which includes clap's tips and names the variable if the value came from one.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::file::{ConfigFile, Entry, NAME};
use super::flags::Flags;
use super::values::switch;
use crate::base::error::{Error, Result};
use crate::tool::libraries;

/// The parsed arguments, or the text to show instead.
pub enum Read<T> {
    /// The arguments.
    Arguments(Box<T>),
    /// The text of `--help` or `--version`.
    Help(String),
    /// No sub-command was named.
    NoCommand,
}

/// Flags that are shorthands for a setting. Each overrides the variable of that setting.
const SHORT_FORMS: [(&str, &str); 1] = [("--instar", "IMGDUEL_CANDIDATE")];

/// What the file may also set: flags of single commands, and whether each is a switch.
const OF_COMMANDS: [(&str, bool); 7] = [
    ("corpus", false),
    ("guided", true),
    ("log-dir", false),
    ("model-cases", false),
    ("no-kept-process", true),
    ("no-shrink", true),
    ("records", false),
];

/// What cannot be set in the file: where the file is, and what of it holds.
const OWN: [&str; 2] = ["config", "profile"];

/// How alike two names are, from 0 to 1, if one is taken for a misspelling of the other.
const NEAR_RATIO: f32 = 0.7;

/// The setting that names the tools under test, and its flag.
const CANDIDATES: &str = "candidates";
const CANDIDATE: &str = "candidate";

/// Reads the arguments of this process. Fails with a one-line usage error.
pub fn read<T: CommandFactory + FromArgMatches>() -> Result<Read<T>> {
    let words: Vec<OsString> = std::env::args_os().collect();
    read_from(&words)
}

/// Reads these words, the program's name first, as a command line.
pub fn read_from<T: CommandFactory + FromArgMatches>(words: &[OsString]) -> Result<Read<T>> {
    let command = prepared(T::command(), words);
    let mut command = configured(command, &entries(words)?);
    let mut matches = match command.try_get_matches_from_mut(words) {
        Ok(matches) => matches,
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                return Ok(Read::Help(error.to_string()));
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return Ok(Read::NoCommand),
            _ => return Err(complaint(&error, &command, words)),
        },
    };
    T::from_arg_matches_mut(&mut matches)
        .map(|arguments| Read::Arguments(Box::new(arguments)))
        .map_err(|error| complaint(&error, &command, words))
}

/// Removes the variables that are empty or overridden from the command.
pub(super) fn prepared(command: Command, words: &[OsString]) -> Command {
    let is_replaced = |name: &OsStr| {
        SHORT_FORMS
            .iter()
            .any(|(flag, variable)| name == *variable && has_flag(words, flag))
    };
    let brought = libraries::brought();
    let counts = &|argument: Arg| {
        // The libraries of a test target are its candidates.
        let is_of_libraries = argument.get_id() == CANDIDATES && !brought.is_empty();
        let argument = match is_of_libraries {
            true => argument.default_values(brought.clone()),
            false => argument,
        };
        let name = argument.get_env().map(OsStr::to_owned);
        let is_void = name.is_some_and(|name| {
            is_replaced(&name) || std::env::var_os(&name).is_some_and(|value| value.is_empty())
        });
        match is_void {
            true => argument.env(Resettable::<clap::builder::OsStr>::Reset),
            false => argument,
        }
    };
    command
        .mut_args(counts)
        .mut_subcommands(|command| command.mut_args(counts))
}

/// Returns the settings of `imgduel.toml`, checked; none if there is no file.
pub(super) fn entries(words: &[OsString]) -> Result<Vec<Entry>> {
    let directory = std::env::current_dir()
        .map_err(|error| Error::system(format!("cannot tell the working directory: {error}")))?;
    let profile = chosen(words, "profile");
    let file = match chosen(words, "config") {
        Some(path) => Some(ConfigFile::read(Path::new(&path), &directory)?),
        None => ConfigFile::find(&directory)?,
    };
    let Some(file) = file else {
        return match profile {
            Some(name) => Err(Error::usage(format!(
                "there is no {NAME} here that could have the profile '{name}'"
            ))),
            None => Ok(Vec::new()),
        };
    };
    // A mistake in a profile is told before that is wanted.
    file.every_entry()?.iter().try_for_each(check)?;
    file.entries(profile.as_deref())
}

/// Returns the value of a flag or its variable, found before the command line is parsed.
fn chosen(words: &[OsString], flag: &str) -> Option<String> {
    let long = format!("--{flag}");
    let mut words = words.iter().filter_map(|word| word.to_str());
    let given = words.find_map(|word| match word.strip_prefix(&*long)? {
        "" => Some(None),
        rest => rest.strip_prefix('=').map(|value| Some(value.to_owned())),
    });
    let given = match given {
        Some(None) => words.next().map(str::to_owned),
        Some(value) => value,
        None => std::env::var(format!("IMGDUEL_{}", flag.to_uppercase())).ok(),
    };
    given.filter(|value| !value.is_empty())
}

/// Whether this process is told which tools to test, by a flag, a variable or `imgduel.toml`.
///
/// # Errors
///
/// As of reading that file.
pub fn is_candidate_named() -> Result<bool> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let is_flag = chosen(&words, CANDIDATE).is_some();
    Ok(is_flag || entries(&words)?.iter().any(|entry| entry.key == CANDIDATE))
}

/// Fails unless an entry of the file is a setting, and its value fits.
fn check(entry: &Entry) -> Result<()> {
    let Entry { key, values, place } = entry;
    if let Some((_, is_switch)) = OF_COMMANDS.iter().find(|(name, _)| name == key) {
        let is_fit = !is_switch || values.iter().all(|value| switch(value).is_ok());
        return match is_fit {
            true => Ok(()),
            false => Err(Error::usage(format!("{place}: {key}: write true or false"))),
        };
    }
    let mut command = Flags::command()
        .mut_args(|argument| argument.env(Resettable::<clap::builder::OsStr>::Reset));
    // Only a built argument can be shown.
    command.build();
    let mut arguments = command.get_arguments();
    let known = arguments.find(|argument| argument.get_long() == Some(key));
    let Some(argument) = known.filter(|_| !OWN.contains(&&**key)) else {
        let names = command.get_arguments().filter_map(Arg::get_long);
        let names = names.filter(|name| !OWN.contains(name));
        let near = nearest(key, names.chain(OF_COMMANDS.map(|(name, _)| name)));
        let near = near.map_or_else(String::new, |name| format!(": is {name} meant?"));
        return Err(Error::usage(format!(
            "{place}: there is no setting '{key}'{near}"
        )));
    };
    let is_switch = argument.get_action().takes_values();
    if !is_switch {
        let wrong = values.iter().find_map(|value| switch(value).err());
        return wrong.map_or(Ok(()), |_| {
            Err(Error::usage(format!("{place}: {key}: write true or false")))
        });
    }
    let words = values.iter().map(|value| format!("--{key}={value}"));
    let words = std::iter::once(String::new()).chain(words);
    let tried = command.clone().try_get_matches_from(words);
    tried.map(drop).map_err(|error| {
        let text = error.to_string();
        let said = text.lines().next().unwrap_or_default();
        let said = said.strip_prefix("error: ").unwrap_or(said);
        let shown = format!(" for '{argument}'");
        Error::usage(format!("{place}: {key}: {}", said.replace(&shown, "")))
    })
}

/// Returns the name that differs from `key` in few letters.
fn nearest<'name>(key: &str, names: impl Iterator<Item = &'name str>) -> Option<&'name str> {
    let plain = key.replace('_', "-").to_lowercase();
    let ratio = |name: &str| similar::TextDiff::from_chars(&*plain, name).ratio();
    let rated = names.map(|name| (ratio(name), name));
    let best = rated.max_by(|first, second| first.0.total_cmp(&second.0))?;
    (best.0 >= NEAR_RATIO).then_some(best.1)
}

/// Makes the settings of the file the defaults of the command line.
pub(super) fn configured(command: Command, entries: &[Entry]) -> Command {
    let placed = &|argument: Arg| {
        let own = |entry: &&Entry| Some(&*entry.key) == argument.get_long();
        match entries.iter().find(own) {
            Some(entry) => argument.default_values(entry.values.clone()),
            None => argument,
        }
    };
    command
        .mut_args(placed)
        .mut_subcommands(|command| command.mut_args(placed))
}

/// Returns whether the arguments contain the flag, with or without `=VALUE`.
fn has_flag(words: &[OsString], flag: &str) -> bool {
    let is_it = |word: &OsString| {
        word.to_str().is_some_and(|word| {
            word.strip_prefix(flag)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        })
    };
    words.iter().any(is_it)
}

/// Reduces clap's report to one line: the mistake, the source of the value, and the tips.
fn complaint(error: &clap::Error, command: &Command, words: &[OsString]) -> Error {
    if error.kind() == ErrorKind::InvalidUtf8
        && let Some(name) = variable_that_is_no_text()
    {
        return Error::usage(format!(
            "{name} is not valid UTF-8: set it anew, or unset it"
        ));
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let mut paragraphs = text.split("\n\n");
    let mut said = paragraphs.next().unwrap_or_default().trim().to_owned();
    if let Some((argument, variable)) = source(error, command, words) {
        said = said.replace(&format!("for '{argument}'"), &format!("in {variable}"));
    }
    let tips = paragraphs.flat_map(str::lines).map(str::trim);
    for tip in tips.filter_map(|line| line.strip_prefix("tip: ")) {
        said.push_str("; ");
        said.push_str(tip);
    }
    if error.kind() == ErrorKind::InvalidSubcommand {
        let names = command.get_subcommands().filter(|own| !own.is_hide_set());
        let names: Vec<&str> = names.map(Command::get_name).collect();
        said.push_str(&format!("; there are {}", names.join(", ")));
    }
    Error::usage(format!("{said} (see --help)"))
}

/// Returns the argument of the report and the variable that its value came from; `None` if it was given as a flag.
fn source(error: &clap::Error, command: &Command, words: &[OsString]) -> Option<(String, String)> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let long = shown.split_whitespace().next()?.strip_prefix("--")?;
    if has_flag(words, &format!("--{long}")) {
        return None;
    }
    let all = std::iter::once(command).chain(command.get_subcommands());
    let mut arguments = all.flat_map(Command::get_arguments);
    let argument = arguments.find(|argument| argument.get_long() == Some(long))?;
    let variable = argument.get_env()?.to_str()?.to_owned();
    std::env::var_os(&variable)?;
    Some((shown.clone(), variable))
}

/// Returns the first `IMGDUEL_` variable that is not valid UTF-8.
fn variable_that_is_no_text() -> Option<String> {
    let mut variables = std::env::vars_os();
    variables.find_map(|(name, value)| {
        let name = name.to_str()?.to_owned();
        (name.starts_with("IMGDUEL_") && value.to_str().is_none()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::settings::Settings;

    #[derive(clap::Parser, Debug)]
    struct Terms {
        #[command(flatten)]
        settings: Settings,
    }

    fn refusal(words: &[&str]) -> String {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        match read_from::<Terms>(&words) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{words:?} is taken"),
        }
    }

    #[test]
    fn a_misspelt_flag_is_reported_with_the_similar_one() {
        let said = refusal(&["imgduel", "--iteration", "3"]);
        assert!(
            said.contains("'--iteration'") && said.contains("'--iterations'"),
            "{said}"
        );
    }

    #[test]
    fn a_wrong_value_of_a_flag_names_the_flag() {
        let said = refusal(&["imgduel", "--jobs", "0"]);
        assert!(said.contains("for '--jobs <N>'"), "{said}");
    }
}
