//! qcow2: "Header" to "Snapshots" in QEMU's qcow2 specification.
//!
//! The states of the image (an internal snapshot, then the active one) become tables of symbolic entries first, so that what two states share is
//! found; then every part of the file gets its place, in any order; then references are counted and everything is written.

mod header;
mod layout;
mod state;
mod zstd;

use super::{Below, Guest, HostFile, WrittenLayer};
use crate::disk_format::qcow2::Unparsable;
use crate::image::unusual_feature::Unusual;
use layout::Layout;
use state::States;

/// Returns the image and, where it has one, its external data file.
pub(super) fn files(
    layer: &WrittenLayer,
    name: &str,
    below: Option<&Below>,
) -> Result<Vec<HostFile>, Unparsable> {
    let states = States::from_recipe(layer, below);
    Layout::new(layer, &states).files(name, below)
}

/// Returns what a guest sees in the internal snapshot, if the image has one, of its own size.
pub(super) fn snapshot(layer: &WrittenLayer, below: Option<&Guest>) -> Option<Guest> {
    if !state::has_snapshot(layer) || layer.has(Unusual::ResizedSnapshot) {
        return None;
    }
    let earlier = state::earlier(layer);
    Some(earlier.guest(below, &earlier.writes))
}
