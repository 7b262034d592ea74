//! `imgduel accept`: turns a pending finding into a regression seed or an entry of the catalogue of known divergences,
//! or extends an entry to one more version.

mod entry;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::base::error::{Error, Result};
use crate::base::whole_file::write_text;
use crate::case::known::{Catalogue, RIGHT, USUAL_FILE, file_in, versions};
use crate::report::seed_file::{self, SeedFile};

#[derive(Args)]
pub(super) struct AcceptArguments {
    /// A pending finding
    #[arg(value_name = "FILE", required_unless_present = "extend")]
    file: Option<PathBuf>,

    /// Make it a regression seed with this name, an identifier
    #[arg(long = "as", value_name = "STEM", required_unless_present_any = ["known", "extend"])]
    stem: Option<String>,

    /// Make it an entry of the catalogue with this id
    #[arg(long, value_name = "ID", conflicts_with = "stem", requires_all = ["right", "why"])]
    known: Option<String>,

    /// Extend these entries of the catalogue, separated by commas, to this version of their tool
    #[arg(long, value_names = ["IDS", "VERSION"], num_args = 2, conflicts_with_all = ["file", "stem", "known"])]
    extend: Option<Vec<String>>,

    /// Who is right
    #[arg(long, value_parser = RIGHT)]
    right: Option<String>,

    /// Why it is so: kept with the seed, or the entry
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,

    /// The section of the specification that says so
    #[arg(long, value_name = "TEXT", default_value = "not looked up yet")]
    specification: String,

    /// Accept the entry even if it explains other groups of divergences too, or the finding does not record in which step and file it differs
    #[arg(long)]
    wide: bool,

    /// Records of a run on which the entry is tested, besides the pending findings and the last divergences (may be repeated)
    #[arg(long, value_name = "FILE")]
    records: Vec<PathBuf>,

    /// The directory of the seeds
    #[arg(long, value_name = "DIR", default_value = "fuzz-seeds")]
    seeds: PathBuf,

    /// The catalogue that the entry goes into (default: known-divergences.json in the directory of the seeds)
    #[arg(long, value_name = "FILE", env = "IMGDUEL_CATALOGUE")]
    catalogue: Option<PathBuf>,
}

impl AcceptArguments {
    fn catalogue_file(&self) -> PathBuf {
        match &self.catalogue {
            Some(file) => file.clone(),
            None => file_in(&self.seeds),
        }
    }
}

pub(super) fn accept(arguments: AcceptArguments) -> Result<ExitCode> {
    if let Some([ids, version]) = arguments.extend.as_deref() {
        let message = extend(&arguments.catalogue_file(), ids, version)?;
        return Ok(super::print_text(&message));
    }
    let Some(file) = &arguments.file else {
        return Err(Error::usage("name a pending finding (see --help)"));
    };
    let mut seed = SeedFile::read(file)?;
    let message = match (&arguments.stem, &arguments.known) {
        (Some(stem), _) => {
            if let Some(why) = &arguments.why {
                seed.why.clone_from(why);
            }
            as_seed(&seed, stem, &arguments.seeds)?
        }
        (None, Some(id)) => entry::accept(&seed, file, id, &arguments)?,
        (None, None) => return Err(Error::usage("give --as STEM or --known ID (see --help)")),
    };
    fs::remove_file(file).map_err(|error| Error::io("remove the pending finding", file, &error))?;
    Ok(super::print_text(&message))
}

fn as_seed(seed: &SeedFile, stem: &str, directory: &Path) -> Result<String> {
    check_stem(stem, directory)?;
    let path = directory.join(format!("{stem}.json"));
    seed.write(&path)?;
    Ok(format!(
        "{}: regression::{stem} from now on\n",
        path.display()
    ))
}

/// Checks that a stem is an identifier and that no other stem contains it or is part of it: editors run tests by a
/// part of their names.
fn check_stem(stem: &str, directory: &Path) -> Result<()> {
    seed_file::check_stem(stem)?;
    let there = if directory.is_dir() {
        // The list of a directory without seeds is an error, but the directory may take its first seed.
        seed_file::list(directory).unwrap_or_default()
    } else {
        return Err(Error::usage(format!(
            "there is no directory {} for the seed (see --seeds)",
            directory.display()
        )));
    };
    let other = there
        .iter()
        .find(|other| other.stem.contains(stem) || stem.contains(&other.stem));
    match other {
        Some(other) if other.stem == stem => {
            Err(Error::usage(format!("there is a seed {stem} already")))
        }
        Some(other) => Err(Error::usage(format!(
            "'{stem}' and the seed {} are part of each other: choose another name",
            other.stem
        ))),
        None => Ok(()),
    }
}

/// The catalogue in a file, or an empty one if the file does not exist.
fn read_or_empty(path: &Path) -> Result<Catalogue> {
    match path.exists() {
        true => Catalogue::read(path),
        false => Ok(Catalogue::empty()),
    }
}

/// Names the flag that runs need for a catalogue in an unusual place.
fn how_it_is_found(path: &Path) -> String {
    match path == Path::new(USUAL_FILE) {
        true => String::new(),
        false => format!(" in runs with --catalogue {}", path.display()),
    }
}

/// Extends entries to one more version. Built-in entries are copied into the file first.
fn extend(path: &Path, ids: &str, version: &str) -> Result<String> {
    if let Some(objection) = versions::objection(version) {
        return Err(Error::usage(objection));
    }
    let mut own = read_or_empty(path)?;
    let known = Catalogue::open(path.exists().then_some(path))?;
    let range = match version.contains("..=") {
        true => version.to_owned(),
        false => versions::only(version),
    };
    let mut extended = Vec::new();
    for id in ids.split(',').map(str::trim).filter(|id| !id.is_empty()) {
        let entry = known
            .named(id)
            .ok_or_else(|| Error::usage(format!("there is no entry {id} in the catalogue")))?;
        if entry
            .versions
            .iter()
            .any(|known| versions::contains(known, &range))
        {
            return Err(Error::usage(format!(
                "{id} covers {} {version} already",
                entry.tool
            )));
        }
        let mut longer = entry.clone();
        longer.versions.push(range.clone());
        match own.entries.iter_mut().find(|entry| entry.id == id) {
            Some(entry) => *entry = longer,
            None => own.entries.push(longer),
        }
        extended.push(id);
    }
    if extended.is_empty() {
        return Err(Error::usage("name an entry of the catalogue"));
    }
    let text = own.text()?;
    Catalogue::parse(&text)?;
    write_text(path, &text, "write the catalogue")?;
    Ok(format!(
        "{}: {} now also for {}{}\n",
        path.display(),
        extended.join(", "),
        versions::in_words(&range),
        how_it_is_found(path)
    ))
}
