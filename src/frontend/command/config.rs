//! `imgduel config`: prints which settings hold and where each comes from.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::print_text;
use crate::base::error::{Error, Result};
use crate::campaign::settings::{Resolved, Settings, resolved};

#[derive(Args)]
pub(super) struct ConfigArguments {
    #[command(flatten)]
    _settings: Settings,

    /// Also print the settings that nobody has set
    #[arg(short, long)]
    verbose: bool,

    /// The package whose settings are printed
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
}

pub(super) fn config(arguments: &ConfigArguments) -> Result<ExitCode> {
    let directory = &arguments.directory;
    std::env::set_current_dir(directory)
        .map_err(|error| Error::io("work in", directory, &error))?;
    let words: Vec<OsString> = std::env::args_os().collect();
    let settings = resolved(&words)?;
    let shown = settings
        .iter()
        .filter(|setting| arguments.verbose || is_shown(setting));
    let lines: Vec<(String, &str)> = shown
        .map(|setting| {
            let values = setting.values.join(",");
            (format!("{} = {values}", setting.name), &*setting.source)
        })
        .collect();
    let width = lines.iter().map(|(line, _)| line.len()).max().unwrap_or(0);
    let text: String = lines
        .iter()
        .map(|(line, source)| format!("{line:width$}  # {source}\n"))
        .collect();
    Ok(print_text(&text))
}

/// Whether a setting has a value that says something: set by somebody, or a default that is no switched-off switch.
fn is_shown(setting: &Resolved) -> bool {
    let says_nothing = setting.values.is_empty() || setting.values == ["false"];
    setting.source != "default" || !says_nothing
}
