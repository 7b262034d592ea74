//! The features of operations and images, with the one table of their names. The catalogue of known divergences matches
//! them.
//!
//! Operations report them ([`Perform::features`](super::Perform::features)), and so do their facts. The names are
//! stable, because the catalogue contains them.

use super::chain::ChainStepKind;
use crate::image::format::Format;
use crate::image::unusual_feature::Unusual;

/// Defines the features that have their own name.
macro_rules! features {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A feature of an operation or of an image.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Feature {
            /// An image of this format.
            Format(Format),
            /// A step of this kind.
            Step(ChainStepKind),
            /// A damaged structure or field, or the kind of mutation, as the tables of mutations name it.
            Damage(&'static str),
            /// An unusual feature of an image of our own.
            Unusual(Unusual),
            $($(#[$doc])* $variant,)*
        }

        impl Feature {
            /// The features with their own name.
            const OWN: &[Self] = &[$(Self::$variant),*];

            /// Returns the name.
            pub fn name(self) -> &'static str {
                match self {
                    Self::Format(format) => format.name(),
                    Self::Step(kind) => kind.name(),
                    Self::Damage(name) => name,
                    Self::Unusual(unusual) => unusual.name(),
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
    /// A qcow2 with an external data file.
    DataFile = "data_file",
    /// A qcow2 whose external data file is a raw image of its own (`data_file_raw`).
    DataFileRaw = "data_file_raw",
    /// A qcow2 with subclusters.
    ExtendedL2 = "extended_l2",
    /// A vmdk with `zeroed_grain`, so that it can mark grains as zeros.
    ZeroedGrain = "zeroed_grain",
    /// A vmdk in the streamOptimized subformat.
    StreamOptimized = "stream_optimized",
    /// A vpc in the fixed subformat, which has no block table.
    Fixed = "fixed",
    /// An image with a backing file.
    Backed = "backed",
    /// A size that is not a multiple of 1 KiB.
    OddSectors = "odd_sectors",

    /// An image with compressed data.
    Compressed = "compressed",
    /// An image with internal snapshots.
    Snapshots = "snapshots",
    /// An image with bitmaps.
    Bitmaps = "bitmaps",
    /// An image without data.
    Empty = "empty",
    /// More than one mutation.
    Several = "several",

    /// A snapshot of an image that is, or will be, a backing file.
    SnapshotBelow = "snapshot_below",
    /// A bitmap of such an image.
    BitmapBelow = "bitmap_below",
    /// Any other step on such an image.
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
    /// qemu-img guesses the format of a backing image wrongly
    /// ([`Layer::is_guessed_under`](super::chain::Layer::is_guessed_under)).
    GuessedBacking = "hazard_guessed_backing",
    /// An encrypted image has a run of 2 GiB, so that a map may fail an assertion.
    HugeEncryptedRun = "hazard_endless_encrypted",
    /// Writing zeros with unmap to the last cluster of a parallels image leaks it, at the end of the file.
    ParallelsUnmap = "hazard_parallels_unmap",
    /// A qcow2 grows with preallocated host clusters. If clusters at the end of its file are free, the file is longer
    /// than the size to which it is to be grown, and qemu-img refuses ("Cannot use preallocation for shrinking files").
    PreallocatedGrowth = "hazard_preallocated_growth",
    /// An image with snapshots is amended to version 2. For a cluster that a snapshot shares and that was set to zero
    /// but stays allocated, qemu-img writes zeros to the host cluster, and the snapshot loses its data.
    DowngradedSnapshots = "hazard_downgraded_snapshots",
}

impl Feature {
    /// Returns the feature of this name, except those of the tables of mutations.
    pub fn named(name: &str) -> Option<Self> {
        let formats = Format::all().map(Self::Format);
        let steps = ChainStepKind::ALL.iter().copied().map(Self::Step);
        let unusual = Unusual::ALL.iter().copied().map(Self::Unusual);
        let own = Self::OWN.iter().copied();
        let mut all = own.chain(formats).chain(steps).chain(unusual);
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
        for unusual in Unusual::ALL {
            let feature = Feature::Unusual(*unusual);
            assert_eq!(Feature::named(unusual.name()), Some(feature));
        }
        assert_eq!(Feature::named("no_such_feature"), None);
    }
}
