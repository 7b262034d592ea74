//! `imgduel accept --known`: turns a pending finding into an entry of the catalogue.
//!
//! The condition of the entry is derived from the case as it was drawn, and from the step and file that differ. Before
//! anything is deleted the entry is tested on its own finding, on the other pending findings, and on the divergences
//! that the last campaign left. An entry that would explain what looks like another bug is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::record_lines::{each_line, parse};
use super::{AcceptArguments, added, file_of, how_it_is_found, read_or_empty};
use crate::base::error::{Error, Result};
use crate::base::whole_file::write_text;
use crate::case::Case;
use crate::case::generation::{Generation, Selection};
use crate::case::known::{Catalogue, Condition, Entry, Range, Right, Said, Sighting};
use crate::oracle::signature::Group;
use crate::oracle::verdict::Difference;
use crate::report::findings::LAST_FILE;
use crate::report::seed_file::{SeedFile, Seen};
use crate::run::record::{Record, ToolName};

/// How many other groups a refusal names.
const NAMED_GROUPS_MAX: usize = 5;

/// Which of the recorded divergences the entry explains.
#[derive(Default)]
struct Trial {
    /// Number of examined divergences: of the same tools, and not known yet.
    tried: u64,
    /// How many of these belong to the finding's own group.
    own: u64,
    /// How many of its own group the entry explains.
    explained: u64,
    /// How many of each other group the entry explains.
    others: BTreeMap<Group, u64>,
}

pub(super) fn accept(
    seed: &SeedFile,
    file: &Path,
    id: &str,
    arguments: &AcceptArguments,
) -> Result<String> {
    let Some(seen) = &seed.seen else {
        let file = file.display();
        return Err(Error::usage(format!(
            "{file} does not say what was found: only a finding of fuzz or shrink can become an entry"
        )));
    };
    let path = &arguments.catalogue;
    read_or_empty(path)?;
    let known = Catalogue::open(path.exists().then_some(path))?;
    if known.named(id).is_some() {
        return Err(Error::usage(format!("there is an entry {id} already")));
    }
    let case = seed.case()?;
    let own = seen.drawn_sighting().or_else(|| seen.sighting(&case));
    let own = own.ok_or_else(|| {
        let (file, operation) = (file.display(), &seen.operation);
        Error::usage(format!("{file} has no operation {operation} in its case"))
    })?;
    if own.at.is_empty() && !arguments.wide {
        return Err(Error::usage(format!(
            "{} does not record in which step and file it differs, so the entry would explain more than this finding: find it again with this version (imgduel shrink), or give --wide",
            file.display()
        )));
    }
    if let Some(Said::Known(entry)) = look_up(&known, seen, &own) {
        return Err(Error::usage(format!("it is known already as {}", entry.id)));
    }
    let entry = entry(id, seen, &own, arguments);
    if !explains(&entry, seen, &own) {
        return Err(Error::system(format!(
            "the entry would not explain {} itself; nothing was changed",
            file.display()
        )));
    }
    let trial = tried(&entry, &known, seen, file, &arguments.records)?;
    if !trial.others.is_empty() && !arguments.wide {
        return Err(Error::usage(trial.refusal(id)));
    }
    let entry_file = file_of(path, &entry.tool);
    let (_, text) = added(&entry_file, &entry, &[])?;
    // The check reads the file that was written, not the entry in memory.
    write_if(
        &text,
        (&entry_file, path),
        |written| matches!(look_up(written, seen, &own), Some(Said::Known(entry)) if entry.id == id),
    )?;
    Ok(format!(
        "{}: entry {id}, effective from now on{}; {}. Check its texts and its condition.\n",
        entry_file.display(),
        how_it_is_found(path),
        trial.words()
    ))
}

/// Writes a file of a catalogue, and restores the previous one if what is written does not satisfy the check.
fn write_if(
    text: &str,
    (file, catalogue): (&Path, &Path),
    holds: impl Fn(&Catalogue) -> bool,
) -> Result<()> {
    let before = file.exists().then(|| fs::read(file).ok()).flatten();
    write_text(file, text, "write the catalogue")?;
    if Catalogue::open(Some(catalogue)).is_ok_and(|written| holds(&written)) {
        return Ok(());
    }
    let restored = match before {
        Some(before) => fs::write(file, before),
        None => fs::remove_file(file),
    };
    restored.map_err(|error| Error::io("restore the catalogue", file, &error))?;
    Err(Error::system(format!(
        "the written entry does not explain the finding; {} was restored",
        file.display()
    )))
}

fn entry(id: &str, seen: &Seen, own: &Sighting<'_>, arguments: &AcceptArguments) -> Entry {
    let at = |values: fn(&Difference) -> &String| {
        let values: Vec<&str> = own
            .differences
            .iter()
            .map(|found| values(found).as_str())
            .collect();
        values.join("; ")
    };
    let entry = Entry {
        id: id.to_owned(),
        tool: seen.candidate.name.clone(),
        versions: vec![Range::only(&seen.candidate.version)],
        of_reference: false,
        rate: None,
        when: match &seen.drawn {
            Some(drawn) => drawn.when.clone(),
            None => Condition::narrowest(own),
        },
        candidate: at(|found| &found.candidate),
        reference: at(|found| &found.reference),
        right: arguments
            .right
            .as_deref()
            .and_then(Right::named)
            .unwrap_or(Right::Unclear),
        specification: arguments.specification.clone(),
        why: arguments.why.clone().unwrap_or_default(),
        examples: Vec::new(),
        example_with: None,
        no_example: None,
    };
    with_example(entry, own.case)
}

/// Returns the entry with its case as example, or with the reason why there is none. A crash or exhaustion never has an
/// example.
fn with_example(entry: Entry, case: &Case) -> Entry {
    let is_whole = case.ops_filter.is_none() && case.fields_filter.is_none();
    let (examples, no_example) = match is_whole && is_drawn(case) {
        _ if entry.is_about_exhaustion() => (Vec::new(), None),
        true => (vec![case.id().to_string()], None),
        false => (Vec::new(), Some("no id names its case".to_owned())),
    };
    Entry {
        examples,
        no_example,
        ..entry
    }
}

/// Whether the id decodes to this case.
fn is_drawn(case: &Case) -> bool {
    let drawn = Generation::case(&case.id(), &Selection::ALL);
    drawn.is_ok_and(|drawn| drawn.ops == case.ops && drawn.image == case.image)
}

fn named(tool: &ToolName) -> (&str, &str) {
    (&tool.name, &tool.version)
}

fn look_up<'catalogue>(
    catalogue: &'catalogue Catalogue,
    seen: &Seen,
    sighting: &Sighting<'_>,
) -> Option<Said<'catalogue>> {
    catalogue.says(named(&seen.candidate), named(&seen.reference), sighting)
}

fn explains(entry: &Entry, seen: &Seen, sighting: &Sighting<'_>) -> bool {
    entry.is_about(named(&seen.candidate), named(&seen.reference)) && entry.when.holds(sighting)
}

/// Tests an entry on the other pending findings and on the given records.
fn tried(
    entry: &Entry,
    known: &Catalogue,
    own: &Seen,
    file: &Path,
    records: &[PathBuf],
) -> Result<Trial> {
    let mut trial = Trial::default();
    let directory = file.parent().unwrap_or(Path::new("."));
    for other in pending(directory, file)? {
        let Ok(seed) = SeedFile::read(&other) else {
            // Not a finding, but another file that ends in `.json`.
            continue;
        };
        let (Some(seen), Ok(case)) = (&seed.seen, seed.case()) else {
            continue;
        };
        let sightings = [seen.sighting(&case), seen.drawn_sighting()];
        let tools = [&seen.candidate, &seen.reference];
        let found = sightings.into_iter().flatten();
        trial.add(entry, known, own, tools, &seen.group(), found.collect());
    }
    let last = directory.join(LAST_FILE);
    let mut files: Vec<&Path> = records.iter().map(PathBuf::as_path).collect();
    files.extend(last.is_file().then_some(&*last));
    for path in files {
        each_line(path, |number, line| {
            let record: Record = parse(path, number, line)?;
            if let (Some(group), Some(sighting)) = (record.group(), record.sighting()) {
                let tools = [&record.candidate, &record.reference];
                trial.add(entry, known, own, tools, &group, vec![sighting]);
            }
            Ok(())
        })?;
    }
    Ok(trial)
}

/// The other pending findings in the directory, sorted by name.
fn pending(directory: &Path, own: &Path) -> Result<Vec<PathBuf>> {
    let directory = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    let entries = fs::read_dir(directory)
        .map_err(|error| Error::io("list the pending findings in", directory, &error))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let is_finding = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ending == "json")
            && path.file_name() != own.file_name()
    };
    let mut found: Vec<PathBuf> = paths.filter(is_finding).collect();
    found.sort();
    Ok(found)
}

impl Trial {
    /// Tests one divergence; `sightings` are the forms in which it is recorded (as drawn, shrunken).
    fn add(
        &mut self,
        entry: &Entry,
        known: &Catalogue,
        own: &Seen,
        [candidate, reference]: [&ToolName; 2],
        group: &Group,
        sightings: Vec<Sighting<'_>>,
    ) {
        let (candidate, reference) = (named(candidate), named(reference));
        let is_open = |seen: &Sighting<'_>| {
            !matches!(known.says(candidate, reference, seen), Some(Said::Known(_)))
        };
        let open: Vec<&Sighting<'_>> = sightings.iter().filter(|seen| is_open(seen)).collect();
        if open.is_empty() || !entry.is_about(candidate, reference) {
            return;
        }
        let is_explained = open.iter().any(|seen| entry.when.holds(seen));
        let is_own = *group == own.group();
        self.tried += 1;
        self.own += u64::from(is_own);
        match (is_explained, is_own) {
            (true, true) => self.explained += 1,
            (true, false) => *self.others.entry(group.clone()).or_default() += 1,
            (false, _) => {}
        }
    }

    fn words(&self) -> String {
        if self.tried == 0 {
            return "no other divergence of this tool is recorded on which it could be tried"
                .to_owned();
        }
        let others: u64 = self.others.values().sum();
        let others = match others {
            0 => String::new(),
            count => format!(", and {count} of other groups"),
        };
        format!(
            "of {} other recorded divergences of this tool it explains {} of the {} of its own group{others}",
            self.tried, self.explained, self.own
        )
    }

    fn refusal(&self, id: &str) -> String {
        let groups = self.others.iter().take(NAMED_GROUPS_MAX);
        let groups: Vec<String> = groups
            .map(|(group, count)| format!("{} ({count})", group.title()))
            .collect();
        let more = match self.others.len().saturating_sub(NAMED_GROUPS_MAX) {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        format!(
            "{id} would explain other groups of divergences as well: {}{more}; nothing was changed (--wide accepts it anyway)",
            groups.join("; ")
        )
    }
}
