//! Fixtures of the tests: sessions with stand-in tools, scratch directories, and programs with a clean environment.

#![allow(dead_code, reason = "every test file uses another part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use imgduel::case::Case;
use imgduel::case::generation::{Generation, Selection};
use imgduel::case::known::Catalogue;
use imgduel::operation::Operation;
use imgduel::oracle::witness::Witnesses;
use imgduel::process::SandboxPolicy;
use imgduel::run::fixture::Fixtures;
use imgduel::run::record::Record;
use imgduel::run::runner::DifferentialRunner;
use imgduel::run::scratch_dir::{Place, Remover};
use imgduel::run::session::Session;
use imgduel::tool::launcher::{ExecMode, Launcher};
use imgduel::tool::{self, ToolEnv, ToolSpec};

/// Returns the package's directory.
pub fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The path of the command, for tests that do not start it with [`imgduel`].
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_imgduel");

/// Returns the command, without environment variables for imgduel.
pub fn imgduel() -> Command {
    started(PROGRAM)
}

/// Returns a program without the environment variables for imgduel that the caller has set: reports that they request belong to the test
/// target and must not contain records of stand-ins.
pub fn started(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let set = std::env::vars_os().map(|(name, _)| name);
    let is_of_that_run = |name: &std::ffi::OsString| {
        let name = name.to_string_lossy();
        let beginnings = ["IMGDUEL_", "NEXTEST", "GITHUB_"];
        beginnings
            .iter()
            .any(|beginning| name.starts_with(beginning))
    };
    set.filter(is_of_that_run).for_each(|name| {
        command.env_remove(name);
    });
    // Nine seconds in each test target that a test starts would be too much; whoever is interested in that trial asks for it.
    command.env("IMGDUEL_MODEL_CASES", "0");
    command
}

/// An example of the package, built in the profile of the tests.
pub fn example(name: &str) -> PathBuf {
    let program = Path::new(PROGRAM);
    let mut cargo = started(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--example", name]);
    let is_release = program
        .components()
        .any(|part| part.as_os_str() == "release");
    cargo.args(is_release.then_some("--release"));
    let built = cargo.current_dir(package()).status().unwrap();
    assert!(built.success(), "{name} cannot be built");
    program.with_file_name("examples").join(name)
}

/// Sends a signal to a process, with the shell's built-in `kill`, which needs no other program.
pub fn signal(process: u32, name: &str) {
    let line = format!("kill -{name} {process}");
    let sent = Command::new("sh").args(["-c", &line]).status().unwrap();
    assert!(sent.success(), "{line}");
}

/// Creates a scratch directory in the default place of campaigns: in memory, if there is enough.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(Place::usual(1).path).unwrap()
}

/// Returns a PATH with the directory `first` at its start and the stand-ins at its end.
pub fn path_with_stand_ins(first: &Path) -> String {
    let directory = package().join("tests/stand_ins");
    let below = std::fs::read_dir(&directory).unwrap().flatten();
    let below = below.map(|entry| entry.path()).filter(|path| path.is_dir());
    let own = std::env::var("PATH").unwrap_or_default();
    let places = [first.to_owned(), directory.clone()]
        .into_iter()
        .chain(below);
    places.fold(own, |path, place| format!("{path}:{}", place.display()))
}

/// Returns the path of a stand-in.
pub fn stand_in(name: &str) -> PathBuf {
    package().join("tests/stand_ins").join(name)
}

/// Returns the tool environment, with the command as worker program. Tools are loaded once for all tests of a program.
pub fn tool_env() -> ToolEnv {
    static LAUNCHER: LazyLock<Arc<Launcher>> =
        LazyLock::new(|| Launcher::new(ExecMode::Fork, false));
    ToolEnv {
        worker_program: PROGRAM.into(),
        limit: Duration::from_secs(30),
        launcher: Arc::clone(&LAUNCHER),
    }
}

/// Opens an installed tool.
pub fn open(spec: &str) -> std::sync::Arc<dyn tool::Tool> {
    let spec: ToolSpec = spec.parse().unwrap();
    tool::open(&spec, &tool_env()).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns a runner for two tools with its scratch directories in `workdir`.
pub fn runner(
    candidate: &str,
    reference: &str,
    limit: Duration,
    workdir: &std::path::Path,
) -> DifferentialRunner {
    DifferentialRunner {
        candidate: open(candidate),
        reference: open(reference),
        limit,
        sandbox: SandboxPolicy::default(),
        workdir: workdir.to_owned(),
        keep: false,
        witnesses: Witnesses::find(limit),
        fixtures: Arc::new(Fixtures::none()),
        remover: Arc::new(Remover::at_once()),
        is_alone: false,
        writers: Arc::default(),
    }
}

/// Returns an empty catalogue.
pub fn empty_catalogue() -> Catalogue {
    Catalogue::empty()
}

/// Returns a session with an empty catalogue.
pub fn session(
    candidate: &str,
    reference: &str,
    limit: Duration,
    workdir: &std::path::Path,
) -> Session {
    Session::new(
        runner(candidate, reference, limit, workdir),
        empty_catalogue(),
    )
}

/// Returns the cases of a seed with only these operations, without slow ones.
pub fn cases(
    generation: &str,
    seed: u64,
    operations: &[&str],
) -> impl Iterator<Item = Case> + use<> {
    let operations = operations.iter().map(|name| (*name).to_owned());
    let selection = Selection::of_operations(Some(operations.collect()));
    let generation = Generation::named(generation).unwrap();
    generation
        .cases(seed, 0, &selection)
        .unwrap()
        .filter(is_quick)
}

/// Returns whether the case is quick: qemu-img's dd is slow with many blocks.
fn is_quick(case: &Case) -> bool {
    const BLOCKS_MAX: u64 = 3000;
    case.ops.iter().all(|operation| match operation {
        Operation::Dd(dd) => dd.out_vsize / dd.bs < BLOCKS_MAX,
        _ => true,
    })
}

/// Runs at most `most` cases until one does not match.
pub fn first_that_differs(
    session: &Session,
    cases: impl Iterator<Item = Case>,
    most: usize,
) -> Option<Record> {
    let records = cases.take(most).map(|case| session.try_case(case).unwrap());
    records
        .into_iter()
        .find(|record| ["divergence", "inconclusive"].contains(&record.verdict.as_str()))
}

/// Returns whether any process runs in this directory, even if it is removed, or was started for it.
pub fn is_worked_in(directory: &Path) -> bool {
    let directory = directory.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.into_iter().any(|process| {
        let place = std::fs::read_link(process.path().join("cwd")).unwrap_or_default();
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        let marker = format!("TMPDIR={directory}");
        place.to_string_lossy().starts_with(directory)
            || environment
                .split(|byte| *byte == 0)
                .any(|variable| variable.starts_with(marker.as_bytes()))
    })
}
