//! The comparison for each subject of a divergence: the one table from subjects to shell checks.
//!
//! A new subject does not compile without an entry here.

use super::shell::Check;
use super::{
    ScriptInput, cross_check, damaged, exits, faults, final_state, harness_steps, intermediate,
    outputs, responses, sessions, written,
};
use crate::operation::Operation;
use crate::oracle::verdict::{DivergenceKind, OutputAspect, Subject};

/// Returns the check for a divergence; `None` if a shell cannot make it.
pub(super) fn check(input: &ScriptInput<'_>) -> Option<Check> {
    if matches!(input.operation, Operation::Written(_)) {
        return written::of_written(input);
    }
    match input.subject()? {
        Subject::Exit { .. } | Subject::ExitOfReading { .. } => exits::came_out(input),
        Subject::Memory { .. } => Some(exits::memory(input)),
        Subject::RefusalReason { .. } | Subject::BenchComplaint {} => {
            Some(responses::complaints_differ(input.steps))
        }
        Subject::BenchFirstLine {} => Some(responses::first_lines_differ(input.steps)),
        Subject::JsonValue { .. } => match input.kind {
            DivergenceKind::Output(_, OutputAspect::Info) => outputs::of_outputs(input),
            _ => responses::values(input),
        },
        Subject::OutputAsJson { .. } => responses::is_no_json(input),
        Subject::CheckResult {} => responses::counts_differ(input),
        Subject::MapShape {} => responses::shapes_differ(input),
        Subject::ExtentCount {} => responses::extents_differ(input),
        Subject::ImageOnlyRead {} => damaged::input(input),
        Subject::ContentsAfterChange { .. } | Subject::ContentsOfDamaged { .. } => {
            Some(damaged::contents(input))
        }
        Subject::ContentsOfCleanImage {}
        | Subject::ContentsAfterRepair { .. }
        | Subject::CheckAfterRepair { .. } => damaged::repaired(input),
        Subject::IntermediateContents { .. }
        | Subject::IntermediateVirtualSize { .. }
        | Subject::IntermediateBitmaps { .. }
        | Subject::IntermediateMap { .. }
        | Subject::Compare { .. }
        | Subject::IntermediateSnapshotsListed { .. }
        | Subject::IntermediateCheck {}
        | Subject::IntermediateMeasure {}
        | Subject::IntermediateRequired {} => intermediate::of_steps(input),
        Subject::Contents { .. }
        | Subject::ContentsOnBothSides { .. }
        | Subject::Reading { .. }
        | Subject::ReadingRefused { .. }
        | Subject::SnapshotContents { .. }
        | Subject::SnapshotUnreadable { .. }
        | Subject::SnapshotListLine { .. }
        | Subject::Readback { .. }
        | Subject::CheckOnBothSides { .. }
        | Subject::FinalCheck { .. } => outputs::of_outputs(input),
        Subject::SnapshotTable { .. }
        | Subject::SnapshotDate { .. }
        | Subject::HostClusters { .. } => harness_steps::of_host_clusters(input),
        Subject::FinalMap { .. }
        | Subject::SnapshotCount { .. }
        | Subject::MetadataUnreadable { .. }
        | Subject::Metadata { .. }
        | Subject::HeaderField { .. }
        | Subject::BitmapGranulesBelow { .. }
        | Subject::BitmapGranules { .. }
        | Subject::HostSpace { .. }
        | Subject::TouchedFiles { .. } => final_state::of_what_is_left(input),
        Subject::SourceContents { .. } | Subject::SourceFile { .. } => Some(damaged::source(input)),
        Subject::ReadableByWitness { .. } => cross_check::readable(input),
        Subject::FactByWitness { .. } => cross_check::described(input),
        Subject::ConvertedBytes {} => cross_check::bound(input),
        Subject::AfterFault { .. } => faults::of_fault(input),
        Subject::SessionContents { .. } | Subject::SessionRequest { .. } => {
            sessions::of_session(input)
        }
        // A shell cannot measure the peak disk space of a tool.
        Subject::DiskSpace { .. } | Subject::Other(_) => None,
    }
}
