//! The subject of a difference, and the one table of how each is written.
//!
//! The judges make subjects; signatures, the matrix, reproducers, pages and the catalogue match on them. Records and
//! seed files contain the text, which is parsed back into the same subject. The texts are stable, because they identify
//! groups of findings and entries of the catalogue.

mod json_path;
mod part;
mod queries;
mod template;

use std::fmt;

pub use json_path::JsonPath;
pub use part::SnapshotStep;

use crate::disk_format::qcow2::corruption::FieldMutation;
use crate::disk_format::qcow2::host_clusters::{HostPlace, HostRegion};
use crate::image::content::ContentPlace;
use crate::oracle::refusal_class::RefusalClass;
use crate::oracle::side::Side;
use crate::tool::request::{RepairTier, RequestKind, SessionRequestKind};
use part::Part;

/// A text that no known version of this program writes. Only reading a file creates one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnknownSubject(String);

/// Defines the subjects: their fields, the name of each kind, and the text with the fields between words. If two rows
/// could write the same text, the first one parses it.
macro_rules! subjects {
    ($(
        $(#[$doc:meta])*
        $variant:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* } = $name:literal,
        $first:literal $($part:ident $after:literal)*;
    )*) => {
        /// What differs.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Subject {
            $($(#[$doc])* $variant { $($(#[$field_doc])* $field: $type,)* },)*
            /// A text of another version.
            Other(UnknownSubject),
        }

        /// The kind of a subject, without its fields.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum SubjectKind {
            $($(#[$doc])* $variant,)*
            /// A text of another version.
            Other,
        }

        impl SubjectKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant,)* Self::Other];

            /// Returns its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other => "other",
                }
            }

            /// The words with which its text begins, before the first field.
            pub fn begins(self) -> &'static str {
                match self {
                    $(Self::$variant => $first,)*
                    Self::Other => "",
                }
            }
        }

        impl Subject {
            /// Returns the kind.
            pub fn kind(&self) -> SubjectKind {
                match self {
                    $(Self::$variant { .. } => SubjectKind::$variant,)*
                    Self::Other(_) => SubjectKind::Other,
                }
            }

            /// Parses what [`fmt::Display`] wrote.
            pub fn parse(text: &str) -> Self {
                $(
                    #[allow(unused_mut, unused_variables, reason = "some subjects have no fields")]
                    let read = template::read(text, &[$first, $($after),*], |parts| {
                        let mut parts = parts.iter();
                        $(let $part = Part::read(parts.next()?)?;)*
                        Some(Self::$variant { $($part),* })
                    });
                    if let Some(subject) = read {
                        return subject;
                    }
                )*
                Self::Other(UnknownSubject(text.to_owned()))
            }
        }

        impl fmt::Display for Subject {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant { $($field),* } => {
                        formatter.write_str($first)?;
                        $(
                            $part.write(formatter)?;
                            formatter.write_str($after)?;
                        )*
                        Ok(())
                    })*
                    Self::Other(UnknownSubject(text)) => formatter.write_str(text),
                }
            }
        }

        /// Returns one subject of each kind.
        #[cfg(test)]
        pub fn samples() -> Vec<Subject> {
            vec![$(Subject::$variant { $($field: Part::sample()),* }),*]
        }
    };
}

subjects! {
    /// The exit of an inspection of a final image.
    ExitOfReading {
        /// The file.
        file: String,
        /// The request.
        request: RequestKind
    } = "exit_of_reading", "exit of reading " file " by " request "";
    /// The exit of a request.
    Exit {
        /// The request.
        request: RequestKind
    } = "exit", "exit of " request "";
    /// The reason of a refusal.
    RefusalReason {
        /// The request.
        request: RequestKind,
        /// The class of the candidate's reason.
        candidate: RefusalClass,
        /// The class of the reference's reason.
        reference: RefusalClass
    } = "refusal_reason", "why " request " is refused (" candidate " or " reference ")";
    /// The memory that a request needs.
    Memory {
        /// The request.
        request: RequestKind
    } = "memory", "memory of " request "";
    /// The space of all files after a request.
    DiskSpace {
        /// The request.
        request: RequestKind
    } = "disk_space", "disk space after " request "";
    /// A damaged image after requests that only read it.
    ImageOnlyRead {} = "image_only_read", "the image after it was only read";

    /// The contents of an image that a repair left clean.
    ContentsOfCleanImage {} = "contents_of_clean_image", "contents of the clean image";
    /// The contents after a repair.
    ContentsAfterRepair {
        /// The place in it.
        place: ContentPlace
    } = "contents_after_repair", "contents after the repair: " place "";
    /// The contents of a damaged image after a change.
    ContentsAfterChange {
        /// The place in it.
        place: ContentPlace
    } = "contents_after_change", "contents after the change: " place "";
    /// The contents of a damaged image.
    ContentsOfDamaged {
        /// The place in it.
        place: ContentPlace
    } = "contents_of_damaged", "contents: " place "";
    /// The contents at a step that reads.
    IntermediateContents {
        /// The image.
        file: String,
        /// The place in it.
        place: ContentPlace
    } = "contents_midway", "contents of " file ", read midway: " place "";
    /// What a request of a session read.
    SessionContents {
        /// The number of the request in the session, from 1.
        number: usize,
        /// The image.
        file: String,
        /// The place in it.
        place: ContentPlace
    } = "session_contents", "what request " number " of a session on " file " reads: " place "";
    /// What is left of an image after a call of the tool failed.
    AfterFault {
        /// The image.
        file: String
    } = "after_fault", "what a failed call leaves of " file "";
    /// Whether a request of a session is performed.
    SessionRequest {
        /// The kind of the request.
        request: SessionRequestKind,
        /// The image.
        file: String
    } = "session_request", "outcome of " request " in a session on " file "";
    /// The contents of a final image, which are the same on both sides and contradict the recipe.
    ContentsOnBothSides {
        /// The image.
        file: String,
        /// The place in it.
        place: ContentPlace
    } = "contents_on_both_sides", "contents of " file ", on both sides,: " place "";
    /// The contents of a final image.
    Contents {
        /// The image.
        file: String,
        /// The place in it.
        place: ContentPlace
    } = "contents", "contents of " file ": " place "";
    /// The candidate's reading of a final image.
    Reading {
        /// The side that wrote the image.
        owner: Side,
        /// The image.
        file: String,
        /// The place in it.
        place: ContentPlace
    } = "reading", "the " owner "'s " file ", as the candidate reads it: " place "";
    /// Whether the candidate can read a final image.
    ReadingRefused {
        /// The side that wrote the image.
        owner: Side,
        /// The image.
        file: String
    } = "reading_refused", "the " owner "'s " file ", as the candidate reads it";

    /// The contents of an internal snapshot.
    SnapshotContents {
        /// The id of the snapshot.
        id: String,
        /// The image.
        file: String,
        /// The place in it.
        place: ContentPlace
    } = "snapshot_contents", "snapshot " id " in " file ": " place "";
    /// Whether the snapshot table can be normalized.
    SnapshotTable {
        /// The step before it.
        after: SnapshotStep
    } = "snapshot_table", "snapshot table " after "";
    /// Whether an internal snapshot can be read.
    SnapshotUnreadable {
        /// The id of the snapshot.
        id: String,
        /// The image.
        file: String
    } = "snapshot_unreadable", "snapshot " id " in " file "";
    /// A line of a list of internal snapshots.
    SnapshotListLine {
        /// The number of the line, from 1.
        line: usize,
        /// The side that wrote the image.
        owner: Side,
        /// The image.
        file: String
    } = "snapshot_list_line", "line " line " of the list of snapshots in the " owner "'s " file "";
    /// The date of an internal snapshot.
    SnapshotDate {
        /// The index in the snapshot table, from 0.
        entry: usize,
        /// The step before it.
        after: SnapshotStep
    } = "snapshot_date", "date of snapshot table entry " entry " " after ", in seconds since the Epoch";
    /// The bytes of an image's host clusters.
    HostClusters {
        /// The region of the file.
        region: HostRegion,
        /// The step before it.
        after: SnapshotStep,
        /// The exact place.
        place: HostPlace
    } = "host_clusters", "" region " " after ": " place "";

    /// The virtual size that a step reports.
    IntermediateVirtualSize {
        /// The image.
        file: String
    } = "virtual_size_midway", "virtual-size of " file ", midway";
    /// The bitmaps that a step reports.
    IntermediateBitmaps {
        /// The image.
        file: String
    } = "bitmaps_midway", "bitmaps of " file ", midway";
    /// The wrong statement of a map at a step.
    IntermediateMap {
        /// The image.
        file: String
    } = "map_midway", "map of " file ", midway";
    /// Whether two images have the same guest-visible contents.
    Compare {
        /// The first image.
        first: String,
        /// The second image.
        second: String
    } = "compare", "compare of " first " and " second "";
    /// The snapshots that a step lists.
    IntermediateSnapshotsListed {
        /// The image.
        file: String
    } = "snapshots_listed_midway", "snapshots of " file ", listed midway";
    /// The errors that a step finds.
    IntermediateCheck {} = "check_midway", "check, midway";
    /// The measurement of a step.
    IntermediateMeasure {} = "measure_midway", "fully-allocated, midway";
    /// Whether the space that a step measures holds the data.
    IntermediateRequired {} = "required_midway", "required, midway";

    /// The wrong statement of the reference's map of a final image.
    FinalMap {
        /// The image.
        file: String
    } = "map_left", "map of " file " by the reference";
    /// Whether the reference can read a final image.
    Readback {
        /// The request.
        request: RequestKind,
        /// The image.
        file: String
    } = "readback", "" request " of " file " by the reference";
    /// The errors that the reference's check finds in both sides' final image.
    CheckOnBothSides {
        /// The image.
        file: String
    } = "check_on_both_sides", "check of " file ", on both sides";
    /// The errors that the reference's check finds in a final image.
    FinalCheck {
        /// The image.
        file: String
    } = "check_left", "check of " file "";
    /// The errors that the reference's check finds after a repair.
    CheckAfterRepair {
        /// The tier of the repair.
        tier: RepairTier,
        /// The damage.
        corruption: FieldMutation,
        /// The exit of the repair.
        exit: String
    } = "check_after_repair", "check after " tier " of " corruption " (" exit ")";
    /// The number of snapshots of a final image.
    SnapshotCount {
        /// The image.
        file: String
    } = "snapshot_count", "snapshots of " file "";
    /// Whether our own audit can parse the metadata of a final image.
    MetadataUnreadable {
        /// The image.
        file: String
    } = "metadata_unreadable", "whether the metadata of " file " can be read";
    /// The errors that our own audit finds in the metadata of a final image.
    Metadata {
        /// The image.
        file: String
    } = "metadata", "metadata of " file "";
    /// A field of a qcow2's header or header extensions.
    HeaderField {
        /// The field.
        field: String
    } = "header_field", "header field " field "";
    /// The dirty granules of a bitmap of a backing image.
    BitmapGranulesBelow {
        /// The bitmap.
        bitmap: String,
        /// The image.
        file: String
    } = "bitmap_granules_below", "granules that are dirty in the bitmap " bitmap " of " file "";
    /// The dirty granules of a bitmap of the current image.
    BitmapGranules {
        /// The bitmap.
        bitmap: String
    } = "bitmap_granules", "granules that are dirty in the bitmap " bitmap "";
    /// The host space of a final image.
    HostSpace {
        /// The image.
        file: String
    } = "host_space", "host space of " file "";
    /// The files that a step touches.
    TouchedFiles {
        /// The step.
        request: RequestKind
    } = "touched_files", "files that " request " touches beside its own";

    /// The source image after an operation that only reads it.
    SourceContents {
        /// The place in it.
        place: ContentPlace,
        /// The file.
        file: String
    } = "source_contents", "" place " in the file " file "";
    /// Whether the source image still exists.
    SourceFile {
        /// The file.
        file: String
    } = "source_file", "the file " file "";

    /// Whether a third tool can read an image, compared with the candidate's check.
    ReadableByWitness {
        /// The third tool.
        witness: String
    } = "readable_by_witness", "whether the image can be read, by " witness "";
    /// A fact that a third tool reports.
    FactByWitness {
        /// The fact.
        fact: JsonPath,
        /// The third tool.
        witness: String
    } = "fact_by_witness", "" fact " by " witness "";

    /// The result of a check of the source image.
    CheckResult {} = "check_result", "result of check";
    /// The size of a conversion.
    ConvertedBytes {} = "converted_bytes", "bytes of the converted file";
    /// Whether a tool's output is JSON.
    OutputAsJson {
        /// The request.
        request: RequestKind
    } = "output_as_json", "" request " as JSON";
    /// Whether a map is a list.
    MapShape {} = "map_shape", "map";
    /// The number of extents of a map.
    ExtentCount {} = "extent_count", "number of extents";
    /// The first line of `bench`'s output.
    BenchFirstLine {} = "bench_first_line", "first line of bench";
    /// The message of `bench`.
    BenchComplaint {} = "bench_complaint", "complaint of bench";
    /// A value in a tool's JSON.
    JsonValue {
        /// The path of the value.
        path: JsonPath
    } = "json_value", "" path "";
}

impl SubjectKind {
    /// Returns the kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests;
