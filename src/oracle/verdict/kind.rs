//! The kinds of divergence in one table: the name in records, the aspect of the image, and the usual blame.
//!
//! The judges make them; reports, grouping and reproducers read them. A kind that is not in the table does not compile.
//! The names are stable, because records, seed files and the catalogue contain them.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Aspect, Blame};

/// Defines an enum with a name for each variant.
macro_rules! named {
    ($(#[$about:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $enum {
            $($(#[$doc])* $variant,)*
        }

        impl $enum {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns its name, as a part of the names of kinds.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

named! {
    /// A final image of an operation: the operation and, if it has several images, which one.
    OutputRole {
        /// The image that `amend` changed.
        Amend = "amend",
        /// The image that `bench` wrote to.
        Bench = "bench",
        /// The image with snapshots that `bench` wrote to.
        BenchSnapshot = "bench_snapshot",
        /// The image that `bitmap` changed.
        Bitmap = "bitmap",
        /// The current image of a chain.
        Chain = "chain",
        /// A backing image of a chain.
        ChainBacking = "chain_backing",
        /// Either image of a `commit`, in verdicts on the whole operation.
        Commit = "commit",
        /// The image that the overlay was committed into.
        CommitBacking = "commit_backing",
        /// The overlay that was committed.
        CommitOverlay = "commit_overlay",
        /// Either image of a `commit`, where one has snapshots.
        CommitSnapshot = "commit_snapshot",
        /// The image that `convert` created.
        Convert = "convert",
        /// The image that `create` created.
        Create = "create",
        /// The image that `dd` created.
        Dd = "dd",
        /// The source image that `info` described.
        Info = "info",
        /// The image that `measure` measured.
        Measure = "measure",
        /// The image that `rebase` changed.
        Rebase = "rebase",
        /// The image with snapshots that `rebase` changed.
        RebaseSnapshot = "rebase_snapshot",
        /// The image that `resize` changed.
        Resize = "resize",
        /// The image that `snapshot` changed.
        Snapshot = "snapshot",
    }
}

impl OutputRole {
    /// Returns the aspect under which a snapshot of the image that differs, or cannot be read, is reported.
    pub fn snapshot_aspect(self, is_read: bool) -> OutputAspect {
        match self {
            Self::BenchSnapshot | Self::CommitSnapshot | Self::RebaseSnapshot if is_read => {
                OutputAspect::SnapshotReadback
            }
            Self::BenchSnapshot | Self::CommitSnapshot | Self::RebaseSnapshot => {
                OutputAspect::SnapshotReadbackError
            }
            _ => OutputAspect::SnapshotContents,
        }
    }

    /// Returns the role that stands for the whole operation.
    pub fn operation(self) -> Self {
        match self {
            Self::ChainBacking => Self::Chain,
            Self::CommitBacking | Self::CommitOverlay => Self::Commit,
            _ => self,
        }
    }
}

named! {
    /// What differs in a final image.
    OutputAspect {
        /// The check of the candidate's image finds errors.
        Check = "check_divergence",
        /// The check of the candidate's image has no result.
        CheckUnparseable = "check_unparseable",
        /// The guest-visible contents of the candidate's image differ from the reference's.
        Content = "content_divergence",
        /// The same, under the historical name of the operation `snapshot`.
        Compare = "compare_divergence",
        /// The same, under the historical name of the operation `bench`.
        Write = "write_divergence",
        /// The guest-visible contents of an internal snapshot differ.
        SnapshotContents = "contents_divergence",
        /// The reference cannot read the candidate's image.
        ContentReadback = "content_readback_failure",
        /// The reference's descriptions of both images differ.
        Info = "info_divergence",
        /// The reference's description is not JSON.
        InfoJson = "info_json_parse_failure",
        /// The reference cannot describe the candidate's image.
        InfoReadback = "info_readback_failure",
        /// The tools' lists of internal snapshots differ.
        List = "list_divergence",
        /// The candidate's reading of an image differs from the reference's.
        Reading = "reading_divergence",
        /// The candidate refuses to read an image that the reference reads.
        ReadingRefused = "reading_refused",
        /// The refcounts of the candidate's image are not the numbers of its references.
        Refcounts = "refcount_divergence",
        /// A snapshot of an image that another operation changed differs.
        SnapshotReadback = "readback_divergence",
        /// Such a snapshot cannot be read.
        SnapshotReadbackError = "readback_error",
        /// Both tools agree and contradict the recipe.
        Recipe = "recipe_divergence",
    }
}

impl OutputAspect {
    /// Whether it concerns the whole operation, not one of its images.
    fn is_of_operation(self) -> bool {
        matches!(
            self,
            Self::ContentReadback | Self::InfoJson | Self::InfoReadback
        )
    }

    fn aspect(self) -> Aspect {
        match self {
            Self::Content | Self::Compare | Self::Write | Self::Recipe => Aspect::Contents,
            Self::SnapshotContents | Self::SnapshotReadback | Self::SnapshotReadbackError => {
                Aspect::Contents
            }
            Self::Check | Self::CheckUnparseable | Self::Refcounts => Aspect::Metadata,
            Self::Info | Self::InfoJson => Aspect::Facts,
            Self::ContentReadback | Self::InfoReadback | Self::Reading | Self::ReadingRefused => {
                Aspect::CrossReading
            }
            Self::List => Aspect::Saying,
        }
    }
}

/// Defines the kinds that do not concern a final image.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $about:ident, $blame:ident;)*) => {
        /// The kind of a divergence, with the Python harness's name if it had one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DivergenceKind {
            $($(#[$doc])* $variant,)*
            /// A divergence in a final image, made by [`DivergenceKind::output`].
            Output(OutputRole, OutputAspect),
        }

        impl DivergenceKind {
            /// The kinds that do not concern a final image.
            const PLAIN: &[Self] = &[$(Self::$variant),*];

            /// Returns its aspect.
            pub fn aspect(self) -> Aspect {
                match self {
                    $(Self::$variant => Aspect::$about,)*
                    Self::Output(_, aspect) => aspect.aspect(),
                }
            }

            /// Returns the blame if no judge determined it: the candidate, if the kind implies that.
            pub(super) fn usual_blame(self) -> Blame {
                match self {
                    $(Self::$variant => Blame::$blame,)*
                    Self::Output(..) => Blame::Unclear,
                }
            }
        }

        impl fmt::Display for DivergenceKind {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => formatter.write_str($name),)*
                    Self::Output(role, aspect) => {
                        write!(formatter, "{}_{}", role.name(), aspect.name())
                    }
                }
            }
        }
    };
}

kinds! {
    /// One side succeeded and the other did not.
    ExitCode = "exit_code_divergence", Exit, Unclear;
    /// Both sides refused a step for which the recipe gives no reason to refuse, or performed one that must be refused.
    RecipeExit = "recipe_exit_divergence", Exit, Unclear;
    /// Both sides refused, for different reasons.
    RefusalClass = "refusal_class_divergence", Exit, Unclear;
    /// The candidate timed out, the reference did not.
    CandidateTimeout = "candidate_timeout", Exit, Candidate;
    /// The candidate crashed by a signal or a panic, whatever the reference did.
    CandidateCrash = "candidate_crash", Exit, Candidate;
    /// The candidate exceeded a resource limit, the reference did not.
    CandidateLimit = "candidate_limit", Exit, Candidate;
    /// The reference crashed in an operation in which that counts as a divergence.
    ReferenceCrash = "reference_crash", Exit, Unclear;
    /// The candidate changed an image that it must only read.
    InputChanged = "input_changed_divergence", Host, Candidate;

    /// The image to amend could be created on one side only.
    AmendCreateSeed = "amend_create_seed_divergence", Exit, Unclear;
    /// The image to benchmark could be created on one side only.
    BenchFixture = "bench_fixture_create_failed", Exit, Unclear;
    /// The tools print different schedules.
    BenchHeader = "bench_header_divergence", Saying, Unclear;
    /// The tools refuse a schedule with contradictory messages.
    BenchValidation = "bench_validation_divergence", Saying, Unclear;
    /// The image for bitmaps could be created on one side only.
    BitmapFixture = "bitmap_fixture_create_failed", Exit, Unclear;
    /// The tools' checks find different errors.
    CheckOutput = "check_output_divergence", Metadata, Unclear;
    /// The images to commit could be created on one side only.
    CommitFixture = "commit_fixture_create_failed", Exit, Unclear;
    /// The images to commit could be written on one side only.
    CommitSeed = "commit_seed_failed", Exit, Unclear;
    /// The tools' descriptions differ.
    InfoOutput = "info_output_divergence", Facts, Unclear;
    /// A map is not JSON.
    MapJson = "map_json_parse_failure", Allocation, Unclear;
    /// A map is not a list of extents.
    MapShape = "map_json_shape_divergence", Allocation, Unclear;
    /// The maps have different numbers of extents.
    MapExtentCount = "map_extent_count_divergence", Allocation, Unclear;
    /// An extent of the maps differs.
    MapField = "map_field_divergence", Allocation, Unclear;
    /// A map reports holes of the image file, which the other tool does not look for.
    MapHostHoles = "map_host_holes_divergence", Allocation, Unclear;
    /// A measurement is not JSON.
    MeasureJson = "measure_json_parse_failure", Saying, Unclear;
    /// The numbers of the measurements differ.
    MeasureNumeric = "measure_numeric_divergence", Saying, Unclear;
    /// Only one measurement has a size of bitmaps.
    MeasureBitmaps = "measure_bitmaps_presence_divergence", Facts, Unclear;
    /// A conversion is larger than predicted.
    MeasureAboveBound = "measure_above_fully_allocated_bound", Saying, Unclear;
    /// The images to rebase could be created on one side only.
    RebaseFixture = "rebase_fixture_create_failed", Exit, Unclear;
    /// The damaged image could be created on one side only.
    RepairFixture = "repair_fixture_create_failed", Exit, Unclear;
    /// A repair made the image worse.
    RepairSafety = "repair_safety_divergence", Metadata, Unclear;
    /// A repair did not remove what its tier covers.
    RepairCompleteness = "repair_completeness_divergence", Metadata, Unclear;
    /// A repair changed the guest-visible contents.
    RepairData = "repair_data_divergence", Contents, Unclear;
    /// Both repairs gave the same contents, which contradict the recipe.
    RepairRecipe = "repair_recipe_divergence", Contents, Unclear;
    /// The image to resize could be created on one side only.
    ResizeCreateSeed = "resize_create_seed_divergence", Exit, Unclear;
    /// The image to resize could be written on one side only.
    ResizeWrite = "resize_write_failure", Exit, Unclear;
    /// The image for snapshots could be created on one side only.
    SnapshotFixture = "snapshot_fixture_create_failed", Exit, Unclear;
    /// The image with snapshots could be written on one side only.
    SnapshotWrite = "snapshot_write_failed", Exit, Unclear;
    /// The snapshot table could be normalized on one side only.
    SnapshotNormalize = "snapshot_normalize_failed", Exit, Unclear;
    /// The bytes of the host clusters of an image with snapshots differ.
    SnapshotBytes = "snapshot_byte_divergence", Contents, Unclear;
    /// The dates of a snapshot differ.
    SnapshotDate = "snapshot_date_divergence", Facts, Unclear;

    /// An image of a chain could be created on one side only.
    ChainLayer = "chain_layer_create_failed", Exit, Unclear;
    /// A map within a chain, or of a final image, is wrong.
    ChainMap = "chain_map_divergence", Allocation, Unclear;
    /// A comparison within a chain is wrong.
    ChainCompare = "chain_compare_content_divergence", Contents, Unclear;
    /// A list of snapshots within a chain is wrong.
    ChainSnapshotInfo = "chain_snapshot_info_divergence", Facts, Unclear;
    /// The measurements within a chain differ.
    ChainMeasure = "chain_measure_divergence", Saying, Unclear;
    /// The metadata of an image is inconsistent.
    ChainMetadata = "chain_metadata_divergence", Metadata, Unclear;
    /// A header field of an image is wrong.
    ChainHeader = "chain_header_metadata_divergence", Metadata, Unclear;
    /// The dirty granules of a bitmap on disk are wrong.
    ChainDirty = "chain_dirty_metadata_divergence", Metadata, Unclear;
    /// An image needs too much host space, or a step touched other files.
    ChainHost = "chain_host_divergence", Host, Unclear;
    /// A request of a session reads wrong data, or is performed or refused wrongly.
    ChainSession = "chain_session_divergence", Contents, Unclear;
    /// A call of the tool failed, and the image is neither as before nor as after, or has errors.
    ChainFault = "chain_fault_divergence", Metadata, Unclear;
    /// A third tool reads the candidate's image differently.
    ChainWitness = "chain_witness_divergence", CrossReading, Unclear;

    /// libyal's tools report other facts about the image.
    WitnessInfo = "libyal_info_divergence", Facts, Unclear;
    /// libyal's tools can read an image in which the candidate finds errors, or the other way round.
    WitnessCheck = "libyal_check_divergence", Metadata, Unclear;

    /// The image to damage could be created on one side only.
    MalformedFixture = "malformed_fixture_create_failed", Exit, Unclear;
    /// A tool needed too much memory for a damaged image.
    MalformedMemory = "malformed_memory_blowup", Host, Unclear;
    /// A tool wrote too much because of a damaged image.
    MalformedDisk = "malformed_disk_blowup", Host, Unclear;
    /// The contents of a damaged image differ.
    MalformedContent = "malformed_content_divergence", Contents, Unclear;
    /// The descriptions of a damaged image differ.
    MalformedInfo = "malformed_info_divergence", Facts, Unclear;

    /// A tool refuses an image of our own, which is valid.
    WrittenRefused = "written_image_refused", Exit, Unclear;
    /// A tool shows other bytes of an image of our own than a guest must see.
    WrittenContent = "written_content_divergence", Contents, Unclear;
    /// A tool describes an image of our own wrongly.
    WrittenInfo = "written_info_divergence", Facts, Unclear;
    /// A tool maps an image of our own wrongly.
    WrittenMap = "written_map_divergence", Allocation, Unclear;
    /// A tool finds errors in an image of our own, which has none.
    WrittenCheck = "written_check_divergence", Metadata, Unclear;
    /// A tool compares an image of our own wrongly.
    WrittenCompare = "written_compare_divergence", Contents, Unclear;
    /// The measurements of an image of our own differ.
    WrittenMeasure = "written_measure_divergence", Saying, Unclear;
}

impl DivergenceKind {
    /// Returns the kind for a final image. An aspect of the whole operation has the same kind for each of its images.
    pub fn output(role: OutputRole, aspect: OutputAspect) -> Self {
        match aspect.is_of_operation() {
            true => Self::Output(role.operation(), aspect),
            false => Self::Output(role, aspect),
        }
    }

    /// Returns all kinds.
    pub fn all() -> impl Iterator<Item = Self> {
        let outputs = OutputRole::ALL.iter().flat_map(|role| {
            let of_role = |aspect: &OutputAspect| Self::output(*role, *aspect);
            let is_own = move |kind: &Self| matches!(kind, Self::Output(named, _) if named == role);
            OutputAspect::ALL.iter().map(of_role).filter(is_own)
        });
        Self::PLAIN.iter().copied().chain(outputs)
    }

    /// Whether it concerns a tool that crashes, hangs, or needs too many resources.
    pub fn is_of_failing_tool(self) -> bool {
        matches!(
            self,
            Self::CandidateTimeout
                | Self::CandidateCrash
                | Self::CandidateLimit
                | Self::ReferenceCrash
                | Self::MalformedMemory
                | Self::MalformedDisk
        )
    }

    /// Returns the kind with this name in records.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|kind| kind.to_string() == name)
    }
}

impl Serialize for DivergenceKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
