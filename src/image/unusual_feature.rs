//! The unusual features that a valid image may have: the one table of their names.
//!
//! A recipe of a written image lists them, the writers carry them out, the capabilities of tools name those that a tool refuses, and the
//! catalogue of known divergences matches them. What an option of `qemu-img create` says already (the version, extended L2 entries, an external
//! data file, a subformat) is no unusual feature here, but an option.

use serde::{Deserialize, Serialize};

use crate::image::format::Format;

/// Defines the features, with their names and the formats that can have them.
macro_rules! features {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $formats:expr;)*) => {
        /// An unusual feature of an image.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Unusual {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Unusual {
            /// All features.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Returns the formats whose images can have it.
            pub fn formats(self) -> &'static [Format] {
                match self {
                    $(Self::$variant => &$formats,)*
                }
            }
        }
    };
}

use Format::{Parallels, Qcow, Qcow2, Raw, Vdi, Vhdx, Vmdk, Vpc};

features! {
    /// Data and tables lie in another order than that of the guest's addresses.
    Shuffled = "shuffled", [Qcow2, Vhdx, Vpc, Vmdk, Vdi, Parallels, Qcow];
    /// A part of the file lies beyond 2 GiB.
    Beyond2Gib = "beyond_2_gib", [Qcow2, Vhdx, Vpc, Vmdk, Parallels, Qcow];
    /// A part of the file lies beyond 4 GiB.
    Beyond4Gib = "beyond_4_gib", [Qcow2, Vhdx, Vpc, Vmdk, Parallels, Qcow];

    /// The image lies in a directory of its own, and tools work elsewhere.
    ImageInDirectory = "image_in_directory", [Qcow2, Vhdx, Vpc, Vmdk, Qcow];
    /// The image below lies in a directory beside it, and its name is relative to the image.
    BackingInDirectory = "backing_in_directory", [Qcow2, Qcow, Vmdk, Vhdx, Vpc];
    /// The name of the image below is absolute.
    AbsoluteName = "absolute_name", [Qcow2, Qcow];
    /// The name of the image below begins with `file:`.
    FileName = "name_with_file", [Qcow2];
    /// The name of the image below is a `json:` text.
    JsonName = "name_in_json", [Qcow2];
    /// Images of other contents lie where somebody looks who resolves a name wrongly.
    Decoys = "decoys", [Qcow2, Qcow, Vmdk, Vhdx, Vpc];
    /// A guest's data begins like the header of another format.
    Lookalike = "data_like_a_header", [Raw, Qcow2, Vpc, Vmdk];

    /// The header ends behind `header_length`, at byte 104.
    ShortHeader = "short_header", [Qcow2];
    /// The header is longer than the fields that the specification names; what follows is zero.
    LongHeader = "long_header", [Qcow2];
    /// A table of the names of features, and an extension of an unknown type.
    HeaderExtensions = "header_extensions", [Qcow2];
    /// A compatible feature that nobody knows.
    UnknownCompatible = "unknown_compatible", [Qcow2];
    /// An autoclear feature that nobody knows.
    UnknownAutoclear = "unknown_autoclear", [Qcow2];
    /// The flag for lazy refcounts.
    LazyRefcounts = "lazy_refcounts", [Qcow2];
    /// Compressed clusters.
    Deflated = "deflated_clusters", [Qcow2, Qcow];
    /// Compressed clusters that share host clusters, at any byte.
    Packed = "packed_clusters", [Qcow2, Qcow];
    /// Clusters that read as zeros and have no place in the file.
    ZeroClusters = "zero_clusters", [Qcow2];
    /// Clusters that read as zeros although there is data at their place.
    ZeroesOverData = "zeroes_over_data", [Qcow2];
    /// An L1 table that describes more than the guest sees.
    LargeL1 = "large_l1", [Qcow2];
    /// An internal snapshot, which shares clusters with the image.
    Shared = "shared_clusters", [Qcow2];
    /// An internal snapshot of another size.
    ResizedSnapshot = "resized_snapshot", [Qcow2];
    /// The file ends within its last cluster.
    ShortFile = "short_file", [Qcow2];

    /// A log that is to be replayed: the block table in its place is an old one.
    PendingLog = "pending_log", [Vhdx];
    /// Several entries in that log.
    LogOfSeveral = "log_of_several", [Vhdx];
    /// An entry of that log begins at the end of the log's space and ends at its beginning.
    WrappedLog = "wrapped_log", [Vhdx];
    /// The second header is the current one.
    SecondHeader = "second_header", [Vhdx];
    /// Only one header is sound.
    OneHeader = "one_header", [Vhdx];
    /// Logical sectors of 4096 bytes.
    LargeSectors = "large_sectors", [Vhdx];
    /// Blocks in the states zero and unmapped.
    BlockStates = "block_states", [Vhdx];
    /// A metadata item and a region that nobody knows and nobody needs to know.
    UnknownItems = "unknown_items", [Vhdx];

    /// An image that holds only what differs from another one.
    Differencing = "differencing", [Vhdx, Vpc];

    /// A creator other than the usual `win `.
    OtherCreator = "other_creator", [Vpc];
    /// A size that no geometry of cylinders, heads and sectors has.
    OddGeometry = "odd_geometry", [Vpc];
    /// An original size that is not the current one.
    ResizedDisk = "resized_disk", [Vpc];
    /// Sector bitmaps with clear bits over sectors of zeros.
    ClearBits = "clear_bits", [Vpc];
    /// Sector bitmaps with clear bits over old data, which a guest does not see.
    StaleBits = "stale_bits", [Vpc];
    /// The header and the table lie behind the blocks.
    HeaderBehind = "header_behind", [Vpc];

    /// VirtualBox's layout: the map at 1 MiB, a longer header.
    MapAtMib = "map_at_1_mib", [Vdi];
    /// Blocks that a guest discarded, told apart from those that were never written.
    Discarded = "discarded_blocks", [Vdi];
    /// Blocks of another size than 1 MiB.
    OtherBlocks = "other_block_size", [Vdi];

    /// The older of the two magic numbers, whose table counts sectors.
    OldMagic = "old_magic", [Parallels];
    /// Data begin far behind the table.
    DataBehindGap = "data_behind_gap", [Parallels];

    /// Several extents.
    SeveralExtents = "several_extents", [Vmdk];
    /// An extent of zeros without a file.
    ZeroExtent = "zero_extent", [Vmdk];
    /// An extent that is only to be read.
    ReadOnlyExtent = "read_only_extent", [Vmdk];
    /// Extents that are parts of one file.
    FlatRanges = "flat_ranges", [Vmdk];
    /// A descriptor with the types of extents of ESX.
    Vmfs = "vmfs_extents", [Vmdk];
    /// A sparse extent of ESX (COWD).
    Cowd = "cowd_extent", [Vmdk];
    /// A descriptor whose lines end with CR LF.
    CrLf = "cr_lf", [Vmdk];
    /// A descriptor that names its encoding, as VMware's do.
    EncodingKey = "encoding_key", [Vmdk];
    /// A descriptor in windows-1252, with a letter that is no ASCII.
    Windows1252 = "windows_1252", [Vmdk];
    /// No redundant grain directory.
    OneDirectory = "one_directory", [Vmdk];
    /// The grain directory is found by a footer.
    Footer = "footer", [Vmdk];
}

impl Unusual {
    /// Returns the feature of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|feature| feature.name() == name)
    }

    /// Those that are not of a layer alone: they follow from the rest of a recipe, or lie in places, names and a guest's data.
    pub const OUTSIDE_A_LAYER: [Self; 9] = [
        Self::Differencing,
        Self::OtherBlocks,
        Self::ImageInDirectory,
        Self::BackingInDirectory,
        Self::AbsoluteName,
        Self::FileName,
        Self::JsonName,
        Self::Decoys,
        Self::Lookalike,
    ];

    /// Returns the features of a format's images, in the order of the table.
    pub fn of_format(format: Format) -> Vec<Self> {
        let all = Self::ALL.iter().copied();
        all.filter(|feature| feature.formats().contains(&format))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_is_found_by_its_name() {
        for feature in Unusual::ALL {
            assert_eq!(Unusual::named(feature.name()), Some(*feature));
            let json = serde_json::to_value(feature).expect("a name");
            assert_eq!(json, feature.name());
        }
        assert_eq!(Unusual::named("usual"), None);
    }
}
