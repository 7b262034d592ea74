//! Where the images of a chain lie, and by which names they know each other.

use std::path::Path;

use serde_json::json;

use super::WrittenLayer;
use crate::image::unusual_feature::Unusual;

/// Returns the path of a layer's file, relative to the directory in which tools work.
pub(super) fn path(layers: &[WrittenLayer], index: usize, stem: &str) -> String {
    let layer = &layers[index];
    let format = layer.format;
    match layers.get(index + 1) {
        None if layer.has(Unusual::ImageInDirectory) && layer.options.data_file().is_none() => {
            format!("{stem}-image/{stem}.{format}")
        }
        None => format!("{stem}.{format}"),
        Some(overlay) => {
            let above = path(layers, index + 1, stem);
            let directory = directory(&above);
            let own = format!("{stem}-b{index}.{format}");
            let is_apart =
                overlay.has(Unusual::BackingInDirectory) && layer.options.data_file().is_none();
            match is_apart {
                true => format!("{directory}{stem}-below{index}/{own}"),
                false => format!("{directory}{own}"),
            }
        }
    }
}

/// Returns the part of a path up to its last slash.
fn directory(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}

/// Returns the name by which layer `overlay` records the one below; `None` for an absolute name without a `place` to lie in.
pub(super) fn recorded(
    layers: &[WrittenLayer],
    overlay: usize,
    stem: &str,
    place: Option<&Path>,
) -> Option<String> {
    let layer = &layers[overlay];
    let (own, below) = (path(layers, overlay, stem), path(layers, overlay - 1, stem));
    let relative = below
        .strip_prefix(directory(&own))
        .unwrap_or(&below)
        .to_owned();
    // What begins with a protocol is relative to the directory of the process.
    let is_here = directory(&own).is_empty();
    Some(match layer {
        layer if layer.has(Unusual::AbsoluteName) => {
            place?.join(&below).to_string_lossy().into_owned()
        }
        layer if layer.has(Unusual::JsonName) && is_here => {
            let driver = layers[overlay - 1].format.name();
            let file = json!({ "driver": "file", "filename": relative });
            format!("json:{}", json!({ "driver": driver, "file": file }))
        }
        layer if layer.has(Unusual::FileName) && is_here => format!("file:{relative}"),
        _ => relative,
    })
}

/// Returns the paths at which somebody looks for the image below who takes its name for relative to the directory of the process, or only the
/// last part of it. Empty unless the overlay has decoys.
pub(super) fn wrong(layers: &[WrittenLayer], overlay: usize, stem: &str) -> Vec<String> {
    if !layers[overlay].has(Unusual::Decoys) {
        return Vec::new();
    }
    let (own, below) = (path(layers, overlay, stem), path(layers, overlay - 1, stem));
    let relative = below.strip_prefix(directory(&own)).unwrap_or(&below);
    let name = &below[directory(&below).len()..];
    let looked = [
        name.to_owned(),
        relative.to_owned(),
        format!("{}{name}", directory(&own)),
    ];
    let mut wrong: Vec<String> = looked.into_iter().filter(|path| *path != below).collect();
    wrong.sort();
    wrong.dedup();
    wrong
}
