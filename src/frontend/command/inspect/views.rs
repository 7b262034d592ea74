//! `imgduel inspect FILE...`: what every tool of this machine says of images from outside.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::super::{EXIT_DIVERGENCE, EXIT_VACUOUS, print_exact, print_text};
use crate::base::error::{Error, Result};
use crate::campaign::settings::Settings;
use crate::campaign::tools_here;
use crate::disk_format::description::Description;
use crate::report::html::{self, views::Looked};
use crate::report::terminal;
use crate::run::kept_image::{ENDING, KeptImage};
use crate::run::outside_image::OutsideImage;
use crate::run::views::{self, Agreement, Looking, View};
use crate::tool::{ToolEnv, ToolSpec};

/// One image in the JSON.
#[derive(Serialize)]
struct Report<'image> {
    file: &'image Path,
    format: &'static str,
    companions: Vec<&'image Path>,
    left_out: &'image [String],
    description: &'image Description,
    tools: &'image [View],
}

/// Shows the images to the tools, prints what they say, and writes a page of it. Returns 1 if tools differ or one dies, 3 if nothing was compared.
pub(super) fn show(
    files: &[PathBuf],
    specs: &[ToolSpec],
    as_json: bool,
    page: Option<&Path>,
) -> Result<ExitCode> {
    let images = files.iter().map(|file| within(file));
    let paths = images.collect::<Result<Vec<Vec<PathBuf>>>>()?.concat();
    let mut unpacked = Vec::new();
    let images = paths.iter().map(|path| found(path, &mut unpacked));
    let images = images.collect::<Result<Vec<OutsideImage>>>()?;
    let settings = Settings::from_flags::<&str>([])?;
    let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
    let tools = tools_here::open(specs, &tool_env)?;
    let (workdir, sandbox) = (settings.workdir(), settings.sandbox());
    let looking = Looking {
        workdir: &workdir,
        limit: settings.timeout,
        sandbox: &sandbox,
    };
    // What is a part of another of these images is none itself.
    let parts: BTreeSet<&PathBuf> = images.iter().flat_map(|image| &image.parts).collect();
    let is_whole =
        |image: &&OutsideImage| !image.taken.iter().take(1).any(|path| parts.contains(path));
    let mut looked = Vec::new();
    for image in images.iter().filter(is_whole) {
        let views = views::of_all(&tools, image, &looking)?;
        let description = image.described().unwrap_or_default();
        if !as_json {
            print_text(&terminal::views::views(image, &description, &views));
        }
        looked.push(Looked {
            image,
            description,
            views,
        });
    }
    if as_json {
        let reports: Vec<Report> = looked.iter().map(report).collect();
        let json = serde_json::to_string_pretty(&reports);
        let json = json.map_err(|error| Error::system(error.to_string()))?;
        print_exact(&format!("{json}\n"));
    }
    if let Some(page) = page {
        html::views::write(page, &looked)?;
    }
    let agreements = looked.iter().map(|looked| views::agreement(&looked.views));
    let agreements: Vec<Agreement> = agreements.collect();
    let is_any = |wanted: Agreement| agreements.contains(&wanted);
    Ok(match (is_any(Agreement::Apart), is_any(Agreement::Same)) {
        (true, _) => ExitCode::from(EXIT_DIVERGENCE),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(EXIT_VACUOUS),
    })
}

fn report<'looked>(looked: &'looked Looked<'_>) -> Report<'looked> {
    let image = looked.image;
    let companions = image.taken.iter().skip(1);
    Report {
        file: &image.shown,
        format: image.file.format.name(),
        companions: companions.map(PathBuf::as_path).collect(),
        left_out: &image.left,
        description: &looked.description,
        tools: &looked.views,
    }
}

/// Finds an image; a kept one is made again, in a directory that is added to `unpacked`.
fn found(path: &Path, unpacked: &mut Vec<tempfile::TempDir>) -> Result<OutsideImage> {
    if path.extension().is_none_or(|ending| ending != ENDING) {
        return OutsideImage::find(path);
    }
    let directory = scratch()?;
    let (kept, bytes) = KeptImage::read(path)?;
    let mut image = OutsideImage::find(&kept.make(&bytes, directory.path())?)?;
    image.shown = path.to_owned();
    unpacked.push(directory);
    Ok(image)
}

fn scratch() -> Result<tempfile::TempDir> {
    tempfile::tempdir()
        .map_err(|error| Error::io("make a directory in", &std::env::temp_dir(), &error))
}

/// The image itself, or the regular files of a directory in the order of their names.
fn within(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| Error::io("list", path, &error))?;
    let files = entries.iter().map(fs::DirEntry::path);
    let mut files: Vec<PathBuf> = files.filter(|file| file.is_file()).collect();
    files.sort();
    match files.is_empty() {
        true => Err(Error::usage(format!(
            "{}: no file is in it",
            path.display()
        ))),
        false => Ok(files),
    }
}
