//! How each thing that differs is shown in a shell: the one table from subjects to checks.
//!
//! A new subject does not compile before it has its place here.

use super::shell::Check;
use super::{About, by_hand, damaged, exits, left, midway, outputs, said, witnessed};
use crate::oracle::verdict::{DivergenceKind, OutputAspect, Subject};

/// The check for a finding; `None` when a shell cannot make it.
pub(super) fn check(about: &About<'_>) -> Option<Check> {
    match about.subject()? {
        Subject::Exit { .. } | Subject::ExitOfReading { .. } => exits::came_out(about),
        Subject::Memory { .. } => Some(exits::memory(about)),
        Subject::RefusalReason { .. } | Subject::BenchComplaint {} => {
            Some(said::complaints_differ(about.steps))
        }
        Subject::BenchFirstLine {} => Some(said::first_lines_differ(about.steps)),
        Subject::JsonValue { .. } => match about.kind {
            DivergenceKind::Output(_, OutputAspect::Info) => outputs::of_outputs(about),
            _ => said::values(about),
        },
        Subject::OutputAsJson { .. } => said::is_no_json(about),
        Subject::CheckResult {} => said::counts_differ(about),
        Subject::MapShape {} => said::shapes_differ(about),
        Subject::ExtentCount {} => said::extents_differ(about),
        Subject::ImageOnlyRead {} => damaged::input(about),
        Subject::ContentsAfterChange { .. } | Subject::ContentsOfDamaged { .. } => {
            Some(damaged::contents(about))
        }
        Subject::ContentsOfCleanImage {}
        | Subject::ContentsAfterRepair { .. }
        | Subject::CheckAfterRepair { .. } => damaged::repaired(about),
        Subject::ContentsMidway { .. }
        | Subject::VirtualSizeMidway { .. }
        | Subject::BitmapsMidway { .. }
        | Subject::MapMidway { .. }
        | Subject::Compare { .. }
        | Subject::SnapshotsListedMidway { .. }
        | Subject::CheckMidway {}
        | Subject::MeasureMidway {} => midway::of_acts(about),
        Subject::Contents { .. }
        | Subject::ContentsOnBothSides { .. }
        | Subject::Reading { .. }
        | Subject::ReadingRefused { .. }
        | Subject::SnapshotContents { .. }
        | Subject::SnapshotUnreadable { .. }
        | Subject::SnapshotListLine { .. }
        | Subject::Readback { .. }
        | Subject::CheckOnBothSides { .. }
        | Subject::CheckLeft { .. } => outputs::of_outputs(about),
        Subject::SnapshotTable { .. }
        | Subject::SnapshotDate { .. }
        | Subject::HostClusters { .. } => by_hand::of_host_clusters(about),
        Subject::MapLeft { .. }
        | Subject::SnapshotCount { .. }
        | Subject::MetadataUnreadable { .. }
        | Subject::Metadata { .. }
        | Subject::HeaderField { .. }
        | Subject::BitmapGranulesBelow { .. }
        | Subject::BitmapGranules { .. }
        | Subject::HostSpace { .. }
        | Subject::TouchedFiles { .. } => left::of_what_is_left(about),
        Subject::SourceContents { .. } | Subject::SourceFile { .. } => Some(damaged::source(about)),
        Subject::ReadableByWitness { .. } => witnessed::readable(about),
        Subject::FactByWitness { .. } => witnessed::described(about),
        Subject::ConvertedBytes {} => witnessed::bound(about),
        // Nobody else measures the space of a directory while a tool works in it.
        Subject::DiskSpace { .. } | Subject::Other(_) => None,
    }
}
