//! Which settings hold, and where each comes from: a flag, a variable, `imgduel.toml`, or nobody.
//!
//! `imgduel config` prints them.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, CommandFactory};

use super::flags::Flags;
use super::reading::{configured, entries, prepared};
use crate::base::error::{Error, Result};

/// What of a command line is no setting.
const OTHER_WORDS: &str = "others";
const VERBOSE: &str = "verbose";

/// A setting that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The name of the flag, without its dashes.
    pub name: String,
    /// The values; none if the setting has no value.
    pub values: Vec<String>,
    /// Where it comes from: `--NAME`, the variable, `imgduel.toml:LINE`, or `default`.
    pub source: String,
}

/// Resolves the settings of a command line, the program's name first. Words that are no flags, and the flag `--verbose`, are passed over.
pub fn resolved(words: &[OsString]) -> Result<Vec<Resolved>> {
    let entries = entries(words)?;
    let others = [
        Arg::new(OTHER_WORDS).num_args(0..),
        Arg::new(VERBOSE)
            .long(VERBOSE)
            .short('v')
            .action(ArgAction::SetTrue),
    ];
    let command = configured(prepared(Flags::command().args(others), words), &entries);
    let matches = command
        .clone()
        .try_get_matches_from(words)
        .map_err(|error| Error::usage(error.to_string()))?;
    let arguments = command.get_arguments();
    let arguments = arguments.filter(|argument| argument.get_id() != VERBOSE);
    let named = arguments.filter_map(|argument| Some((argument, argument.get_long()?)));
    let resolved = named.map(|(argument, name)| {
        let id = argument.get_id().as_str();
        let values = matches.get_raw(id).into_iter().flatten();
        let of_file = entries.iter().find(|entry| entry.key == name);
        let source = match (matches.value_source(id), of_file, argument.get_env()) {
            (Some(ValueSource::CommandLine), ..) => format!("--{name}"),
            (Some(ValueSource::EnvVariable), _, Some(variable)) => {
                variable.to_string_lossy().into_owned()
            }
            (_, Some(entry), _) => entry.place.clone(),
            _ => "default".to_owned(),
        };
        Resolved {
            name: name.to_owned(),
            values: values
                .map(|value| value.to_string_lossy().into_owned())
                .collect(),
            source,
        }
    });
    Ok(resolved.collect())
}
