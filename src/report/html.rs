//! The page: one file for the browser, with everything in it.

use std::fs::File;
use std::path::Path;

use super::digest::Digest;
use crate::error::{Error, Result};
use crate::record::Summary;

/// Whether the page can be written there; found out before a campaign, not after it.
pub fn try_to_write(path: &Path) -> Result<()> {
    let file = File::options().create(true).append(true).open(path);
    file.map(drop)
        .map_err(|error| Error::io("write the page to", path, &error))
}

/// Writes the page.
pub fn write(path: &Path, summary: &Summary, digest: &Digest) -> Result<()> {
    let page = page(summary, digest);
    std::fs::write(path, page).map_err(|error| Error::io("write the page to", path, &error))
}

fn page(_: &Summary, _: &Digest) -> String {
    String::new()
}
