//! What differs: the subject of a difference, and the one table of how each is written.
//!
//! Made by the judges; signatures, the matrix, scripts, pages and the catalogue match on it. Records and seed files hold its text, which
//! is read back into the same subject. The texts are a contract: groups of findings and the catalogue's entries are known by them.

mod asked;
mod json_path;
mod part;
mod template;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use json_path::JsonPath;
pub use part::SnapshotStep;

use crate::disk_format::qcow2::corruption::FieldMutation;
use crate::disk_format::qcow2::host_clusters::{HostPlace, HostRegion};
use crate::image::content::ContentPlace;
use crate::oracle::refusal_class::RefusalClass;
use crate::oracle::side::Side;
use crate::tool::request::{RepairTier, RequestKind};
use part::Part;

/// A text that no version of this program that we know of writes. Only reading a file makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnknownSubject(String);

/// Writes out the subjects: their fields, the name of each kind, and the text, in which the fields stand between words. Of texts that
/// two rows could write the first row reads it.
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
            /// A file of another version says something else.
            Other(UnknownSubject),
        }

        /// What differs, without where.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum SubjectKind {
            $($(#[$doc])* $variant,)*
            /// A file of another version says something else.
            Other,
        }

        impl SubjectKind {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)* Self::Other];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other => "other",
                }
            }
        }

        impl Subject {
            /// What differs, without where.
            pub fn kind(&self) -> SubjectKind {
                match self {
                    $(Self::$variant { .. } => SubjectKind::$variant,)*
                    Self::Other(_) => SubjectKind::Other,
                }
            }

            /// What [`fmt::Display`] wrote.
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

        /// One subject of each kind that the judges make.
        #[cfg(test)]
        pub fn samples() -> Vec<Subject> {
            vec![$(Subject::$variant { $($field: Part::sample()),* }),*]
        }
    };
}

subjects! {
    /// How the reading of a file that is left came out.
    ExitOfReading {
        /// The file.
        file: String,
        /// What was asked.
        request: RequestKind
    } = "exit_of_reading", "exit of reading " file " by " request "";
    /// How a request came out.
    Exit {
        /// The request.
        request: RequestKind
    } = "exit", "exit of " request "";
    /// Why a request is refused.
    RefusalReason {
        /// The request.
        request: RequestKind,
        /// The class of the candidate's reason.
        candidate: RefusalClass,
        /// The class of the reference's reason.
        reference: RefusalClass
    } = "refusal_reason", "why " request " is refused (" candidate " or " reference ")";
    /// How much memory a request takes.
    Memory {
        /// The request.
        request: RequestKind
    } = "memory", "memory of " request "";
    /// How much space all files take after a request.
    DiskSpace {
        /// The request.
        request: RequestKind
    } = "disk_space", "disk space after " request "";
    /// A damaged image after tools have only read it.
    ImageOnlyRead {} = "image_only_read", "the image after it was only read";

    /// What a guest sees of an image that a repair left clean.
    ContentsOfCleanImage {} = "contents_of_clean_image", "contents of the clean image";
    /// What a guest sees after a repair.
    ContentsAfterRepair {
        /// Where.
        place: ContentPlace
    } = "contents_after_repair", "contents after the repair: " place "";
    /// What a guest sees of a damaged image that was changed.
    ContentsAfterChange {
        /// Where.
        place: ContentPlace
    } = "contents_after_change", "contents after the change: " place "";
    /// What a guest sees of a damaged image.
    ContentsOfDamaged {
        /// Where.
        place: ContentPlace
    } = "contents_of_damaged", "contents: " place "";
    /// What a guest sees between two steps.
    IntermediateContents {
        /// The image.
        file: String,
        /// Where.
        place: ContentPlace
    } = "contents_midway", "contents of " file ", read midway: " place "";
    /// What a guest sees of an image that is left, the same on both sides.
    ContentsOnBothSides {
        /// The image.
        file: String,
        /// Where.
        place: ContentPlace
    } = "contents_on_both_sides", "contents of " file ", on both sides,: " place "";
    /// What a guest sees of an image that is left.
    Contents {
        /// The image.
        file: String,
        /// Where.
        place: ContentPlace
    } = "contents", "contents of " file ": " place "";
    /// What the candidate reads in an image that is left.
    Reading {
        /// Whose image it is.
        owner: Side,
        /// The image.
        file: String,
        /// Where.
        place: ContentPlace
    } = "reading", "the " owner "'s " file ", as the candidate reads it: " place "";
    /// Whether the candidate reads an image that is left.
    ReadingRefused {
        /// Whose image it is.
        owner: Side,
        /// The image.
        file: String
    } = "reading_refused", "the " owner "'s " file ", as the candidate reads it";

    /// What a guest sees in an internal snapshot.
    SnapshotContents {
        /// The snapshot's id.
        id: String,
        /// The image.
        file: String,
        /// Where.
        place: ContentPlace
    } = "snapshot_contents", "snapshot " id " in " file ": " place "";
    /// How a snapshot table can be settled.
    SnapshotTable {
        /// The step after which it was.
        after: SnapshotStep
    } = "snapshot_table", "snapshot table " after "";
    /// Whether an internal snapshot can be read.
    SnapshotUnreadable {
        /// The snapshot's id.
        id: String,
        /// The image.
        file: String
    } = "snapshot_unreadable", "snapshot " id " in " file "";
    /// A line of a list of internal snapshots.
    SnapshotListLine {
        /// Its number, from 1.
        line: usize,
        /// Whose image it is.
        owner: Side,
        /// The image.
        file: String
    } = "snapshot_list_line", "line " line " of the list of snapshots in the " owner "'s " file "";
    /// When an internal snapshot was made.
    SnapshotDate {
        /// Its place in the snapshot table, from 0.
        entry: usize,
        /// The step after which it was looked at.
        after: SnapshotStep
    } = "snapshot_date", "date of snapshot table entry " entry " " after ", in seconds since the Epoch";
    /// The bytes of an image's host clusters.
    HostClusters {
        /// Where, roughly.
        region: HostRegion,
        /// The step after which they were looked at.
        after: SnapshotStep,
        /// Where exactly.
        place: HostPlace
    } = "host_clusters", "" region " " after ": " place "";

    /// The virtual size that is told between two steps.
    IntermediateVirtualSize {
        /// The image.
        file: String
    } = "virtual_size_midway", "virtual-size of " file ", midway";
    /// The bitmaps that are told between two steps.
    IntermediateBitmaps {
        /// The image.
        file: String
    } = "bitmaps_midway", "bitmaps of " file ", midway";
    /// What a map between two steps says that is not so.
    IntermediateMap {
        /// The image.
        file: String
    } = "map_midway", "map of " file ", midway";
    /// Whether two images show a guest the same.
    Compare {
        /// One image.
        first: String,
        /// The other.
        second: String
    } = "compare", "compare of " first " and " second "";
    /// The snapshots that are listed between two steps.
    IntermediateSnapshotsListed {
        /// The image.
        file: String
    } = "snapshots_listed_midway", "snapshots of " file ", listed midway";
    /// What a check between two steps finds.
    IntermediateCheck {} = "check_midway", "check, midway";
    /// What a measurement between two steps says.
    IntermediateMeasure {} = "measure_midway", "fully-allocated, midway";

    /// What the reference's map of an image that is left says that is not so.
    FinalMap {
        /// The image.
        file: String
    } = "map_left", "map of " file " by the reference";
    /// Whether the reference reads an image that is left.
    Readback {
        /// What it was asked.
        request: RequestKind,
        /// The image.
        file: String
    } = "readback", "" request " of " file " by the reference";
    /// What the reference's check of an image finds that both sides left in the same way.
    CheckOnBothSides {
        /// The image.
        file: String
    } = "check_on_both_sides", "check of " file ", on both sides";
    /// What the reference's check of an image that is left finds.
    FinalCheck {
        /// The image.
        file: String
    } = "check_left", "check of " file "";
    /// What the reference's check finds after a repair.
    CheckAfterRepair {
        /// What was to be repaired.
        tier: RepairTier,
        /// What had been damaged.
        corruption: FieldMutation,
        /// How the repair came out.
        exit: String
    } = "check_after_repair", "check after " tier " of " corruption " (" exit ")";
    /// How many snapshots an image has that is left.
    SnapshotCount {
        /// The image.
        file: String
    } = "snapshot_count", "snapshots of " file "";
    /// Whether our own reading understands the metadata of an image that is left.
    MetadataUnreadable {
        /// The image.
        file: String
    } = "metadata_unreadable", "whether the metadata of " file " can be read";
    /// What our own reading finds wrong with the metadata of an image that is left.
    Metadata {
        /// The image.
        file: String
    } = "metadata", "metadata of " file "";
    /// A field of a qcow2's header, or of its extensions.
    HeaderField {
        /// The field.
        field: String
    } = "header_field", "header field " field "";
    /// What is dirty in a bitmap of an image below others.
    BitmapGranulesBelow {
        /// The bitmap.
        bitmap: String,
        /// The image.
        file: String
    } = "bitmap_granules_below", "granules that are dirty in the bitmap " bitmap " of " file "";
    /// What is dirty in a bitmap of the current image.
    BitmapGranules {
        /// The bitmap.
        bitmap: String
    } = "bitmap_granules", "granules that are dirty in the bitmap " bitmap "";
    /// What an image that is left takes on the host.
    HostSpace {
        /// The image.
        file: String
    } = "host_space", "host space of " file "";
    /// Which files a step touches.
    TouchedFiles {
        /// The step.
        request: RequestKind
    } = "touched_files", "files that " request " touches beside its own";

    /// The source image after an operation that only reads it.
    SourceContents {
        /// Where.
        place: ContentPlace,
        /// The file.
        file: String
    } = "source_contents", "" place " in the file " file "";
    /// Whether the source image is still there.
    SourceFile {
        /// The file.
        file: String
    } = "source_file", "the file " file "";

    /// Whether a third tool can read what the candidate calls sound, or the other way round.
    ReadableByWitness {
        /// The tool.
        witness: String
    } = "readable_by_witness", "whether the image can be read, by " witness "";
    /// What a third tool says of a fact.
    FactByWitness {
        /// The fact.
        fact: JsonPath,
        /// The tool.
        witness: String
    } = "fact_by_witness", "" fact " by " witness "";

    /// What a check of the source image finds.
    CheckResult {} = "check_result", "result of check";
    /// How much a conversion took.
    ConvertedBytes {} = "converted_bytes", "bytes of the converted file";
    /// Whether what a tool wrote is JSON.
    OutputAsJson {
        /// What it was asked.
        request: RequestKind
    } = "output_as_json", "" request " as JSON";
    /// Whether a map is a list.
    MapShape {} = "map_shape", "map";
    /// How many extents a map has.
    ExtentCount {} = "extent_count", "number of extents";
    /// What `bench` writes first.
    BenchFirstLine {} = "bench_first_line", "first line of bench";
    /// What `bench` complains of.
    BenchComplaint {} = "bench_complaint", "complaint of bench";
    /// A value in the JSON that a tool wrote.
    JsonValue {
        /// Where it stands.
        path: JsonPath
    } = "json_value", "" path "";
}

impl SubjectKind {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl Serialize for SubjectKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for SubjectKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom(format!("no subject is called '{name}'"));
        Self::named(&name).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests;
