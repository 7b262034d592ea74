//! `imgduel show`: prints decoded cases, one JSON line each, and runs nothing.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::from::FromArguments;
use crate::base::error::{Error, Result};
use crate::campaign::settings::Settings;
use crate::case::generation::ancestry::lineage;
use crate::case::generation::image_case::parted;
use crate::case::generation::{Generation, ITERATION_MAX};
use crate::case::{Case, CaseId};

#[derive(Args)]
/// Arguments of `imgduel show`.
pub(super) struct ShowArguments {
    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    from: FromArguments,

    /// Case ids; one may end in a range: ops7_s1_i0..9 (both ends included)
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

/// Prints the cases of every id.
pub(super) fn show(arguments: &ShowArguments) -> Result<ExitCode> {
    let selection = arguments.settings.selection();
    let images = arguments.from.open(&arguments.settings)?;
    let mut output = std::io::stdout().lock();
    for text in &arguments.ids {
        let (first, last) = id_range(text)?;
        if parted(&first.generation).1.is_some() {
            let (_, iteration) = first.campaign().unwrap_or_default();
            for iteration in iteration..=last {
                let id = first.at(iteration);
                if !is_printed(&mut output, &images.case(&id, &arguments.settings)?)? {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            continue;
        }
        let (base, changes) = lineage(&first.generation);
        let generation = Generation::named(base)?;
        let Some((seed, iteration)) = first.campaign() else {
            let case = Generation::case(&first, &selection)?;
            if !is_printed(&mut output, &case)? {
                return Ok(ExitCode::SUCCESS);
            }
            continue;
        };
        let drawn = generation.cases(seed, iteration, &selection)?;
        for case in drawn.take((last - iteration).saturating_add(1) as usize) {
            let mut changes = changes.iter();
            let case = changes.try_fold(case, |case, change| Generation::child(&case, *change))?;
            if !is_printed(&mut output, &case)? {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a case as one line. Returns false if the reader has closed the pipe.
fn is_printed(output: &mut impl Write, case: &Case) -> Result<bool> {
    let line = serde_json::to_string(case).map_err(|error| Error::system(error.to_string()))?;
    Ok(writeln!(output, "{line}").is_ok())
}

/// Parses an id, or a range `ID..LAST` with both ends included.
fn id_range(text: &str) -> Result<(CaseId, u64)> {
    let Some((first, last)) = text.split_once("..") else {
        let id: CaseId = text.parse()?;
        let last = id.campaign().map_or(0, |(_, iteration)| iteration);
        return Ok((id, last));
    };
    let first: CaseId = first.parse()?;
    match (first.campaign(), last.parse::<u64>()) {
        (Some((_, iteration)), Ok(last)) if (iteration..=ITERATION_MAX).contains(&last) => {
            Ok((first, last))
        }
        _ => Err(Error::usage(format!(
            "'{text}' is not a range: write ID..LAST, as in ops7_s1_i0..9, LAST not before the first and up to {ITERATION_MAX}"
        ))),
    }
}
