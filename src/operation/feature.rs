//! What is notable of an operation, and the one table of its names: the catalogue of known divergences asks for it.
//!
//! Named by the operations ([`Perform::features`](super::Perform::features)) and by their facts. The names are a contract: the catalogue
//! holds them.

use super::chain::ChainStepKind;
use crate::image::format::Format;

/// Writes out the features that have a name of their own.
macro_rules! features {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Something notable of an operation, or of an image.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Feature {
            /// An image of this format.
            Format(Format),
            /// A step of this kind.
            Step(ChainStepKind),
            /// A structure or a field that is damaged, or how, as the tables of damage name it.
            Damage(&'static str),
            $($(#[$doc])* $variant,)*
        }

        impl Feature {
            /// Those that have a name of their own.
            const OWN: &[Self] = &[$(Self::$variant),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    Self::Format(format) => format.name(),
                    Self::Step(kind) => kind.name(),
                    Self::Damage(name) => name,
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

features! {
    /// A qcow2 of version 2.
    Version2 = "version_2",
    /// An encrypted image.
    Encryption = "encryption",
    /// A qcow2 whose data lie in a file of their own.
    DataFile = "data_file",
    /// The same, of which the data can be read without it.
    DataFileRaw = "data_file_raw",
    /// A qcow2 with subclusters.
    ExtendedL2 = "extended_l2",
    /// A vmdk that marks grains as zeros.
    ZeroedGrain = "zeroed_grain",
    /// A vmdk that is written from its beginning to its end.
    StreamOptimized = "stream_optimized",
    /// A vpc without a table of blocks.
    Fixed = "fixed",
    /// An image with a backing file.
    Backed = "backed",
    /// A size that is no whole number of KiB.
    OddSectors = "odd_sectors",

    /// An image whose data are compressed.
    Compressed = "compressed",
    /// An image with internal snapshots.
    Snapshots = "snapshots",
    /// An image with bitmaps.
    Bitmaps = "bitmaps",
    /// An image that nothing was written to.
    Empty = "empty",
    /// More than one piece of damage.
    Several = "several",

    /// A snapshot of an image that lies, or will lie, below others.
    SnapshotBelow = "snapshot_below",
    /// A bitmap of such an image.
    BitmapBelow = "bitmap_below",
    /// Anything else that is done with such an image.
    StepBelow = "act_below",

    /// [`KnownQemuBug::UnalignedRebase`](super::chain::KnownQemuBug::UnalignedRebase).
    UnalignedRebase = "hazard_ragged_rebase",
    /// [`KnownQemuBug::MetadataGrowth`](super::chain::KnownQemuBug::MetadataGrowth).
    MetadataGrowth = "hazard_metadata_growth",
    /// [`KnownQemuBug::NarrowSnapshot`](super::chain::KnownQemuBug::NarrowSnapshot).
    NarrowSnapshot = "hazard_narrow_snapshot",
    /// [`KnownQemuBug::UnalignedGrowth`](super::chain::KnownQemuBug::UnalignedGrowth).
    UnalignedGrowth = "hazard_ragged_growth",
    /// [`KnownQemuBug::Version2Bitmaps`](super::chain::KnownQemuBug::Version2Bitmaps).
    Version2Bitmaps = "hazard_version_2_bitmaps",
    /// [`KnownQemuBug::EncryptedDowngrade`](super::chain::KnownQemuBug::EncryptedDowngrade).
    EncryptedDowngrade = "hazard_encrypted_downgrade",
    /// [`KnownQemuBug::CompressedQcow`](super::chain::KnownQemuBug::CompressedQcow).
    CompressedQcow = "hazard_compressed_qcow",
    /// [`KnownQemuBug::RepairedSnapshots`](super::chain::KnownQemuBug::RepairedSnapshots).
    RepairedSnapshots = "hazard_repaired_snapshots",
    /// An image lies on one whose format is guessed, wrongly ([`Layer::is_guessed_under`](super::chain::Layer::is_guessed_under)).
    GuessedBacking = "hazard_guessed_backing",
    /// A map of an encrypted image may end with a failed assertion: it has a run of 2 GiB.
    HugeEncryptedRun = "hazard_endless_encrypted",
    /// Zeros for the last cluster of a parallels image whose space may be given back leak it, at the file's end.
    ParallelsUnmap = "hazard_parallels_unmap",
    /// Host clusters are preallocated for a qcow2 that grows. Where clusters at the end of its file are free, the file is longer than what
    /// it is to be "grown" to, and qemu-img refuses ("Cannot use preallocation for shrinking files").
    PreallocatedGrowth = "hazard_preallocated_growth",
    /// An image with snapshots is amended to version 2. Where a cluster that a snapshot shares was set to zero and kept its place, qemu-img
    /// writes the zeros there, and the snapshot loses what it held.
    DowngradedSnapshots = "hazard_downgraded_snapshots",
}

impl Feature {
    /// The one of this name, of those that do not depend on the tables of damage.
    pub fn named(name: &str) -> Option<Self> {
        let formats = Format::all().map(Self::Format);
        let steps = ChainStepKind::ALL.iter().copied().map(Self::Step);
        let mut all = Self::OWN.iter().copied().chain(formats).chain(steps);
        all.find(|feature| feature.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_is_found_by_its_name_and_no_two_have_the_same() {
        for feature in Feature::OWN {
            assert_eq!(Feature::named(feature.name()), Some(*feature));
        }
        for kind in ChainStepKind::ALL {
            assert_eq!(Feature::named(kind.name()), Some(Feature::Step(*kind)));
        }
        for format in Format::all() {
            assert_eq!(Feature::named(format.name()), Some(Feature::Format(format)));
        }
        assert_eq!(Feature::named("no_such_feature"), None);
    }
}
