//! `imgduel completions` and `imgduel man`: shell completions and manual pages, generated from the command's own
//! flags.
//!
//! Both only print; the user or the packager installs the text.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::print_exact;
use crate::base::error::{Error, Result};

/// The name of the program.
const NAME: &str = "imgduel";

/// Arguments of `imgduel completions`.
#[derive(Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Arguments of `imgduel man`.
#[derive(Args)]
pub(super) struct ManArguments {
    /// The sub-command to describe (default: the command as a whole)
    #[arg(value_name = "COMMAND", conflicts_with = "directory")]
    command: Option<String>,

    /// Write every page into DIR, as imgduel.1, imgduel-fuzz.1 and so on
    #[arg(long = "dir", value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Prints the completions of `command` for a shell.
pub(super) fn completions(arguments: &CompletionsArguments, mut command: Command) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, NAME, &mut text);
    print_exact(&String::from_utf8_lossy(&text))
}

/// Prints one manual page of `command`, or writes all pages into a directory.
pub(super) fn man(arguments: &ManArguments, mut command: Command) -> Result<ExitCode> {
    // Building sets the display names after which the pages are named: `imgduel-fuzz`.
    command.build();
    let ManArguments {
        command: wanted,
        directory,
    } = arguments;
    if let Some(directory) = directory {
        return write_all(directory, &command);
    }
    let page = match wanted {
        None => page(&command)?,
        Some(name) => match command.find_subcommand(name) {
            Some(found) => page(found)?,
            None => {
                let names = command.get_subcommands().map(Command::get_name);
                let names: Vec<&str> = names.collect();
                return Err(Error::usage(format!(
                    "there is no command '{name}': {}",
                    names.join(", ")
                )));
            }
        },
    };
    Ok(print_exact(&page))
}

/// One manual page, in roff.
fn page(command: &Command) -> Result<String> {
    let mut text = Vec::new();
    let name = command.get_display_name().unwrap_or(command.get_name());
    clap_mangen::Man::new(command.clone())
        .title(name)
        .render(&mut text)
        .map_err(|error| Error::system(format!("make the manual page: {error}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn write_all(directory: &Path, command: &Command) -> Result<ExitCode> {
    fs::create_dir_all(directory)
        .map_err(|error| Error::io("make the directory", directory, &error))?;
    for command in std::iter::once(command).chain(command.get_subcommands()) {
        let name = command.get_display_name().unwrap_or(command.get_name());
        let path = directory.join(format!("{name}.1"));
        fs::write(&path, page(command)?)
            .map_err(|error| Error::io("write the manual page", &path, &error))?;
    }
    Ok(ExitCode::SUCCESS)
}
