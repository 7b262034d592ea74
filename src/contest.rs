//! Several candidates on the same cases: an arena each, one reference, one record for each candidate and case.
//!
//! Used by the campaign and by every trial of the test door. Each candidate is judged against the reference and the model as if it were
//! alone; what the reference answered for one it need not be asked again for another. Who stands where among all of them is for [`Matrix`](crate::record::Matrix) to tell.

use std::sync::Arc;

use crate::arena::Arena;
use crate::cache::Store;
use crate::case::Case;
use crate::error::{Error, Result};
use crate::record::{Record, ToolName};
use crate::sandbox::Root;
use crate::settings::Settings;
use crate::tool::{self, Means, Tool, ToolSpec};

/// Where cases are tried by several candidates.
pub struct Contest {
    arenas: Vec<Arena>,
    absent: Vec<Error>,
    /// Where the reference's answers are kept for the other candidates, for as long as this is open.
    _answers: Option<Root>,
}

impl Contest {
    /// Opens the tools that the settings name. Of `all`, those that are not here are left out and told among the notices.
    pub fn open(settings: &Settings, means: &Means) -> Result<Self> {
        let reference = tool::open_reference(&settings.reference, means)?;
        let mut absent = Vec::new();
        let mut candidates: Vec<(ToolSpec, Arc<dyn Tool>)> = Vec::new();
        for spec in &settings.candidates {
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
        let gate = Arc::default();
        let arenas = candidates.into_iter().map(|(spec, candidate)| {
            let reference = Arc::clone(&reference);
            Arena::of_tools(
                settings,
                &spec,
                candidate,
                reference,
                Arc::clone(&gate),
                means,
            )
        });
        let arenas: Vec<Arena> = arenas.collect::<Result<_>>()?;
        for (index, arena) in arenas.iter().enumerate() {
            let name = arena.candidate_name();
            if arenas[..index]
                .iter()
                .any(|other| other.candidate_name() == name)
            {
                return Err(Error::usage(format!(
                    "{} {} is named twice as candidate: reports could not tell them apart",
                    name.name, name.version
                )));
            }
        }
        if arenas.len() == 1 {
            return Ok(Self::of_arenas(arenas, absent, None));
        }
        let answers = Root::make(&settings.workdir(), "answers")?;
        let store = Arc::new(Store::open(answers.path()));
        let arenas = arenas
            .iter()
            .map(|arena| arena.with_cache(Arc::clone(&store)));
        Ok(Self::of_arenas(arenas.collect(), absent, Some(answers)))
    }

    /// One candidate alone.
    pub fn of_arena(arena: Arena) -> Self {
        Self::of_arenas(vec![arena], Vec::new(), None)
    }

    fn of_arenas(arenas: Vec<Arena>, absent: Vec<Error>, answers: Option<Root>) -> Self {
        Self {
            arenas,
            absent,
            _answers: answers,
        }
    }

    /// The same, with the reference's answers kept in `store`.
    pub fn with_cache(&self, store: &Arc<Store>) -> Self {
        let arenas = self.arenas.iter();
        let arenas = arenas.map(|arena| arena.with_cache(Arc::clone(store)));
        Self::of_arenas(arenas.collect(), self.absent.clone(), None)
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

    /// What the person should know before the run, once each.
    pub fn notices(&self) -> Vec<Error> {
        let mut notices = self.absent.clone();
        for notice in self.arenas.iter().flat_map(Arena::notices) {
            if !notices.contains(&notice) {
                notices.push(notice);
            }
        }
        notices
    }

    /// Whether any candidate could be asked anything of this case.
    pub fn concerns(&self, case: &Case) -> bool {
        self.arenas.iter().any(|arena| arena.concerns(case))
    }

    /// Tries a case with every candidate, and again what is not to be believed at once.
    pub fn try_surely(&self, case: &Case) -> Result<Vec<Record>> {
        let tried = self
            .arenas
            .iter()
            .map(|arena| arena.try_surely(case.clone()));
        tried.collect()
    }
}
