//! Unit tests of `canary.rs`.

use super::*;
use crate::case::known::Catalogue;
use crate::oracle::witness::Witnesses;
use crate::process::SandboxPolicy;
use crate::run::scratch_dir::Remover;
use crate::tool::launcher::{ExecMode, Launcher};
use crate::tool::{ToolEnv, open};

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_faulty_tool_is_caught_and_a_correct_one_is_reported_as_not_caught() {
    let limit = Duration::from_secs(30);
    let tool_env = ToolEnv {
        worker_program: "/nonexistent".into(),
        launcher: Launcher::new(ExecMode::Spawn, false),
        limit,
    };
    let spec = "qemu-img".parse().unwrap();
    let reference = open(&spec, &tool_env).unwrap();
    let runner = DifferentialRunner {
        candidate: Arc::clone(&reference),
        reference: Arc::clone(&reference),
        limit,
        sandbox: SandboxPolicy::default(),
        workdir: std::env::temp_dir(),
        witnesses: Witnesses::find(limit),
        keep: false,
        fixtures: Arc::default(),
        remover: Arc::new(Remover::start()),
        is_alone: false,
        writers: Arc::default(),
    };
    let session = Session::new(runner, Catalogue::built_in().unwrap());
    session.run_canary().unwrap();
    let error = session
        .must_catch(Arc::clone(&reference), reference)
        .unwrap_err()
        .to_string();
    assert!(error.contains("was not caught (info: match"), "{error}");
}
