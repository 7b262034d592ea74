//! The kinds of divergence, all in one table: the name in records, the aspect of an image that each is about, and who is usually to blame.
//!
//! Made by the judges; read by reports, grouping and scripts. A kind that is not in the table cannot be made: the compiler says so.
//! Names are a contract: records, seed files and the catalogue hold them.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Aspect, Blame};

/// Writes out an enum with a name for each variant.
macro_rules! named {
    ($(#[$about:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $enum {
            $($(#[$doc])* $variant,)*
        }

        impl $enum {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name, as it stands in the names of kinds.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

named! {
    /// An image that an operation leaves on each side, by the operation and, where it leaves several, by what the image is there.
    OutputRole {
        /// What `amend` changed.
        Amend = "amend",
        /// What `bench` wrote to.
        Bench = "bench",
        /// What `bitmap` changed.
        Bitmap = "bitmap",
        /// The topmost image of a chain.
        Chain = "chain",
        /// An image that a chain keeps below its topmost one.
        ChainBacking = "chain_backing",
        /// Either image of a `commit`, in what is said of the operation.
        Commit = "commit",
        /// The image that was committed into.
        CommitBacking = "commit_backing",
        /// The image that was committed.
        CommitOverlay = "commit_overlay",
        /// What `convert` made.
        Convert = "convert",
        /// What `create` made.
        Create = "create",
        /// What `dd` made.
        Dd = "dd",
        /// What `measure` measured.
        Measure = "measure",
        /// What `rebase` changed.
        Rebase = "rebase",
        /// What `resize` changed.
        Resize = "resize",
        /// What `snapshot` changed.
        Snapshot = "snapshot",
    }
}

impl OutputRole {
    /// The whole operation, whichever of its images this is.
    pub fn operation(self) -> Self {
        match self {
            Self::ChainBacking => Self::Chain,
            Self::CommitBacking | Self::CommitOverlay => Self::Commit,
            _ => self,
        }
    }
}

named! {
    /// What may be wrong with an image that an operation leaves.
    OutputAspect {
        /// The check of the candidate's image finds something.
        Check = "check_divergence",
        /// The check of the candidate's image gives no result.
        CheckUnparseable = "check_unparseable",
        /// A guest sees something else in the candidate's image than in the reference's.
        Content = "content_divergence",
        /// The same, as the operation `snapshot` has always called it.
        Compare = "compare_divergence",
        /// The same, as the operation `bench` has always called it.
        Write = "write_divergence",
        /// A guest sees something else in an internal snapshot.
        SnapshotContents = "contents_divergence",
        /// The reference cannot read the candidate's image.
        ContentReadback = "content_readback_failure",
        /// The reference describes the candidate's image otherwise than its own.
        Info = "info_divergence",
        /// The reference's description is no JSON.
        InfoJson = "info_json_parse_failure",
        /// The reference cannot describe the candidate's image.
        InfoReadback = "info_readback_failure",
        /// The tools list the internal snapshots otherwise.
        List = "list_divergence",
        /// The candidate reads something else in an image than the reference does.
        Reading = "reading_divergence",
        /// The candidate does not read an image that the reference reads.
        ReadingRefused = "reading_refused",
        /// Both tools agree, and not with what the recipe says.
        Recipe = "recipe_divergence",
    }
}

impl OutputAspect {
    /// Whether it is said of the whole operation, not of one of its images.
    fn is_of_operation(self) -> bool {
        matches!(
            self,
            Self::ContentReadback | Self::InfoJson | Self::InfoReadback
        )
    }

    fn aspect(self) -> Aspect {
        match self {
            Self::Content | Self::Compare | Self::Write | Self::SnapshotContents | Self::Recipe => {
                Aspect::Contents
            }
            Self::Check | Self::CheckUnparseable => Aspect::Metadata,
            Self::Info | Self::InfoJson => Aspect::Facts,
            Self::ContentReadback | Self::InfoReadback | Self::Reading | Self::ReadingRefused => {
                Aspect::CrossReading
            }
            Self::List => Aspect::Saying,
        }
    }
}

/// Writes out the kinds that are not about an image that an operation leaves.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $about:ident, $blame:ident;)*) => {
        /// What kind of divergence: the Python harness's names where it had one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DivergenceKind {
            $($(#[$doc])* $variant,)*
            /// What is wrong with an image that an operation leaves; made by [`DivergenceKind::output`].
            Output(OutputRole, OutputAspect),
        }

        impl DivergenceKind {
            /// Those that are not about an image that an operation leaves.
            const PLAIN: &[Self] = &[$(Self::$variant),*];

            /// The aspect of an image that it is about.
            pub fn aspect(self) -> Aspect {
                match self {
                    $(Self::$variant => Aspect::$about,)*
                    Self::Output(_, aspect) => aspect.aspect(),
                }
            }

            /// Who is to blame where nobody looked closer: the candidate, when the kind itself says so.
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
    /// One side succeeded where the other did not.
    ExitCode = "exit_code_divergence", Exit, Unclear;
    /// Both refused what the recipe leaves no reason to refuse.
    RecipeExit = "recipe_exit_divergence", Exit, Unclear;
    /// Both refused, and not for the same reason.
    RefusalClass = "refusal_class_divergence", Exit, Unclear;
    /// The candidate ran out of time, the reference did not.
    CandidateTimeout = "candidate_timeout", Exit, Candidate;
    /// The candidate died of a signal or a panic, whatever the reference did.
    CandidateCrash = "candidate_crash", Exit, Candidate;
    /// The candidate used up more than a tool may, and the reference did not.
    CandidateLimit = "candidate_limit", Exit, Candidate;
    /// The reference died where that is not taken as a lack of an answer.
    ReferenceCrash = "reference_crash", Exit, Unclear;
    /// The candidate changed an image that it was only to read.
    InputChanged = "input_changed_divergence", Host, Candidate;

    /// An image to be amended could be made on one side only.
    AmendCreateSeed = "amend_create_seed_divergence", Exit, Unclear;
    /// An image to be written to could be made on one side only.
    BenchFixture = "bench_fixture_create_failed", Exit, Unclear;
    /// The tools tell their schedule otherwise.
    BenchHeader = "bench_header_divergence", Saying, Unclear;
    /// The tools refuse a schedule in contradicting words.
    BenchValidation = "bench_validation_divergence", Saying, Unclear;
    /// An image to get a bitmap could be made on one side only.
    BitmapFixture = "bitmap_fixture_create_failed", Exit, Unclear;
    /// A check finds something else than the other tool's.
    CheckOutput = "check_output_divergence", Metadata, Unclear;
    /// An image to be committed could be made on one side only.
    CommitFixture = "commit_fixture_create_failed", Exit, Unclear;
    /// An image to be committed could be written to on one side only.
    CommitSeed = "commit_seed_failed", Exit, Unclear;
    /// A description says something else than the other tool's.
    InfoOutput = "info_output_divergence", Facts, Unclear;
    /// A map is no JSON.
    MapJson = "map_json_parse_failure", Allocation, Unclear;
    /// A map is no list of extents.
    MapShape = "map_json_shape_divergence", Allocation, Unclear;
    /// A map has more extents than the other tool's.
    MapExtentCount = "map_extent_count_divergence", Allocation, Unclear;
    /// An extent of a map is another than the other tool's.
    MapField = "map_field_divergence", Allocation, Unclear;
    /// The map of a file on the host shows holes where the other tool sees none.
    MapHostHoles = "map_host_holes_divergence", Allocation, Unclear;
    /// A measurement is no JSON.
    MeasureJson = "measure_json_parse_failure", Saying, Unclear;
    /// A measurement has other numbers.
    MeasureNumeric = "measure_numeric_divergence", Saying, Unclear;
    /// One measurement tells of bitmaps, the other does not.
    MeasureBitmaps = "measure_bitmaps_presence_divergence", Facts, Unclear;
    /// A conversion took more than was foretold.
    MeasureAboveBound = "measure_above_fully_allocated_bound", Saying, Unclear;
    /// An image to be rebased could be made on one side only.
    RebaseFixture = "rebase_fixture_create_failed", Exit, Unclear;
    /// A damaged image could be made on one side only.
    RepairFixture = "repair_fixture_create_failed", Exit, Unclear;
    /// A repair left the image worse than it was.
    RepairSafety = "repair_safety_divergence", Metadata, Unclear;
    /// A repair left undone what has to be mended.
    RepairCompleteness = "repair_completeness_divergence", Metadata, Unclear;
    /// A repair changed what a guest sees.
    RepairData = "repair_data_divergence", Contents, Unclear;
    /// Both repairs left what a guest is not to see.
    RepairRecipe = "repair_recipe_divergence", Contents, Unclear;
    /// An image to be resized could be made on one side only.
    ResizeCreateSeed = "resize_create_seed_divergence", Exit, Unclear;
    /// An image to be resized could be written to on one side only.
    ResizeWrite = "resize_write_failure", Exit, Unclear;
    /// An image to get snapshots could be made on one side only.
    SnapshotFixture = "snapshot_fixture_create_failed", Exit, Unclear;
    /// An image with snapshots could be written to on one side only.
    SnapshotWrite = "snapshot_write_failed", Exit, Unclear;
    /// A snapshot table could be settled on one side only.
    SnapshotNormalize = "snapshot_normalize_failed", Exit, Unclear;
    /// The host clusters of an image with snapshots hold other bytes.
    SnapshotBytes = "snapshot_byte_divergence", Contents, Unclear;
    /// A snapshot has another date.
    SnapshotDate = "snapshot_date_divergence", Facts, Unclear;

    /// An image of a chain could be made on one side only.
    ChainLayer = "chain_layer_create_failed", Exit, Unclear;
    /// A map within or at the end of a chain says what is not so.
    ChainMap = "chain_map_divergence", Allocation, Unclear;
    /// A comparison within a chain says what is not so.
    ChainCompare = "chain_compare_content_divergence", Contents, Unclear;
    /// A list of snapshots within a chain says what is not so.
    ChainSnapshotInfo = "chain_snapshot_info_divergence", Facts, Unclear;
    /// A measurement within a chain is another than the other tool's.
    ChainMeasure = "chain_measure_divergence", Saying, Unclear;
    /// The metadata of an image do not hold together.
    ChainMetadata = "chain_metadata_divergence", Metadata, Unclear;
    /// The header of an image says what is not so.
    ChainHeader = "chain_header_metadata_divergence", Metadata, Unclear;
    /// A dirty bitmap on disk is another than what was written makes it.
    ChainDirty = "chain_dirty_metadata_divergence", Metadata, Unclear;
    /// An image takes more space on the host, or other files were touched.
    ChainHost = "chain_host_divergence", Host, Unclear;
    /// A third tool reads something else in the candidate's image.
    ChainWitness = "chain_witness_divergence", CrossReading, Unclear;

    /// libyal's tools say other facts of the image.
    WitnessInfo = "libyal_info_divergence", Facts, Unclear;
    /// libyal's tools can read what the candidate calls unsound, or the other way round.
    WitnessCheck = "libyal_check_divergence", Metadata, Unclear;

    /// An image to be damaged could be made on one side only.
    MalformedFixture = "malformed_fixture_create_failed", Exit, Unclear;
    /// A damaged image made a tool take too much memory.
    MalformedMemory = "malformed_memory_blowup", Host, Unclear;
    /// A damaged image made a tool write too much.
    MalformedDisk = "malformed_disk_blowup", Host, Unclear;
    /// A damaged image reads otherwise.
    MalformedContent = "malformed_content_divergence", Contents, Unclear;
    /// A damaged image is described otherwise.
    MalformedInfo = "malformed_info_divergence", Facts, Unclear;
}

impl DivergenceKind {
    /// What is wrong with an image that an operation leaves. What is said of the whole operation is the same kind for each of its images.
    pub fn output(role: OutputRole, aspect: OutputAspect) -> Self {
        match aspect.is_of_operation() {
            true => Self::Output(role.operation(), aspect),
            false => Self::Output(role, aspect),
        }
    }

    /// Every kind that can be made.
    pub fn all() -> impl Iterator<Item = Self> {
        let outputs = OutputRole::ALL.iter().flat_map(|role| {
            let of_role = |aspect: &OutputAspect| Self::output(*role, *aspect);
            let is_own = move |kind: &Self| matches!(kind, Self::Output(named, _) if named == role);
            OutputAspect::ALL.iter().map(of_role).filter(is_own)
        });
        Self::PLAIN.iter().copied().chain(outputs)
    }

    /// Whether it is about a tool that dies, does not end, or takes too much.
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

    /// The kind with this name in records.
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
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_by_which_it_is_found_again() {
        let names: Vec<String> = DivergenceKind::all().map(|kind| kind.to_string()).collect();
        let different: BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        for kind in DivergenceKind::all() {
            assert_eq!(DivergenceKind::named(&kind.to_string()), Some(kind));
        }
        assert_eq!(DivergenceKind::named("no_such_divergence"), None);
        let written = serde_json::to_string(&DivergenceKind::ExitCode).unwrap();
        assert_eq!(written, "\"exit_code_divergence\"");
    }

    #[test]
    fn what_is_said_of_a_whole_operation_is_the_same_for_each_of_its_images() {
        let kind = |role, aspect| DivergenceKind::output(role, aspect).to_string();
        for role in [OutputRole::CommitBacking, OutputRole::CommitOverlay] {
            let read = kind(role, OutputAspect::ContentReadback);
            assert_eq!(read, "commit_content_readback_failure");
        }
        assert_eq!(
            kind(OutputRole::ChainBacking, OutputAspect::InfoReadback),
            "chain_info_readback_failure"
        );
        assert_eq!(
            kind(OutputRole::CommitOverlay, OutputAspect::Content),
            "commit_overlay_content_divergence"
        );
        assert_eq!(
            kind(OutputRole::ChainBacking, OutputAspect::Check),
            "chain_backing_check_divergence"
        );
    }

    #[test]
    fn a_kind_is_about_the_aspect_that_differs_whatever_words_its_name_has() {
        let aspects = [
            ("exit_code_divergence", Aspect::Exit),
            ("resize_write_failure", Aspect::Exit),
            ("amend_create_seed_divergence", Aspect::Exit),
            ("resize_content_divergence", Aspect::Contents),
            ("snapshot_byte_divergence", Aspect::Contents),
            ("snapshot_compare_divergence", Aspect::Contents),
            ("bench_write_divergence", Aspect::Contents),
            ("repair_data_divergence", Aspect::Contents),
            ("repair_safety_divergence", Aspect::Metadata),
            ("resize_info_divergence", Aspect::Facts),
            ("measure_bitmaps_presence_divergence", Aspect::Facts),
            ("bitmap_info_divergence", Aspect::Facts),
            ("chain_map_divergence", Aspect::Allocation),
            ("map_field_divergence", Aspect::Allocation),
            ("convert_check_divergence", Aspect::Metadata),
            ("chain_metadata_divergence", Aspect::Metadata),
            ("input_changed_divergence", Aspect::Host),
            ("chain_host_divergence", Aspect::Host),
            ("malformed_memory_blowup", Aspect::Host),
            ("malformed_disk_blowup", Aspect::Host),
            ("convert_reading_refused", Aspect::CrossReading),
            ("commit_info_readback_failure", Aspect::CrossReading),
            ("measure_numeric_divergence", Aspect::Saying),
        ];
        for (name, aspect) in aspects {
            let kind = DivergenceKind::named(name).unwrap();
            assert_eq!(kind.aspect(), aspect, "{name}");
        }
    }

    #[test]
    fn what_only_the_candidate_can_do_is_usually_its_fault() {
        let blamed = [
            DivergenceKind::CandidateCrash,
            DivergenceKind::CandidateTimeout,
            DivergenceKind::CandidateLimit,
            DivergenceKind::InputChanged,
        ];
        for kind in DivergenceKind::all() {
            let blame = match blamed.contains(&kind) {
                true => Blame::Candidate,
                false => Blame::Unclear,
            };
            assert_eq!(kind.usual_blame(), blame, "{kind}");
        }
    }
}
