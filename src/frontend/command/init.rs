//! `imgduel init`: gives a repository its test target, seeds, catalogue, settings and workflow files.
//!
//! It asks nothing, overwrites nothing, and says what it did. What is there already stays as it is; a second call does only what is missing.

mod manifest;
mod place;
mod templates;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::print_text;
use crate::base::error::{Error, Result};
use crate::frontend::stubs;
use crate::report::seed_file;
use place::Place;
use templates::Template;

#[derive(Args)]
pub(super) struct InitArguments {
    /// The package, or the directory of a repository in another language
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
}

/// What was done, in lines for people.
#[derive(Default)]
struct Report(Vec<String>);

impl Report {
    fn made(&mut self, path: &Path) {
        self.0.push(format!("made {}", path.display()));
    }

    fn kept(&mut self, path: &Path, why: &str) {
        self.0.push(format!("kept {}: {why}", path.display()));
    }
}

pub(super) fn init(arguments: &InitArguments) -> Result<ExitCode> {
    let place = Place::find(&arguments.directory)?;
    // What cannot be done is said before anything is.
    let change = match &place.package {
        Some(package) => Some(manifest::change(&place, package)?),
        None => None,
    };
    let mut report = Report::default();
    for Template { path, text } in templates::all(&place) {
        make(&path, &text, &mut report)?;
    }
    if place.package.is_some() {
        let seeds = seed_file::list(&place.directory.join(crate::frontend::trial::SEED_DIRECTORY))?;
        let path = place.directory.join(stubs::STUBS_FILE);
        make(&path, &stubs::source(&seeds), &mut report)?;
    }
    ignore_findings(&place, &mut report)?;
    if let Some(change) = change {
        change.carry_out(&mut report)?;
    }
    if place.package.is_none() {
        let directory = place.directory.display();
        let why =
            format!("{directory} has no Cargo.toml: made for a repository in another language");
        report.0.insert(0, why);
    }
    let mut text: String = report.0.iter().map(|line| format!("{line}\n")).collect();
    text.push_str(&templates::next_steps(&place));
    Ok(print_text(&text))
}

/// Makes a file with its directories, unless it is there.
fn make(path: &Path, text: &str, report: &mut Report) -> Result<()> {
    let failed = |error| Error::io("make", path, &error);
    if fs::symlink_metadata(path).is_ok() {
        report.kept(path, "it is there");
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(failed)?;
    report.made(path);
    Ok(())
}

/// Adds what runs leave behind to `.gitignore`.
fn ignore_findings(place: &Place, report: &mut Report) -> Result<()> {
    let path = place.directory.join(".gitignore");
    let failed = |error| Error::io("add to", &path, &error);
    let there = fs::read_to_string(&path).unwrap_or_default();
    let missing: Vec<&str> = templates::IGNORED
        .into_iter()
        .filter(|line| there.lines().all(|other| other.trim() != *line))
        .collect();
    if missing.is_empty() {
        report.kept(&path, "it has the lines");
        return Ok(());
    }
    let mut added = missing.join("\n") + "\n";
    if !there.is_empty() && !there.ends_with('\n') {
        added.insert(0, '\n');
    }
    let file = fs::OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(added.as_bytes()))
        .map_err(failed)?;
    report.0.push(format!(
        "added to {}: {}",
        path.display(),
        missing.join(", ")
    ));
    Ok(())
}
