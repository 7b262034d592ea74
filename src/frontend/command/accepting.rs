//! `imgduel accept`: turns a pending finding into a regression seed or an entry of the catalogue of known divergences,
//! or extends an entry to one more version.

mod entry;
mod rerun;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::base::error::{Error, Result};
use crate::base::whole_file::write_text;
use crate::case::known::{Catalogue, Entry, Range, Right, USUAL_DIRECTORY, is_json};
use crate::frontend::stubs::{self, STUBS_FILE};
use crate::frontend::trial::SEED_DIRECTORY;
use crate::report::seed_file::{self, SeedFile};
use crate::tool::ToolSpec;

#[derive(Args)]
pub(super) struct AcceptArguments {
    /// A pending finding
    #[arg(value_name = "FILE", required_unless_present = "extend")]
    file: Option<PathBuf>,

    /// Make it a regression seed with this name, an identifier
    #[arg(long = "as", value_name = "STEM")]
    stem: Option<String>,

    /// Make it an entry of the catalogue with this id
    #[arg(long, value_name = "ID", conflicts_with = "stem", requires_all = ["right", "why"])]
    known: Option<String>,

    /// Extend these entries of the catalogue, separated by commas, to this version of their tool
    #[arg(long, value_names = ["IDS", "VERSION"], num_args = 2, conflicts_with_all = ["file", "stem", "known"])]
    extend: Option<Vec<String>>,

    /// Keep what a guest wrote in the image from outside with which the case begins; without it a recipe takes its place
    #[arg(long)]
    keep_data: bool,

    /// Run a case whose image lost a guest's data once more with this candidate (default: the tool of the finding)
    #[arg(long, value_name = "SPEC")]
    candidate: Option<ToolSpec>,

    /// Who is right
    #[arg(long, value_parser = Right::ALL.map(Right::name))]
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
    #[arg(
        long,
        value_name = "DIR",
        env = "IMGDUEL_SEEDS",
        default_value = SEED_DIRECTORY
    )]
    seeds: PathBuf,

    /// The catalogue that the entry goes into: a directory, in which it goes into its tool's file, or one file
    #[arg(long, value_name = "DIR", env = "IMGDUEL_CATALOGUE", default_value = USUAL_DIRECTORY)]
    catalogue: PathBuf,
}

pub(super) fn accept(arguments: AcceptArguments) -> Result<ExitCode> {
    if let Some([ids, version]) = arguments.extend.as_deref() {
        let message = extend(&arguments.catalogue, ids, version)?;
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
            let carried = seed.carry(arguments.keep_data)?;
            let is_replaced = !carried.is_empty() && !arguments.keep_data;
            let again = is_replaced.then(|| rerun::said(&seed, arguments.candidate.as_ref()));
            as_seed(&seed, stem, &arguments.seeds)? + carried + &again.unwrap_or_default()
        }
        (None, Some(id)) => entry::accept(&seed, file, id, &arguments)?,
        (None, None) => return Err(Error::usage("give --as STEM or --known ID (see --help)")),
    };
    let removed = match is_pending(file, &arguments.seeds) {
        true => {
            fs::remove_file(file)
                .map_err(|error| Error::io("remove the pending finding", file, &error))?;
            format!("{}: removed, it is no longer pending\n", file.display())
        }
        false => String::new(),
    };
    Ok(super::print_text(&(message + &removed)))
}

/// Whether a file is a finding that waits to be accepted, not a seed among the others.
fn is_pending(file: &Path, seeds: &Path) -> bool {
    let resolved = |path: &Path| fs::canonicalize(path).ok();
    let directory = resolved(file).and_then(|file| file.parent().map(Path::to_owned));
    directory.is_none() || directory != resolved(seeds)
}

fn as_seed(seed: &SeedFile, stem: &str, directory: &Path) -> Result<String> {
    check_stem(stem, directory)?;
    let path = seed_file::path(directory, stem);
    seed.write(&path)?;
    let mut message = format!("{}: regression::{stem} from now on\n", path.display());
    let stubs_file = Path::new(STUBS_FILE);
    if directory == Path::new(SEED_DIRECTORY) && stubs::is_own(stubs_file) {
        let source = stubs::source(&seed_file::list(directory)?);
        write_text(stubs_file, &source, "write the stubs to")?;
        message.push_str(&format!("{STUBS_FILE}: written anew\n"));
    }
    Ok(message)
}

/// Checks that a stem is an identifier and that no other stem contains it or is part of it: editors run tests by a
/// part of their names.
fn check_stem(stem: &str, directory: &Path) -> Result<()> {
    seed_file::check_stem(stem)?;
    // The usual directory is made for its first seed.
    let there = if directory.is_dir() || directory == Path::new(SEED_DIRECTORY) {
        seed_file::list(directory)?
    } else {
        return Err(Error::usage(format!(
            "there is no directory {} for the seed: make it, or name another one (--seeds)",
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

/// The catalogue at a path, or an empty one if nothing is there.
fn read_or_empty(path: &Path) -> Result<Catalogue> {
    if is_json(path) {
        let path = path.display();
        return Err(Error::usage(format!(
            "{path} is JSON, which is only read: make a directory of it (imgduel convert-catalogue {path} {USUAL_DIRECTORY}) and name that"
        )));
    }
    match path.exists() {
        true => Catalogue::read(path),
        false => Ok(Catalogue::empty()),
    }
}

/// The file into which an entry about a tool goes: a path that ends in `.toml` is that file.
fn file_of(path: &Path, tool: &str) -> PathBuf {
    let is_file = path.extension().is_some_and(|ending| ending == "toml");
    match is_file && !path.is_dir() {
        true => path.to_owned(),
        false => path.join(Catalogue::file_name(tool)),
    }
}

fn text_of(path: &Path) -> Result<Option<String>> {
    match path.exists() {
        true => fs::read_to_string(path)
            .map(Some)
            .map_err(|error| Error::io("read the catalogue", path, &error)),
        false => Ok(None),
    }
}

/// Names the flag that runs need for a catalogue in an unusual place.
fn how_it_is_found(path: &Path) -> String {
    match path == Path::new(USUAL_DIRECTORY) {
        true => String::new(),
        false => format!(" in runs with --catalogue {}", path.display()),
    }
}

/// Extends entries to one more version. Built-in entries that no file has are copied into their tool's file first.
fn extend(path: &Path, ids: &str, version: &str) -> Result<String> {
    let range = match version.starts_with(['<', '>', '=']) {
        true => version.parse().map_err(Error::usage)?,
        false => Range::only(version),
    };
    let own = read_or_empty(path)?;
    let known = Catalogue::open(path.exists().then_some(path))?;
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    let mut extended = Vec::new();
    for id in ids.split(',').map(str::trim).filter(|id| !id.is_empty()) {
        let entry = known
            .named(id)
            .ok_or_else(|| Error::usage(format!("there is no entry {id} in the catalogue")))?;
        if entry.versions.iter().any(|known| known.contains(&range)) {
            return Err(Error::usage(format!(
                "{id} covers {} {} already",
                entry.tool,
                range.in_words()
            )));
        }
        let mut longer = entry.clone();
        longer.versions.push(range.clone());
        let changed = match own.named(id) {
            Some(_) => changed(path, &longer, &files)?,
            None => added(&file_of(path, &entry.tool), &longer, &files)?,
        };
        files.retain(|(file, _)| *file != changed.0);
        files.push(changed);
        extended.push(id);
    }
    if extended.is_empty() {
        return Err(Error::usage("name an entry of the catalogue"));
    }
    for (file, text) in &files {
        write_text(file, text, "write the catalogue")?;
    }
    Ok(format!(
        "{}: {} now also for {}{}\n",
        path.display(),
        extended.join(", "),
        range.in_words(),
        how_it_is_found(path)
    ))
}

/// What a file holds now, and will hold where it has been changed already.
fn pending_text(file: &Path, changed: &[(PathBuf, String)]) -> Result<Option<String>> {
    match changed.iter().find(|(path, _)| path == file) {
        Some((_, text)) => Ok(Some(text.clone())),
        None => text_of(file),
    }
}

/// A file with one more entry.
fn added(file: &Path, entry: &Entry, changed: &[(PathBuf, String)]) -> Result<(PathBuf, String)> {
    let before = pending_text(file, changed)?;
    let text = Catalogue::with_entry(before.as_deref(), entry)?;
    Ok((file.to_owned(), text))
}

/// The file of a catalogue that has the entry, with the versions that it speaks of now.
fn changed(path: &Path, entry: &Entry, changed: &[(PathBuf, String)]) -> Result<(PathBuf, String)> {
    for file in Catalogue::files(path)? {
        let text = pending_text(&file, changed)?.unwrap_or_default();
        let text = Catalogue::with_versions(&text, &entry.id, &entry.tool, &entry.versions)?;
        if let Some(text) = text {
            return Ok((file, text));
        }
    }
    let (path, id) = (path.display(), &entry.id);
    Err(Error::system(format!(
        "{path}: the entry {id} is not found again in its file"
    )))
}
