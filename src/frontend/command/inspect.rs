//! `imgduel inspect`: shows images from outside to every tool, or prints the metadata of a qcow2 according to our own parser, for reproducers of
//! divergences that no tool's output shows.
//!
//! The command calls it. The image is copied first, and nothing is written to it.

mod views;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::print_exact;
use crate::base::error::{Error, Result};
use crate::disk_format::qcow2::audit::Audit;
use crate::disk_format::qcow2::host_clusters::HostClusters;
use crate::disk_format::qcow2::{ImageBytes, Unparsable};
use crate::image::content::copy_sparse;
use crate::tool::ToolSpec;

#[derive(Args)]
/// The arguments of `imgduel inspect`.
pub(super) struct InspectArguments {
    /// Images, or directories of images; one qcow2 with the flags that print a part of it
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Ask only this tool: NAME, NAME:PATH or adapter:COMMAND; more with commas or repeated (default: all of this machine)
    #[arg(
        long = "tool",
        value_name = "SPEC",
        value_delimiter = ',',
        conflicts_with = "look"
    )]
    tools: Vec<ToolSpec>,

    /// Print what the tools say as JSON
    #[arg(long, conflicts_with = "look")]
    json: bool,

    /// Write a page with what the tools say and a picture of where they differ
    #[arg(long, value_name = "FILE", conflicts_with = "look")]
    page: Option<PathBuf>,

    /// Print what lies on disk in a qcow2, as JSON: header fields, bitmaps, what is wrong with its metadata
    #[arg(long, group = "look")]
    metadata: bool,

    /// Print this field of its header, or of the header's extensions
    #[arg(long, value_name = "NAME", group = "look")]
    field: Option<String>,

    /// Print the granules that are dirty in this bitmap
    #[arg(long, value_name = "NAME", group = "look")]
    bitmap: Option<String>,

    /// Print when each of its snapshots was made, in seconds since the Epoch
    #[arg(long, group = "look")]
    dates: bool,

    /// Say where its host clusters and those of this file differ, dates of snapshots aside, and exit with 1 if they do
    #[arg(long, value_name = "OTHER", group = "look")]
    against: Option<PathBuf>,
}

/// Prints the selected part of a qcow2, or what the tools say of the images.
pub(super) fn inspect(arguments: &InspectArguments) -> Result<ExitCode> {
    let is_part = arguments.metadata
        || arguments.dates
        || arguments.field.is_some()
        || arguments.bitmap.is_some()
        || arguments.against.is_some();
    if !is_part {
        let page = arguments.page.as_deref();
        return views::show(&arguments.files, &arguments.tools, arguments.json, page);
    }
    let [file] = &arguments.files[..] else {
        let why = "a part of a qcow2 is printed of one FILE at a time";
        return Err(Error::usage(why.to_owned()));
    };
    if let Some(other) = &arguments.against {
        let Some(found) = clusters(file)?.difference(&clusters(other)?) else {
            return Ok(ExitCode::SUCCESS);
        };
        let (first, second) = (found.first, found.second);
        print_exact(&format!("{}: {first}, {second}\n", found.place));
        return Ok(ExitCode::from(super::EXIT_DIVERGENCE));
    }
    if arguments.dates {
        let dates = clusters(file)?.snapshot_dates.into_iter();
        return Ok(print_exact(
            &dates.map(|date| format!("{date}\n")).collect::<String>(),
        ));
    }
    let audit = read(file, Audit::of_qcow2)?;
    let text = if let Some(name) = &arguments.field {
        audit.facts.get(name).cloned().ok_or_else(|| {
            let names: Vec<&str> = audit.facts.keys().map(String::as_str).collect();
            Error::usage(format!(
                "there is no field '{name}': write one of {}",
                names.join(", ")
            ))
        })?
    } else if let Some(name) = &arguments.bitmap {
        audit.dirty_in_words(name)
    } else {
        serde_json::to_string_pretty(&audit).map_err(|error| Error::system(error.to_string()))?
    };
    Ok(print_exact(&format!("{text}\n")))
}

fn clusters(file: &Path) -> Result<HostClusters> {
    read(file, HostClusters::settle_and_read)
}

/// Reads a copy.
fn read<T>(
    file: &Path,
    look: impl Fn(&ImageBytes) -> std::result::Result<T, Unparsable>,
) -> Result<T> {
    let directory = tempfile::tempdir()
        .map_err(|error| Error::io("make a directory in", &std::env::temp_dir(), &error))?;
    let copy = directory.path().join("image");
    copy_sparse(file, &copy)?;
    let found = ImageBytes::open(&copy).and_then(|image| look(&image));
    found.map_err(|why| Error::usage(format!("{}: {why}", file.display())))
}
