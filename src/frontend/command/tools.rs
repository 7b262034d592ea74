//! `imgduel tools`: lists every tool, every witness tool and every part of the sandbox, and whether this machine has
//! it.

use std::process::ExitCode;

use clap::Args;

use super::print_text;
use crate::base::error::Result;
use crate::base::prose::wrapped;
use crate::campaign::settings::Settings;
use crate::oracle::witness::Witnesses;
use crate::process;
use crate::report::terminal::{self, tools as words};
use crate::tool::{self, Row, TOOLS, ToolEnv, ToolSpec};
use words::Line;

#[derive(Args)]
pub(super) struct ToolsArguments {
    #[command(flatten)]
    settings: Settings,

    /// Print every request of every tool, how the tool is started, and every part of the sandbox
    #[arg(short, long)]
    verbose: bool,
}

/// Prints one screen, or everything with `--verbose`.
pub(super) fn tools(arguments: &ToolsArguments) -> Result<ExitCode> {
    let ToolsArguments { settings, verbose } = arguments;
    let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
    let mut lines = Vec::new();
    for row in &TOOLS {
        for spec in specs(row, settings) {
            let opened = tool::open(&spec, &tool_env);
            lines.push(Line { row, opened });
        }
    }
    let witnesses = Witnesses::find(settings.timeout).versions();
    let layers = process::layers();
    let mut text = String::new();
    if *verbose {
        for Line { row, opened } in &lines {
            let started = opened.as_ref().ok().and_then(|tool| {
                let objection = tool_env.launcher.objection(tool.program()?);
                Some(objection.map_or_else(
                    || "loaded once, forked for every call".to_owned(),
                    |reason| format!("started anew for every call: {reason}"),
                ))
            });
            text.push_str(&words::tool(row, opened, started.as_deref()));
        }
    } else {
        text.push_str(&words::matrix(&lines));
    }
    text.push_str(&format!("scratch {}\n", settings.scratch()));
    if *verbose {
        text.push_str(&terminal::witnesses(&witnesses));
        text.push_str(&terminal::sandbox(&layers));
    } else {
        let named = witnesses.iter();
        let named: Vec<String> = named
            .map(|(name, version)| format!("{name} {}", version.as_deref().unwrap_or("(not here)")))
            .collect();
        let witnesses = format!("witnesses: {}", named.join(", "));
        text.push_str(&wrapped(&witnesses, words::WIDTH, "  "));
        text.push_str(&words::sandbox(&layers));
    }
    if let Some(unseen) = settings.unseen_variables() {
        text.push_str(&wrapped(&unseen, words::WIDTH, "  "));
    }
    Ok(print_text(&text))
}

/// The named tools of a row, each build once; or, if none is named, the tool that is found by default.
fn specs(row: &Row, settings: &Settings) -> Vec<ToolSpec> {
    let mut specs: Vec<ToolSpec> = Vec::new();
    let reference = settings.reference();
    let chosen = settings.candidates.iter().chain([&reference]);
    for spec in chosen.filter(|spec| spec.name == row.name) {
        if !specs.contains(spec) {
            specs.push(spec.clone());
        }
    }
    if specs.is_empty() {
        specs.push(row.spec());
    }
    specs
}
