//! `imgduel tools`: every tool, every witness and every part of the cage, and whether this machine has it.

use std::process::ExitCode;

use clap::Args;

use super::said;
use crate::error::Result;
use crate::process;
use crate::report::terminal;
use crate::settings::Settings;
use crate::tool::{self, Means, Row, TOOLS, ToolSpec};
use crate::witness::Witnesses;

#[derive(Args)]
pub(super) struct ToolsArguments {
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn tools(ToolsArguments { settings }: &ToolsArguments) -> Result<ExitCode> {
    let means = Means::of_this_program(settings.timeout, settings.launcher())?;
    let mut text = String::new();
    for row in &TOOLS {
        for spec in specs(row, settings) {
            let opened = tool::open(&spec, &means);
            let started = opened.as_ref().ok().and_then(|tool| {
                let objection = means.launcher.objection(tool.program()?);
                Some(objection.map_or_else(
                    || "loaded once, forked for every call".to_owned(),
                    |reason| format!("started anew for every call: {reason}"),
                ))
            });
            text.push_str(&terminal::tool(row, &opened, started.as_deref()));
        }
    }
    text.push_str(&format!("scratch {}\n", settings.scratch()));
    text.push_str(&terminal::witnesses(
        &Witnesses::find(settings.timeout).versions(),
    ));
    text.push_str(&terminal::cage(&process::layers()));
    Ok(said(&text))
}

/// The tools of a row that were named, each build once; where none was, the one that is found.
fn specs(row: &Row, settings: &Settings) -> Vec<ToolSpec> {
    let mut specs: Vec<ToolSpec> = Vec::new();
    let chosen = settings.candidates.iter().chain([&settings.reference]);
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
