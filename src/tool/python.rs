//! Tools that are Python modules: each a script that speaks the adapter protocol in one kept interpreter.
//!
//! A process a call would cost 0.2 s, most of it imports. The interpreter is the one that the tool spec names, or the first on this
//! machine that has the module: distributions and PyPI fill different ones.

use std::path::PathBuf;
use std::sync::Arc;

use super::adapter::{self, Start};
use super::{Means, Row, Tool, ToolSpec};
use crate::error::{Error, Result};

/// What every script begins with.
const SERVE: &str = include_str!("python/serve.py");

const DISSECT: &str = include_str!("python/dissect.py");
const LIBYAL: &str = include_str!("python/libyal.py");

/// Where interpreters are looked for.
const INTERPRETERS: [&str; 2] = ["python3", "/usr/bin/python3"];

/// Opens the module that a row is named after.
pub(super) fn open(spec: &ToolSpec, means: &Means) -> Result<Arc<dyn Tool>> {
    let named = spec.path.iter().cloned();
    let usual = INTERPRETERS.iter().map(PathBuf::from);
    let interpreters: Vec<PathBuf> = match spec.path {
        Some(_) => named.collect(),
        None => usual.collect(),
    };
    let own = match &*spec.name {
        "dissect.hypervisor" => DISSECT,
        _ => LIBYAL,
    };
    let arguments = [
        "-c".to_owned(),
        format!("{SERVE}\n{own}"),
        spec.name.clone(),
    ];
    let found = interpreters
        .iter()
        .filter_map(|name| which::which(name).ok());
    let mut opened = found.map(|program| {
        let start = Start {
            program,
            arguments: arguments.to_vec(),
            environment: Vec::new(),
        };
        adapter::start(start, means)
    });
    let first = opened.find(Result::is_ok);
    first.unwrap_or_else(|| {
        let row = Row::named(&spec.name)?;
        Err(Error::missing_tool(format!(
            "no Python here has {} ({})",
            spec.name, row.install
        )))
    })
}
