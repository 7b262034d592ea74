//! The unusual features of valid images that tools are known to refuse: the part of their capabilities that no option of `qemu-img create` names.
//!
//! A tool that refuses such an image is not tested by it, and nothing is held against it; one that reads something other than what is there
//! is. Whether a refusal is allowed by the format's specification is said in the catalogue where it is not.

use super::request::{ImageFile, Request};
use crate::image::unusual_feature::Unusual;

/// What a tool refuses, and what it says is missing.
struct Refusal {
    tool: &'static str,
    feature: Unusual,
    lacks: &'static str,
}

const fn refusal(tool: &'static str, feature: Unusual, lacks: &'static str) -> Refusal {
    Refusal {
        tool,
        feature,
        lacks,
    }
}

/// All known refusals.
static REFUSALS: &[Refusal] = &[
    refusal(EVERY_TOOL, Unusual::AbsoluteName, MOVED),
    refusal("qemu-img", Unusual::PendingLog, LOGS),
    refusal("qemu-img", Unusual::LogOfSeveral, LOGS),
    refusal("qemu-img", Unusual::WrappedLog, LOGS),
    refusal("qemu-img", Unusual::LargeSectors, LARGE_SECTORS),
    refusal(
        "qemu-img",
        Unusual::OtherBlocks,
        "blocks of other sizes than 1 MiB",
    ),
    refusal("qemu-img", Unusual::Differencing, DIFFERENCING),
    refusal("7zz", Unusual::PendingLog, LOGS),
    refusal("7zz", Unusual::LogOfSeveral, LOGS),
    refusal("7zz", Unusual::WrappedLog, LOGS),
    refusal("7zz", Unusual::LargeSectors, LARGE_SECTORS),
    refusal("imago", Unusual::FileName, NAMES),
    refusal("imago", Unusual::JsonName, NAMES),
    refusal("imago", Unusual::Vmfs, "extents of ESX"),
    refusal("fs-explorer", Unusual::JsonName, NAMES),
    refusal("vbox-img", Unusual::Cowd, "sparse extents of ESX"),
    refusal("dissect.hypervisor", Unusual::FileName, NAMES),
    refusal("dissect.hypervisor", Unusual::JsonName, NAMES),
    refusal(
        "dissect.hypervisor",
        Unusual::Windows1252,
        "descriptors in windows-1252",
    ),
    refusal("7zz", Unusual::ShortFile, SHORT),
    refusal("7zz", Unusual::ZeroExtent, "extents of zeros"),
    refusal("7zz", Unusual::Cowd, "sparse extents of ESX"),
    refusal("qcow2-core", Unusual::ShortFile, SHORT),
    refusal("vbox-img", Unusual::ShortFile, SHORT),
    refusal("fs-explorer", Unusual::ShortFile, SHORT),
    refusal("dissect.hypervisor", Unusual::ShortFile, SHORT),
    refusal("libvmdk", Unusual::ZeroExtent, "extents of zeros"),
    refusal("libqcow", Unusual::LongHeader, "longer headers"),
    refusal(
        "libqcow",
        Unusual::UnknownCompatible,
        "unknown compatible features",
    ),
];

const SHORT: &str = "an end of the file within its last cluster";
/// Whatever tool it is.
const EVERY_TOOL: &str = "";
const LOGS: &str = "logs that are to be replayed";
const LARGE_SECTORS: &str = "sectors of 4096 bytes";
const DIFFERENCING: &str = "differencing images";
const NAMES: &str = "names of backing files with a protocol";
/// The directory of a persistent process is moved for each request, so that an absolute name leads nowhere.
const MOVED: &str = "absolute names, where its files are moved for each request";

/// Returns what the tool lacks for one of the request's images, by the table.
pub fn known(tool: &str, request: &Request) -> Option<&'static str> {
    let images = request.images().into_iter();
    let mut all =
        images.flat_map(|file| std::iter::successors(Some(file), |file| file.backing.as_deref()));
    all.find_map(|file| of_file(tool, file))
}

fn of_file(tool: &str, file: &ImageFile) -> Option<&'static str> {
    let mut rows = REFUSALS.iter();
    let is_met = |row: &&Refusal| {
        (row.tool == tool || row.tool == EVERY_TOOL) && file.unusual.contains(&row.feature)
    };
    rows.find(is_met).map(|row| row.lacks)
}
