//! The unusual features of valid images that tools are known to refuse: the part of their capabilities that no option of `qemu-img create` names.
//!
//! A tool that refuses such an image is not tested by it, and nothing is held against it; one that reads something other than what is there
//! is. Whether a refusal is allowed by the format's specification is said in the catalogue where it is not.

use super::request::{ImageFile, Request};
use crate::image::unusual::Unusual;

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
    refusal(
        "qemu-img",
        Unusual::PendingLog,
        "logs that are to be replayed",
    ),
    refusal(
        "qemu-img",
        Unusual::LogOfSeveral,
        "logs that are to be replayed",
    ),
    refusal(
        "qemu-img",
        Unusual::WrappedLog,
        "logs that are to be replayed",
    ),
    refusal("qemu-img", Unusual::LargeSectors, "sectors of 4096 bytes"),
];

/// Returns what the tool lacks for one of the request's images, by the table.
pub fn known(tool: &str, request: &Request) -> Option<&'static str> {
    let images = request.images().into_iter();
    let mut all =
        images.flat_map(|file| std::iter::successors(Some(file), |file| file.backing.as_deref()));
    all.find_map(|file| of_file(tool, file))
}

fn of_file(tool: &str, file: &ImageFile) -> Option<&'static str> {
    let mut rows = REFUSALS.iter();
    let is_met = |row: &&Refusal| row.tool == tool && file.unusual.contains(&row.feature);
    rows.find(is_met).map(|row| row.lacks)
}
