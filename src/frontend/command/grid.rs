//! `imgduel grid`: who reads whose images, for all writers and readers of this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{EXIT_DIVERGENCE, EXIT_VACUOUS, print_exact, print_text};
use crate::base::error::{Error, Result};
use crate::campaign::settings::Settings;
use crate::campaign::tools_here;
use crate::report::{html, terminal};
use crate::run::grid::{self, OWN, Standing, Writer};
use crate::run::views::Looking;
use crate::tool::{self, ToolEnv, ToolSpec};

/// The arguments of `imgduel grid`.
#[derive(Args)]
pub(super) struct GridArguments {
    /// Ask only this tool to make images: NAME, NAME:PATH, or own; more with commas or repeated (default: all of this machine)
    #[arg(long = "writer", value_name = "SPEC", value_delimiter = ',')]
    writers: Vec<String>,

    /// Ask only this tool to read them; more with commas or repeated (default: all of this machine)
    #[arg(long = "tool", value_name = "SPEC", value_delimiter = ',')]
    tools: Vec<ToolSpec>,

    /// Print the grid as JSON
    #[arg(long)]
    json: bool,

    /// Write a page with every cell, and pictures of what is not what was written
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

/// Makes the grid and prints it. Returns 1 if a reader stands wrong or dies, 3 if nothing was read.
pub(super) fn grid(arguments: &GridArguments) -> Result<ExitCode> {
    let settings = Settings::from_flags::<&str>([])?;
    let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
    let readers = tools_here::open(&arguments.tools, &tool_env)?;
    let writers = writers(&arguments.writers, &tool_env)?;
    let (workdir, sandbox) = (settings.workdir(), settings.sandbox());
    let looking = Looking {
        workdir: &workdir,
        limit: settings.timeout,
        sandbox: &sandbox,
    };
    let rows = grid::grid(&writers, &readers, &looking)?;
    match arguments.json {
        true => {
            let json = serde_json::to_string_pretty(&rows);
            let json = json.map_err(|error| Error::system(error.to_string()))?;
            print_exact(&format!("{json}\n"));
        }
        false => {
            print_text(&terminal::grid::grid(&rows));
        }
    }
    if let Some(page) = &arguments.page {
        html::grid::write(page, &rows)?;
    }
    let worst = rows.iter().flat_map(|row| &row.cells);
    let worst = worst.map(|cell| cell.standing).max();
    Ok(match worst.unwrap_or(Standing::NotAsked) {
        Standing::Wrong | Standing::Dies => ExitCode::from(EXIT_DIVERGENCE),
        Standing::NotAsked => ExitCode::from(EXIT_VACUOUS),
        Standing::Right | Standing::Skips | Standing::Refuses => ExitCode::SUCCESS,
    })
}

/// The named writers or, if none is named, all tools of this machine and our own.
fn writers(names: &[String], tool_env: &ToolEnv) -> Result<Vec<Writer>> {
    if names.is_empty() || names.iter().any(|name| name == ToolSpec::ALL) {
        let tools = tools_here::open(&[], tool_env)?.into_iter();
        let tools = tools.chain(tools_here::makers(tool_env));
        return Ok(tools.map(Writer::Tool).chain([Writer::Own]).collect());
    }
    let named = names.iter().map(|name| match name.as_str() {
        OWN => Ok(Writer::Own),
        name => {
            let opened = name.parse().and_then(|spec| tool::open(&spec, tool_env));
            opened.map(Writer::Tool)
        }
    });
    let named: Result<Vec<Writer>> = named.collect();
    named.map_err(|error| error.of_setting("--writer"))
}
