//! `imgduel report`: tries a case and prints the bug report of its divergence.

use std::process::ExitCode;

use super::{CaseArguments, Run, print_exact};
use crate::base::error::{Error, Result};
use crate::oracle::verdict::VerdictName;
use crate::report::bug_report::bug_report;
use crate::report::script::script;

/// Prints the report.
pub(super) fn report(arguments: &CaseArguments) -> Result<ExitCode> {
    let (settings, case, _images) = arguments.opened()?;
    let run = Run::open(&settings, None)?;
    let session = run.candidate_set.only()?;
    let record = session.try_case(case)?;
    if record.verdict != VerdictName::Divergence {
        return Err(Error::usage(format!(
            "{} shows no divergence: {}",
            record.id,
            record.reason.as_deref().unwrap_or(record.verdict.as_str())
        )));
    }
    let elsewhere = record.known_elsewhere.as_ref().map(|known| &known.id);
    let entry = record.known.as_ref().or(elsewhere);
    let catalogue = settings.catalogue()?;
    let entry = entry.and_then(|id| catalogue.named(id));
    let program = script(
        &record,
        session.candidate(),
        session.reference(),
        settings.timeout,
    );
    let program = program.map_err(|error| error.to_string());
    Ok(print_exact(&bug_report(&record, program, entry)))
}
