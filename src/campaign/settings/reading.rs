//! Reads the command line and the environment, and reports each mistake in one line that names the flag or variable.
//!
//! Both entry points call it. clap does the parsing. This module makes clap treat empty variables as unset, and reduces its error report to
//! one line, which includes clap's tips and names the variable if the value came from one.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory, FromArgMatches};

use crate::base::error::{Error, Result};

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

/// Reads the arguments of this process. Fails with a one-line usage error.
pub fn read<T: CommandFactory + FromArgMatches>() -> Result<Read<T>> {
    let words: Vec<OsString> = std::env::args_os().collect();
    read_from(&words)
}

/// Reads these words, the program's name first, as a command line.
pub fn read_from<T: CommandFactory + FromArgMatches>(words: &[OsString]) -> Result<Read<T>> {
    let mut command = prepared(T::command(), words);
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
fn prepared(command: Command, words: &[OsString]) -> Command {
    let is_replaced = |name: &OsStr| {
        SHORT_FORMS
            .iter()
            .any(|(flag, variable)| name == *variable && has_flag(words, flag))
    };
    let counts = |argument: Arg| {
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
