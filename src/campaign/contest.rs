//! Several candidates on the same cases: an arena each, one reference, one record for each candidate and case.
//!
//! Used by the campaign and by every trial of the test door. Each candidate is judged against the reference and the model as if it were
//! alone; what the reference answered for one on a case it need not be asked again for another. Who stands where among all of them is for [`Matrix`](crate::run::record::Matrix) to tell.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::prose::counted;
use crate::campaign::settings::Settings;
use crate::case::Case;
use crate::image::format::Format;
use crate::oracle::witness::Witnesses;
use crate::process::scratch::RunDirectory;
use crate::process::warden;
use crate::run::arena::{Arena, Terms};
use crate::run::duel::Duel;
use crate::run::record::{Record, ToolName};
use crate::run::sandbox::Remover;
use crate::tool::cache::Store;
use crate::tool::launcher::Launcher;
use crate::tool::request::{ImageFile, Request};
use crate::tool::{self, Means, Support, Tool, ToolSpec};

/// Where cases are tried by several candidates.
pub struct Contest {
    arenas: Vec<Arena>,
    /// What of `all` is not here.
    absent: Vec<Error>,
    /// What starts the tools, when they were opened here.
    launcher: Option<Arc<Launcher>>,
    /// Holds the run's directory between two cases.
    scratch: Option<Arc<RunDirectory>>,
    /// What runs that are gone had left, and is removed.
    swept: Vec<PathBuf>,
}

impl Contest {
    /// Opens the tools that the settings name, and looks whether they can meet. Of `all`, those that are not here are left out and
    /// told among the notices.
    pub fn open(settings: &Settings, means: &Means) -> Result<Self> {
        let reference = tool::open_reference(&settings.reference, means)?;
        Self::against(reference, settings, means)
    }

    /// Whether the reference that the settings name is here, with all that it needs.
    pub fn has_reference(settings: &Settings, means: &Means) -> bool {
        let reference = tool::open_reference(&settings.reference, means);
        reference.is_ok_and(|reference| can_make_fixtures(&*reference).is_ok())
    }

    /// The same with a reference that is open.
    pub fn against(reference: Arc<dyn Tool>, settings: &Settings, means: &Means) -> Result<Self> {
        let (candidates, absent) = open_candidates(&settings.candidates, means)?;
        let contest = Self::between(reference, candidates, settings, means)?;
        Ok(Self { absent, ..contest })
    }

    /// A candidate that is open and that no spec names, against the reference of the settings.
    pub fn with_candidate(
        candidate: Arc<dyn Tool>,
        settings: &Settings,
        means: &Means,
    ) -> Result<Self> {
        let reference = tool::open_reference(&settings.reference, means)?;
        let spec = ToolSpec {
            name: candidate.name().to_owned(),
            path: None,
        };
        Self::between(reference, vec![(spec, candidate)], settings, means)
    }

    fn between(
        reference: Arc<dyn Tool>,
        candidates: Vec<Candidate>,
        settings: &Settings,
        means: &Means,
    ) -> Result<Self> {
        can_make_fixtures(&*reference)?;
        no_two_alike(&candidates)?;
        // Asked now, so that what cannot be forked is said before the run.
        let tools = candidates.iter().map(|(_, candidate)| candidate);
        for program in tools.chain([&reference]).filter_map(|tool| tool.program()) {
            let _ = means.launcher.objection(program);
        }
        let (workdir, swept) = open_workdir(settings, means)?;
        let scratch = RunDirectory::in_place(&workdir)?;
        let witnesses = Witnesses::find(settings.timeout);
        let (catalogue, gate) = (Arc::new(settings.catalogue()?), Arc::default());
        let remover = Arc::new(Remover::start());
        // All sides of all get their source images from the same reference.
        let fixtures = Arc::default();
        let arenas = candidates.into_iter().map(|(spec, candidate)| {
            let duel = Duel {
                candidate,
                reference: Arc::clone(&reference),
                limit: settings.timeout,
                cage: settings.cage(),
                workdir: workdir.clone(),
                witnesses: witnesses.clone(),
                keep: settings.keep,
                fixtures: Arc::clone(&fixtures),
                remover: Arc::clone(&remover),
            };
            let terms = Terms {
                candidate: spec.to_string(),
                flags: settings.terms(&spec),
            };
            Arena::in_run(duel, Arc::clone(&catalogue), terms, Arc::clone(&gate))
        });
        Ok(Self {
            arenas: arenas.collect(),
            absent: Vec::new(),
            launcher: Some(Arc::clone(&means.launcher)),
            scratch: Some(scratch),
            swept,
        })
    }

    /// One candidate alone.
    pub fn of_arena(arena: Arena) -> Self {
        Self {
            arenas: vec![arena],
            absent: Vec::new(),
            launcher: None,
            scratch: None,
            swept: Vec::new(),
        }
    }

    /// The same, with the reference's answers kept in `store`.
    pub fn with_cache(&self, store: &Arc<Store>) -> Self {
        let arenas = self.arenas.iter();
        let arenas = arenas.map(|arena| arena.with_cache(Arc::clone(store)));
        Self {
            arenas: arenas.collect(),
            absent: self.absent.clone(),
            launcher: self.launcher.clone(),
            scratch: self.scratch.clone(),
            swept: self.swept.clone(),
        }
    }

    /// One arena for each candidate, in their order.
    pub fn arenas(&self) -> &[Arena] {
        &self.arenas
    }

    /// The arena of the one candidate, for what is done with one alone.
    pub fn only(&self) -> Result<&Arena> {
        match &*self.arenas {
            [arena] => Ok(arena),
            _ => Err(Error::usage(
                "this is done with one candidate: name one with --candidate",
            )),
        }
    }

    /// The arena of a candidate.
    pub fn arena_of(&self, candidate: &ToolName) -> &Arena {
        let own = |arena: &&Arena| arena.candidate_name() == *candidate;
        self.arenas.iter().find(own).unwrap_or(&self.arenas[0])
    }

    /// What the person should know before the run: tools and witnesses that are missing, tools that cannot be forked, what was removed.
    pub fn notices(&self) -> Vec<Error> {
        let launcher = self.launcher.iter();
        let fallbacks = launcher.flat_map(|launcher| launcher.fallbacks());
        let absent = self.absent.iter().cloned();
        let swept = self.swept.iter().map(|path| {
            let path = path.display();
            Error::system(format!(
                "removed {path}, the scratch directory of a run that is gone"
            ))
        });
        absent
            .chain(swept)
            .chain(self.arenas[0].missing_witnesses())
            .chain(fallbacks.map(Error::system))
            .collect()
    }

    /// Every witness that there could be, with its version where it is here.
    pub fn witnesses(&self) -> BTreeMap<&'static str, Option<String>> {
        self.arenas[0].witnesses()
    }

    /// What came of comparing the two ways of starting tools, in a line; an error when they differed.
    pub fn compared(&self) -> Option<Result<String>> {
        let (calls, differed, first) = self.launcher.as_ref()?.compared()?;
        let line = format!(
            "{} started both ways, {differed} differed",
            counted(calls, "call")
        );
        Some(match first {
            None => Ok(line),
            Some(first) => Err(Error::system(format!("{line}; the first: {first}"))),
        })
    }

    /// Whether any candidate could be asked anything of this case.
    pub fn concerns(&self, case: &Case) -> bool {
        self.arenas.iter().any(|arena| arena.concerns(case))
    }

    /// Tries a case with every candidate, and again what is not to be believed at once.
    pub fn try_surely(&self, case: &Case) -> Result<Vec<Record>> {
        let (first, again) = (Arc::default(), Arc::default());
        let several = self.arenas.len() > 1;
        let tried = self.arenas.iter().map(|arena| {
            // Where the reference does on both sides all that is done, it need do it once. For a candidate that writes, alone, the looks
            // at what is in the files would cost more than they save.
            match several || arena.is_of_reader() {
                true => arena.beside(&first, &again).try_surely(case.clone()),
                false => arena.try_surely(case.clone()),
            }
        });
        tried.collect()
    }
}

type Candidate = (ToolSpec, Arc<dyn Tool>);

/// The candidates, and what of `all` is not here.
fn open_candidates(specs: &[ToolSpec], means: &Means) -> Result<(Vec<Candidate>, Vec<Error>)> {
    let (mut candidates, mut absent) = (Vec::new(), Vec::new());
    for spec in specs {
        if !spec.is_all() {
            candidates.push((spec.clone(), tool::open(spec, means)?));
            continue;
        }
        for row in tool::TOOLS.iter().filter(|row| row.is_for_all()) {
            match tool::open(&row.spec(), means) {
                Ok(tool) => candidates.push((row.spec(), tool)),
                Err(error) => absent.push(error),
            }
        }
    }
    match candidates.is_empty() {
        true => Err(Error::missing_tool(
            "no candidate is here: see imgduel tools",
        )),
        false => Ok((candidates, absent)),
    }
}

fn no_two_alike(candidates: &[Candidate]) -> Result<()> {
    for (index, (_, tool)) in candidates.iter().enumerate() {
        let (name, version) = (tool.name(), tool.version());
        let is_alike = |(_, other): &Candidate| (other.name(), other.version()) == (name, version);
        if candidates[..index].iter().any(is_alike) {
            return Err(Error::usage(format!(
                "{name} {version} is named twice as candidate: reports could not tell them apart"
            )));
        }
    }
    Ok(())
}

/// The directory of the scratch directories, which can be written to, and in which nothing of runs that are gone is left; and what was.
fn open_workdir(settings: &Settings, means: &Means) -> Result<(PathBuf, Vec<PathBuf>)> {
    let workdir = settings.workdir();
    tempfile::tempfile_in(&workdir)
        .map_err(|error| Error::io("write to the scratch directory", &workdir, &error))?;
    let mut swept = warden::sweep(&workdir);
    // Where tools are asked who they are.
    let temporary = std::env::temp_dir();
    if temporary != workdir {
        swept.extend(warden::sweep(&temporary));
    }
    warden::post(&means.worker_program, &workdir)?;
    Ok((workdir, swept))
}

/// The reference also writes guest data into fixtures.
fn can_make_fixtures(reference: &dyn Tool) -> Result<()> {
    let write = Request::Write {
        file: ImageFile::new("fixture", Format::Raw),
        writes: Vec::new(),
    };
    match reference.support(&write) {
        Support::Yes => Ok(()),
        Support::No(reason) => Err(Error::missing_tool(reason)),
    }
}
