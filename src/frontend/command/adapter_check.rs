//! `imgduel adapter-check`: checks whether a program conforms to the adapter protocol.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::EXIT_DIVERGENCE;
use crate::base::error::{Error, Result};
use crate::base::program;
use crate::base::prose::{counted, printable};
use crate::campaign::settings::Settings;
use crate::tool::adapter::Examination;
use crate::tool::{self, ToolEnv, ToolSpec};

/// Arguments of `imgduel adapter-check`.
#[derive(Args)]
pub(super) struct AdapterCheckArguments {
    #[command(flatten)]
    settings: Settings,

    /// The command that starts the adapter, split into words at blanks
    #[arg(value_name = "COMMAND")]
    command: String,
}

/// Prints one line for each check. The exit code says whether all checks passed.
pub(super) fn adapter_check(arguments: &AdapterCheckArguments) -> Result<ExitCode> {
    let settings = &arguments.settings;
    let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
    let spec = ToolSpec {
        name: "adapter".to_owned(),
        path: Some((&arguments.command).into()),
    };
    let adapter = tool::open(&spec, &tool_env)?;
    let reference = tool::open_reference(&settings.reference(), &tool_env)?;
    let workdir = settings.workdir();
    let directory = tempfile::tempdir_in(&workdir)
        .map_err(|error| Error::io("make a scratch directory in", &workdir, &error))?;
    let examination = Examination {
        adapter: &*adapter,
        reference: &*reference,
        directory: directory.path(),
        limit: settings.timeout,
    };
    let checks = examination.checks()?;
    let mut output = std::io::stdout().lock();
    let mut text = format!("{} {}\n", adapter.name(), adapter.version());
    for check in &checks {
        text += &match &check.failure {
            None => format!("ok    {}\n", check.what),
            Some(why) => format!("WRONG {}: {why}\n", check.what),
        };
    }
    let wrong = checks
        .iter()
        .filter(|check| check.failure.is_some())
        .count();
    let count = counted(checks.len() as u64, "check");
    text += &format!("{count}, {wrong} wrong\n");
    let fitting = match adapter.capabilities().can("write") {
        true => "native1",
        false => "native1_readers",
    };
    text += &format!(
        "next: {} fuzz --candidate 'adapter:{}' --generation {fitting}\n",
        program::line(),
        arguments.command
    );
    // A reader that has seen enough closes the pipe; that is no error.
    let _ = output.write_all(printable(&text).as_bytes());
    Ok(match wrong {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(EXIT_DIVERGENCE),
    })
}
