//! `imgduel accept`: a pending finding becomes a regression seed or an entry of the catalogue of known divergences.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::error::{Error, Result};
use crate::known::{Catalogue, Entry};
use crate::seed_file::{self, SeedFile, write_text};

/// The catalogue's name, in the directory of the seeds.
const CATALOGUE_NAME: &str = "known-divergences.json";

#[derive(Args)]
pub(super) struct AcceptArguments {
    /// A pending finding
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Make it a regression seed of this name, an identifier
    #[arg(long = "as", value_name = "STEM", required_unless_present = "known")]
    stem: Option<String>,

    /// Make it an entry of the catalogue with this id
    #[arg(long, value_name = "ID", conflicts_with = "stem", requires_all = ["right", "why"])]
    known: Option<String>,

    /// Who is right
    #[arg(long, value_parser = ["candidate", "reference", "both", "neither", "unclear"])]
    right: Option<String>,

    /// Why it is so: kept with the seed, or the entry
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,

    /// Which section of which specification says so
    #[arg(long, value_name = "TEXT", default_value = "not looked up yet")]
    specification: String,

    /// The directory of the seeds
    #[arg(long, value_name = "DIR", default_value = "fuzz-seeds")]
    seeds: PathBuf,
}

pub(super) fn accept(arguments: AcceptArguments) -> Result<ExitCode> {
    let mut seed = SeedFile::read(&arguments.file)?;
    let said = match (&arguments.stem, &arguments.known) {
        (Some(stem), _) => {
            if let Some(why) = &arguments.why {
                seed.why.clone_from(why);
            }
            as_seed(&seed, stem, &arguments.seeds)?
        }
        (None, Some(id)) => as_entry(&seed, id, &arguments)?,
        (None, None) => unreachable!("clap asks for one of them"),
    };
    fs::remove_file(&arguments.file)
        .map_err(|error| Error::io("remove the pending finding", &arguments.file, &error))?;
    Ok(super::said(&said))
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

/// A stem is an identifier, and none is part of another: editors run tests by a part of their names.
fn check_stem(stem: &str, directory: &Path) -> Result<()> {
    let mut letters = stem.bytes();
    let first = letters.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let is_identifier = first
        && letters.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_identifier {
        return Err(Error::usage(format!(
            "'{stem}' is no name for a seed: write small letters, digits and underscores, a letter first"
        )));
    }
    let there = if directory.is_dir() {
        // A directory without any seed takes its first.
        seed_file::list(directory).unwrap_or_default()
    } else {
        return Err(Error::usage(format!(
            "there is no directory {} to put the seed into (see --seeds)",
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

fn as_entry(seed: &SeedFile, id: &str, arguments: &AcceptArguments) -> Result<String> {
    let Some(seen) = &seed.seen else {
        let file = arguments.file.display();
        return Err(Error::usage(format!(
            "{file} does not say what was seen: only a finding of fuzz or shrink can become an entry"
        )));
    };
    let path = arguments.seeds.join(CATALOGUE_NAME);
    let text = fs::read_to_string(&path)
        .map_err(|error| Error::io("read the catalogue", &path, &error))?;
    let wrong = |error: Error| Error::usage(format!("{}: {error}", path.display()));
    let catalogue = Catalogue::parse(&text).map_err(wrong)?;
    if catalogue.entries.iter().any(|entry| entry.id == id) {
        return Err(Error::usage(format!("there is an entry {id} already")));
    }
    let case = seed.case()?;
    let at = |values: fn(&crate::verdict::Difference) -> &String| {
        let values: Vec<&str> = seen
            .differences
            .iter()
            .map(|found| values(found).as_str())
            .collect();
        values.join("; ")
    };
    let entry = Entry {
        id: id.to_owned(),
        tool: seen.candidate.name.clone(),
        versions: vec![seen.candidate.version.clone()],
        of_reference: false,
        when: seen.condition(&case),
        candidate: at(|found| &found.candidate),
        reference: at(|found| &found.reference),
        right: arguments.right.clone().unwrap_or_default(),
        specification: arguments.specification.clone(),
        why: arguments.why.clone().unwrap_or_default(),
    };
    let longer = with_entry(&text, &entry)?;
    Catalogue::parse(&longer).map_err(wrong)?;
    write_text(&path, &longer, "write the catalogue")?;
    Ok(format!(
        "{}: entry {id}; it counts once the program is built anew. Look over its words and its condition.\n",
        path.display()
    ))
}

/// The catalogue's text with one more entry at its end; all else stays as it was written.
fn with_entry(text: &str, entry: &Entry) -> Result<String> {
    let broken = || Error::usage("the catalogue does not end as a list of entries does");
    let json =
        serde_json::to_string_pretty(entry).map_err(|error| Error::system(error.to_string()))?;
    let indented = json.replace('\n', "\n    ");
    let body = text.trim_end().strip_suffix('}').ok_or_else(broken)?;
    let body = body
        .trim_end()
        .strip_suffix(']')
        .ok_or_else(broken)?
        .trim_end();
    let comma = if body.ends_with('[') { "" } else { "," };
    Ok(format!("{body}{comma}\n    {indented}\n  ]\n}}\n"))
}
