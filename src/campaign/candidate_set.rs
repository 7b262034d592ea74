//! Runs the same cases with several candidates: one session per candidate, one common reference, one record per candidate and case.
//!
//! The campaign and every trial of the test target use this module. Each candidate is judged against the reference and the model
//! independently of the others, but the reference's answers on a case are reused for all candidates. The comparison among candidates is
//! made by [`Matrix`](crate::run::record::Matrix).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::prose::counted;
use crate::campaign::settings::{DEFAULT_REFERENCE, Settings};
use crate::case::Case;
use crate::case::known::{Catalogue, USUAL_DIRECTORY};
use crate::oracle::witness::Witnesses;
use crate::process::reaper;
use crate::process::scratch::RunDirectory;
use crate::run::case_worker::CaseWorkers;
use crate::run::record::{Record, ToolName};
use crate::run::runner::DifferentialRunner;
use crate::run::scratch_dir::Remover;
use crate::run::session::{Session, Terms};
use crate::run::writers::Writers;
use crate::tool::cache::Store;
use crate::tool::launcher::Launcher;
use crate::tool::{self, Row, Tool, ToolEnv, ToolSpec, libraries, model};

/// The sessions of all candidates.
pub struct CandidateSet {
    sessions: Vec<Session>,
    /// Why tools that `all` includes are missing.
    absent: Vec<Error>,
    /// The launcher of the tools, if this set opened them.
    launcher: Option<Arc<Launcher>>,
    /// Keeps the run's scratch directory alive between cases.
    scratch: Option<Arc<RunDirectory>>,
    /// The scratch directories of dead runs that were removed.
    swept: Vec<PathBuf>,
}

impl CandidateSet {
    /// Opens the reference and the candidates that the settings name. Missing tools fail, except that those of `all` are omitted and listed
    /// in the notices.
    pub fn open(settings: &Settings, tool_env: &ToolEnv) -> Result<Self> {
        let reference = tool::open_reference(&settings.reference(), tool_env)?;
        Self::against(reference, settings, tool_env)
    }

    /// Returns whether the reference that the settings name is installed, with everything that fixtures need.
    pub fn has_reference(settings: &Settings, tool_env: &ToolEnv) -> bool {
        let reference = tool::open_reference(&settings.reference(), tool_env);
        reference.is_ok_and(|reference| can_make_fixtures(&*reference).is_ok())
    }

    /// Like [`CandidateSet::open`]. If the default reference is not installed, the model takes its place where it can. Also returns the settings that
    /// are in force, and why the default reference is not.
    pub fn open_available(
        settings: &Settings,
        tool_env: &ToolEnv,
    ) -> Result<(Self, Settings, Option<Error>)> {
        let reference = tool::open_reference(&settings.reference(), tool_env);
        let reference = reference.and_then(|reference| {
            can_make_fixtures(&*reference)?;
            Ok(reference)
        });
        match (reference, settings.with_model_instead()) {
            (Err(absent), Some(instead)) => {
                Ok((Self::open(&instead, tool_env)?, instead, Some(absent)))
            }
            (reference, _) => {
                let candidate_set = Self::against(reference?, settings, tool_env)?;
                Ok((candidate_set, settings.clone(), None))
            }
        }
    }

    /// Like [`CandidateSet::open`], with a reference that is already open.
    pub fn against(
        reference: Arc<dyn Tool>,
        settings: &Settings,
        tool_env: &ToolEnv,
    ) -> Result<Self> {
        let (mut candidates, absent) = open_candidates(&settings.candidates, tool_env)?;
        for (spec, candidate) in &mut candidates {
            // It only repeats what the reference does, and is started as that is.
            if tool::same_program(&**candidate, &*reference) {
                *candidate = tool::open_as_reference(spec, tool_env)?;
            }
        }
        let is_model = reference.name() == model::NAME;
        let candidate_set = Self::between(reference, candidates, settings, tool_env)?;
        let sessions = candidate_set.sessions.into_iter();
        // Only the model is as good inside a worker as here.
        let sessions = sessions.map(|session| match is_model {
            true => {
                let workers = case_workers(session.spec(), settings, tool_env);
                session.with_workers(workers)
            }
            false => session,
        });
        Ok(Self {
            sessions: sessions.collect(),
            absent,
            ..candidate_set
        })
    }

    /// A candidate that is open and that no spec names, against the reference of the settings.
    pub fn with_candidate(
        candidate: Arc<dyn Tool>,
        settings: &Settings,
        tool_env: &ToolEnv,
    ) -> Result<Self> {
        let reference = tool::open_reference(&settings.reference(), tool_env)?;
        let spec = ToolSpec::named(candidate.name());
        Self::between(reference, vec![(spec, candidate)], settings, tool_env)
    }

    fn between(
        reference: Arc<dyn Tool>,
        candidates: Vec<Candidate>,
        settings: &Settings,
        tool_env: &ToolEnv,
    ) -> Result<Self> {
        can_make_fixtures(&*reference)?;
        no_two_alike(&candidates)?;
        // Check now, so that tools that cannot be forked are reported before the run.
        let tools = candidates.iter().map(|(_, candidate)| candidate);
        for program in tools.chain([&reference]).filter_map(|tool| tool.program()) {
            let _ = tool_env.launcher.objection(program);
        }
        let (workdir, swept) = open_workdir(settings, tool_env)?;
        let scratch = RunDirectory::in_place(&workdir)?;
        let witnesses = Witnesses::find(settings.timeout);
        let tools = candidates.iter().map(|(_, candidate)| candidate);
        let names: Vec<&str> = tools.chain([&reference]).map(|tool| tool.name()).collect();
        let catalogue = Arc::new(Catalogue::open_for(settings.catalogue.as_deref(), &names)?);
        let gate = Arc::default();
        let remover = Arc::new(Remover::start());
        // All sides of all candidates share the source images that the reference creates.
        let fixtures = Arc::default();
        let is_model = reference.name() == model::NAME;
        let second = is_model.then(|| second_reference(tool_env)).flatten();
        let writers = Arc::new(Writers::new(tool_env.clone(), settings.writers.clone()));
        let sessions = candidates.into_iter().map(|(spec, candidate)| {
            let runner = DifferentialRunner {
                candidate,
                reference: Arc::clone(&reference),
                limit: settings.timeout,
                sandbox: settings.sandbox(),
                workdir: workdir.clone(),
                witnesses: witnesses.clone(),
                keep: settings.keep,
                fixtures: Arc::clone(&fixtures),
                remover: Arc::clone(&remover),
                is_alone: false,
                writers: Arc::clone(&writers),
            };
            let terms = Terms {
                candidate: spec.to_string(),
                flags: settings.terms(&spec),
            };
            let session = Session::in_run(runner, Arc::clone(&catalogue), terms, Arc::clone(&gate));
            session.with_second_reference(second.clone())
        });
        Ok(Self {
            sessions: sessions.collect(),
            absent: Vec::new(),
            launcher: Some(Arc::clone(&tool_env.launcher)),
            scratch: Some(scratch),
            swept,
        })
    }

    /// Returns a set with a single candidate.
    pub fn of_session(session: Session) -> Self {
        Self {
            sessions: vec![session],
            absent: Vec::new(),
            launcher: None,
            scratch: None,
            swept: Vec::new(),
        }
    }

    /// Returns a set that caches the reference's answers in `store`.
    pub fn with_cache(&self, store: &Arc<Store>) -> Self {
        let sessions = self.sessions.iter();
        let sessions = sessions.map(|session| session.with_cache(Arc::clone(store)));
        Self {
            sessions: sessions.collect(),
            absent: self.absent.clone(),
            launcher: self.launcher.clone(),
            scratch: self.scratch.clone(),
            swept: self.swept.clone(),
        }
    }

    /// Returns the session of each candidate, in order.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// Returns the session of the only candidate. Fails if there are several.
    pub fn only(&self) -> Result<&Session> {
        match &*self.sessions {
            [session] => Ok(session),
            _ => Err(Error::usage(
                "this needs exactly one candidate: name one with --candidate",
            )),
        }
    }

    /// Returns the session of a candidate; the first session if there is no such candidate.
    pub fn session_of(&self, candidate: &ToolName) -> &Session {
        let own = |session: &&Session| session.candidate_name() == *candidate;
        self.sessions.iter().find(own).unwrap_or(&self.sessions[0])
    }

    /// Returns the notices to show before the run: missing tools and witnesses, tools that cannot be forked, removed directories, catalogues
    /// of the old form.
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
        let of_json = self.sessions[0].catalogue().of_json.iter().map(|path| {
            let path = path.display();
            Error::system(format!(
                "{path} is a catalogue of the old form: imgduel convert-catalogue {path} {USUAL_DIRECTORY} makes a directory of it that can be edited"
            ))
        });
        absent
            .chain(swept)
            .chain(of_json)
            .chain(self.sessions[0].missing_witnesses())
            .chain(fallbacks.map(Error::system))
            .collect()
    }

    /// Returns every possible witness, with its version if it is installed.
    pub fn witnesses(&self) -> BTreeMap<&'static str, Option<String>> {
        self.sessions[0].witnesses()
    }

    /// Returns the result of `--exec-mode check` in one line, or an error if a tool behaved differently when forked. `None` in other modes.
    pub fn compared(&self) -> Option<Result<String>> {
        let compared = self.launcher.as_ref()?.compared()?;
        let line = format!(
            "{} started both ways, {} differed, {} not the same twice when spawned",
            counted(compared.calls, "call"),
            compared.differed,
            compared.unsteady
        );
        Some(match compared.first {
            None => Ok(line),
            Some(first) => Err(Error::system(format!("{line}; the first: {first}"))),
        })
    }

    /// Returns whether any candidate supports at least one request of this case.
    pub fn concerns(&self, case: &Case) -> bool {
        self.sessions.iter().any(|session| session.concerns(case))
    }

    /// Runs a case with every candidate, and confirms divergences by running it again.
    pub fn run_confirmed(&self, case: &Case) -> Result<Vec<Record>> {
        let (first, again) = (Arc::default(), Arc::default());
        let concerned = self
            .sessions
            .iter()
            .filter(|session| session.concerns(case));
        // With a single session nothing needs to be asked.
        let is_only = self.sessions.len() == 1 || concerned.take(2).count() < 2;
        let tried = self.sessions.iter().map(|session| {
            // Steps that the reference performs for several candidates, or on both sides, run only once. Reuse requires reading the files,
            // which would cost more than it saves for a single candidate that writes.
            match is_only && !session.is_of_reader() {
                true => session.run_confirmed(case.clone()),
                false => session
                    .with_shared_answers(&first, &again, is_only)
                    .run_confirmed(case.clone()),
            }
        });
        tried.collect()
    }
}

/// Workers that run whole cases of a candidate, if it is an embedded library.
fn case_workers(
    candidate: &str,
    settings: &Settings,
    tool_env: &ToolEnv,
) -> Option<Arc<CaseWorkers>> {
    libraries::is_embedded(candidate).then(|| {
        let workers = CaseWorkers::new(
            tool_env.worker_program.clone(),
            candidate,
            settings.workdir(),
            settings.sandbox(),
            settings.timeout,
        );
        Arc::new(match &settings.coverage {
            Some(program) => workers.counting(program.clone()),
            None => workers,
        })
    })
}

/// qemu-img, if it is installed with all that fixtures need.
fn second_reference(tool_env: &ToolEnv) -> Option<Arc<dyn Tool>> {
    let reference = tool::open_reference(&ToolSpec::named(DEFAULT_REFERENCE), tool_env).ok()?;
    can_make_fixtures(&*reference).is_ok().then_some(reference)
}

/// The notice that the model is the only judge.
pub fn second_judge(absent: &Error) -> Error {
    Error::missing_tool(format!(
        "the model is the only judge, because {absent}: it would be a second one"
    ))
}

type Candidate = (ToolSpec, Arc<dyn Tool>);

/// Opens the candidates. Also returns why tools of `all` are missing. Fails if no candidate is left.
fn open_candidates(specs: &[ToolSpec], tool_env: &ToolEnv) -> Result<(Vec<Candidate>, Vec<Error>)> {
    let (mut candidates, mut absent) = (Vec::new(), Vec::new());
    for spec in specs {
        if !spec.is_all() {
            let opened = tool::open(spec, tool_env);
            let opened = opened.map_err(|error| error.of_setting("--candidate"))?;
            candidates.push((spec.clone(), opened));
            continue;
        }
        let rows = tool::TOOLS.iter().filter(|row| row.is_for_all());
        let brought = libraries::brought().into_iter();
        let all = brought
            .map(|name| ToolSpec::named(&name))
            .chain(rows.map(Row::spec));
        for spec in all {
            match tool::open(&spec, tool_env) {
                Ok(tool) => candidates.push((spec, tool)),
                Err(error) => absent.push(error),
            }
        }
    }
    match candidates.is_empty() {
        true => Err(Error::missing_tool(
            "no candidate is installed: see imgduel tools",
        )),
        false => Ok((candidates, absent)),
    }
}

/// Fails if two candidates have the same name and version.
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

/// Returns the writable parent of all scratch directories, and the directories of dead runs that were removed from it.
fn open_workdir(settings: &Settings, tool_env: &ToolEnv) -> Result<(PathBuf, Vec<PathBuf>)> {
    let workdir = settings.workdir();
    tempfile::tempfile_in(&workdir)
        .map_err(|error| Error::io("write to the scratch directory", &workdir, &error))?;
    let mut swept = reaper::sweep(&workdir);
    // The calls that query tool versions run in the temporary directory.
    let temporary = std::env::temp_dir();
    if temporary != workdir {
        swept.extend(reaper::sweep(&temporary));
    }
    reaper::post(&tool_env.worker_program, &workdir)?;
    Ok((workdir, swept))
}

/// Fails if qemu-img is the reference and cannot write guest data, which fixtures need. Another reference is asked for no fixture that it does not make.
pub(super) fn can_make_fixtures(reference: &dyn Tool) -> Result<()> {
    match reference.name() != DEFAULT_REFERENCE || reference.capabilities().can("write") {
        true => Ok(()),
        false => Err(Error::missing_tool(
            "qemu-io is not there (on Debian and Ubuntu: apt-get install qemu-utils)",
        )),
    }
}
